"""Pruning a data set with everything that goes beside the score: embeddings, clusters, duplicates, noise, quotas."""

import json

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features

import hf_prune
from hf_prune import Step, explain, provenance, select
from hf_prune.pruning.reproduction import reproduction
from tests.helpers.tiny_publications import SOURCE, images

EMBEDDINGS = np.random.default_rng(0).standard_normal((60, 4))
SCORES = np.random.default_rng(1).permutation(60).astype(np.float32)


def make(**columns) -> Dataset:
    features = Features({"label": ClassLabel(names=["cat", "dog", "eel"])})
    ds = Dataset.from_dict({"label": np.arange(60) % 3}, features=features).add_column("s", SCORES)
    for name, values in columns.items():
        ds = ds.add_column(name, values)
    return ds


def run(ds, **options):
    pruned, selection = ds.prune("s", **{"keep": 20, "order": "hard", "return_selection": True} | options)
    assert pruned["s"][:] == [ds["s"][row] for row in selection.kept.tolist()]
    return selection, provenance(pruned).steps[-1]


def again(ds, step: Step, **inputs) -> list[int]:
    """Rows that the call which a card shows keeps, with the arrays filled in that only the user has."""
    entry = {"source": {"known": "local"}, "steps": [json.loads(json.dumps(step.to_dict()))]}
    line = reproduction(entry | {"changed outside hf_prune": False})[-1]
    given = "{" + ", ".join(f'"{name}": ...' for name in inputs) + "}"
    assert not inputs or given in line
    call = line.removeprefix("ds = ").replace(given, "inputs").rstrip(")") + ", return_selection=True)"
    return eval(call, {"ds": ds, "inputs": inputs})[1].kept.tolist()  # our own card, read as its reader would


@pytest.mark.parametrize("order", ["middle", "stratified", "mixed"])
def test_it_selects_what_select_selects_and_the_card_repeats_it(order):
    options = {"num_strata": 7, "random_share": 0.3, "hardest_cutoff": 0.2, "seed": 5}
    selection, step = run(make(), order=order, **options)
    expected = select(SCORES, keep=20, order=order, labels=np.arange(60) % 3, class_balance=0.5, **options)
    assert selection.reasons.tolist() == expected.reasons.tolist()
    own = {"stratified": {"num_strata": 7}, "mixed": {"random_share": 0.3}}
    assert step.options == own.get(order, {}) | {"hardest_cutoff": 0.2}
    assert again(make(), step) == selection.kept.tolist()


def test_middle_reads_the_classes_without_a_floor():
    selection, step = run(make(), order="middle", class_balance=0)
    expected = select(SCORES, keep=20, order="middle", labels=np.arange(60) % 3)
    assert selection.kept.tolist() == expected.kept.tolist()
    assert (step.class_balance, step.label_column) == (0, "label")


def test_plain_steps_are_recorded_as_before():
    _, step = run(make())
    assert (step.options, step.inputs, step.figures) == ({}, {}, None)
    old = {name: value for name, value in step.to_dict().items() if name not in ("reasons", "id")}
    old["id"] = Step(
        **{name: tuple(value) if name in ("unscored", "columns", "parents") else value for name, value in old.items()}
    ).content_id()
    assert Step.from_dict(old).reasons is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_balance": {"cat": 21}}, r"^class_balance asks for 21 rows of class 0, which has 20$"),
        ({"quotas": "error", "class_errors": {"cat": 0.1}}, r"^class 'dog' has no error among those of \['cat'\]"),
        ({"keep": 0.9, "hardest_cutoff": 0.3}, "^keep=0.9 keeps 54 of 60 rows with a score, of which 42 are left"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(options, message):
    with pytest.raises(ValueError, match=message) as caught:
        run(make(), **options)
    assert "\n" not in str(caught.value)


def test_splits_of_a_dict_are_pruned_alike():
    both = DatasetDict(train=make(), test=make())
    pruned, selections = both.prune(
        "s", keep=0.5, order="stratified", hardest_cutoff=0.1, splits=["train", "test"], return_selection=True
    )
    assert selections["train"].kept.tolist() == selections["test"].kept.tolist()
    assert {len(split) for split in pruned.values()} == {30}


def test_a_published_pruning_says_what_went(tmp_path):
    ds = images(12).add_column("s", np.arange(12.0))
    kept = ds.prune("s", keep=6, order="mixed", hardest_cutoff=0.25, class_balance={"cat": 2, "dog": 2, "ship": 2})
    card = hf_prune.export(kept, tmp_path / "out", source=SOURCE).joinpath("README.md").read_text()
    assert "the rows with the highest `s` and a share of random ones" in card
    assert "| Cut as the hardest | 3 rows |" in card
    assert "| Options | `random_share = 0.5`, `hardest_cutoff = 0.25`, `class_balance` for 3 classes" in card
    assert 'class_balance={"cat": 2, "dog": 2, "ship": 2}' in card
    assert explain(ds, kept)["reason"][:].count("cut: hardest") == 3
