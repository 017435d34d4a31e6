"""What processes compare of a request before they work on it."""

import dataclasses

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features

from hf_prune import Heads, Run
from hf_prune.data.columns import Labels
from hf_prune.data.digests import labels_digest
from hf_prune.scoring import Request, agreement
from hf_prune.scoring.agreement import check_request, handed_in_digest

ROWS = Dataset.from_dict({"text": ["a", "b", "c"], "label": [0, 1, 0], "difficulty": [0.1, 0.2, 0.3]})
CLASSED = Dataset.from_dict(ROWS[:], features=Features({**ROWS.features, "label": ClassLabel(names=["x", "y"])}))


@pytest.fixture
def held(monkeypatch):
    """Gives what a process would compare."""
    monkeypatch.setattr(agreement, "num_processes", lambda: 2)
    caught = {}
    monkeypatch.setattr(agreement, "check_alike", caught.update)

    def compared(ds=CLASSED, request=None, scores=None, **settings):
        caught.clear()
        check_request("call", ds, request or Request(), settings, scores=scores)
        return dict(caught)

    return compared


def test_alone_nothing_is_read(monkeypatch):
    monkeypatch.setattr(agreement, "column_digest", None)
    check_request("call", CLASSED, Request(), {})


def test_all_of_a_request_is_compared_but_where_a_process_works(held):
    own = {"device", "num_workers", "load_from_cache_file", "cache_dir"}
    digested = {"inputs", "test_dataset"}  # by name of the array, and as rows
    fields = {field.name for made in (Request, Run) for field in dataclasses.fields(made)} - {"run"}
    assert fields - set(held()) == own | digested
    given = {"embeddings": np.eye(3), "numbers": [1, 2, 3]}
    found = held(request=Request(inputs=given, test_dataset=ROWS), keep=0.5)
    assert found["keep"] == 0.5
    assert {"inputs['embeddings']", "inputs['numbers']", "rows of the test set"} <= set(found)


def different(one, two):
    return [name for name in one if one[name] != two[name]]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"ds": CLASSED.select([1, 0, 2])}, ["rows", "labels"]),
        ({"ds": CLASSED.select([0, 1])}, ["rows", "labels"]),
        ({"ds": CLASSED.remove_columns("label").add_column("label", [0, 0, 0]).cast(CLASSED.features)}, ["labels"]),
        ({"ds": CLASSED.cast_column("label", ClassLabel(names=["y", "x"]))}, ["labels", "features"]),
        ({"request": Request(run=Run(batch_size=8))}, ["batch_size"]),
        ({"request": Request(encoder="pixels")}, ["encoder"]),
        ({"request": Request(teachers=["pixels", "other"])}, ["teachers"]),
        ({"request": Request(teachers=Heads(num_heads=3))}, ["teachers"]),
        ({"request": Request(run=Run(device="cpu", num_workers=3))}, []),
    ],
)
def test_differences_are_seen_and_named(held, change, expected):
    assert different(held(), held(**change)) == expected


def test_texts_of_one_length_are_other_labels_and_scores_are_no_rows(held):
    long = Dataset.from_dict({"kind": ["cat", "dog"] * 300, "difficulty": [0.5] * 600})
    kinds = long["kind"][:]
    kinds[1], kinds[2] = kinds[2], kinds[1]
    swapped = long.remove_columns("kind").add_column("kind", kinds).select_columns(["kind", "difficulty"])
    named = {"request": Request(label_column="kind"), "scores": "difficulty"}
    assert different(held(long, **named), held(swapped, **named)) == ["labels"]
    scored = long.remove_columns("difficulty").add_column("difficulty", [0.6] * 600)
    assert different(held(long, **named), held(scored, **named)) == ["scores"]


def test_a_model_is_known_by_its_name_wherever_its_folder_lies(held, tmp_path):
    for place in ("one", "two"):
        (tmp_path / place / "model").mkdir(parents=True)
    requests = [Request(encoder=str(tmp_path / place / "model")) for place in ("one", "two")]
    assert held(request=requests[0]) == held(request=requests[1])


def test_labels_differ_by_a_class_or_by_its_name():
    codes = np.array([0, 1])
    digests = {
        labels_digest(Labels(codes, ("a", "b"), True)),
        labels_digest(Labels(codes, ("b", "a"), True)),
        labels_digest(Labels(codes[::-1].copy(), ("a", "b"), True)),
    }
    assert len(digests) == 3


def test_rows_that_are_handed_in_are_told_apart_by_what_they_hold():
    points = np.eye(2)
    handed_in = [
        ROWS,
        ROWS.select([1, 0]),
        points,
        points.astype(np.float32),
        points[:1],
        [1, 0],
        [0, 1],
        "dogs",
        [[1], [1, 2]],
    ]
    assert len({handed_in_digest(rows) for rows in handed_in}) == len(handed_in)
    assert handed_in_digest(points) == handed_in_digest(np.eye(2))
    assert handed_in_digest(ROWS) == handed_in_digest(ROWS.select(range(3)))
