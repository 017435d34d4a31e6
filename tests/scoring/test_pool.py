"""Inputs of one call: rows of length one, rows that are left out, and labels that are missing."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from hf_prune.metrics import register_metric, rows, unregister_metric
from hf_prune.metrics.kmeans import distances_to, held_rows
from hf_prune.metrics.prototypes import supervised_prototypes
from hf_prune.scoring import Request
from hf_prune.scoring import pool as pool_module
from hf_prune.scoring.embedding_rows import UnitRows
from hf_prune.scoring.pool import InputPool, labels_of, unit
from tests.helpers.metric_cases import unit as expected_unit
from tests.helpers.metric_inputs import FULL, ROWS, RUN, TEACHER, images, make, pixels, shown
from tests.helpers.tiny_sets import encode, noise

BLACK = encode(np.zeros((4, 4, 3), np.uint8))


def test_embeddings_handed_in_become_unit_rows():
    given = np.random.default_rng(0).normal(size=(ROWS, 5))
    for values in (given, given.tolist(), torch.from_numpy(given)):
        made = make(images(), "prototypes", inputs={"embeddings": values})
        np.testing.assert_allclose(made.arrays["embeddings"], expected_unit(given), atol=1e-6)
        assert made.arrays["embeddings"].dtype == np.float32
    assert made.rows.tolist() == made.arrays["rows"].tolist() == list(range(ROWS))
    digest = hashlib.sha256(given.tobytes()).hexdigest()
    assert made.made_from == {"embeddings": {"given_sha256": digest}}


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_an_embedding_handed_in_without_a_direction(bad):
    given = np.ones((ROWS, 3))
    given[3] = bad
    with pytest.raises(ValueError, match="the embedding of row 3 is zero or not finite"):
        make(images(), "prototypes", inputs={"embeddings": given})
    made = make(images(), "prototypes", inputs={"embeddings": given}, on_error="skip")
    assert made.rows.tolist() == [0, 1, 2, 4, 5, 6]


def test_an_image_without_a_direction_is_refused_or_left_out():
    """A black image is the zero vector to an encoder that looks at pixels."""
    encoded = noise(ROWS)
    encoded[2] = encoded[5] = BLACK
    with pytest.raises(
        ValueError, match=r"^the embedding of row 2 is zero .*\(2 such rows\).*on_error='skip'"
    ) as caught:
        make(images(encoded=encoded), "prototypes", encoder="pixels")
    assert "\n" not in str(caught.value)
    made = make(images(encoded=encoded), "prototypes", encoder="pixels", on_error="skip")
    assert made.rows.tolist() == made.arrays["rows"].tolist() == [0, 1, 3, 4, 6]
    assert sorted(made.unscored) == [2, 5]
    assert np.isfinite(made.arrays["embeddings"]).all()


@pytest.mark.parametrize("given", [None, [0, -1, 1, 2, 0, 0, -1]])
def test_missing_labels_are_refused_or_left_out(given):
    ds = images([0, -1, 1, 2, 0, 0, None])
    options = {"encoder": pixels, "inputs": {} if given is None else {"labels": given}}
    where = "column 'label'" if given is None else r"inputs\['labels'\]"
    with pytest.raises(
        ValueError, match=rf"^2 rows have no label in {where} \(first: row 1\): filter .*on_error='skip'"
    ):
        make(ds, "supervised_prototypes", **options)
    made = make(ds, "supervised_prototypes", on_error="skip", **options)
    assert made.rows.tolist() == [0, 2, 3, 4, 5]
    assert made.arrays["labels"].tolist() == [0, 1, 2, 0, 0]
    np.testing.assert_allclose(made.arrays["embeddings"], expected_unit(shown(noise(ROWS)))[made.rows], atol=1e-6)
    assert made.unscored == {1: "no label", 6: "no label"}


def test_rows_are_scaled_by_hand():
    units, good = unit(np.array([[3, 4], [0, 0], [np.nan, 1], [-2, 0], [np.inf, 0]], np.float32))
    np.testing.assert_allclose(units, [[0.6, 0.8], [0, 0], [0, 0], [-1, 0], [0, 0]], rtol=1e-6)
    assert good.tolist() == [True, False, False, True, False]
    assert unit(np.empty((0, 2), np.float32))[0].shape == (0, 2)


@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 2, 2)])
def test_embeddings_are_one_vector_per_row(shape):
    with pytest.raises(ValueError, match=r"^embeddings of shape .*; give one vector per row, shape \(n, d\)$"):
        make(images(), "prototypes", inputs={"embeddings": np.ones(shape)})


def pool(on_error="raise", **inputs) -> InputPool:
    return InputPool(images(), Request(on_error=on_error, inputs=inputs or None))


def test_local_embeddings_are_put_in_their_places():
    found = pool("skip")
    found.hold(np.array([2, 0, 1, 3, 4, 5, 6]), {3: "unreadable"})
    found.local["features"] = np.arange(1, 15, dtype=np.float32).reshape(ROWS, 2)
    expected = [[3, 4], [5, 6], [1, 2], [0, 0], [9, 10], [11, 12], [13, 14]]  # row 3 has none
    assert found.embedding_rows("features")[:].tolist() == expected
    found.everywhere["embeddings"] = np.eye(ROWS)
    assert found.embedding_rows() is found.everywhere["embeddings"]
    assert "embeddings" in found
    assert "probs" not in found


def test_all_models_leave_the_same_rows():
    found = pool()
    assert found.rows().tolist() == list(range(ROWS))  # no model ran: as they come
    found.hold(np.array([1, 0]), {})
    found.hold(np.array([1, 0]), {4: "unreadable"})
    assert (found.rows().tolist(), found.unscored) == ([1, 0], {4: "unreadable"})
    with pytest.raises(
        RuntimeError, match=r"^the processes hold other rows .*cache_dir= at a folder that all share"
    ) as caught:
        found.hold(np.array([0, 1]), {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "hint"), [([5, 2], ", or pass on_error='skip' to leave their scores null"), (range(ROWS), "")]
)
def test_rows_are_left_out_or_refused(rows, hint):
    """That all rows can be skipped is no advice."""
    rows = np.array(rows)
    with pytest.raises(ValueError, match="burnt: use water") as caught:
        pool().leave_out(rows, "it burnt", "burnt: use water")
    assert str(caught.value) == f"{len(rows)} of 7 rows (first: row {rows.min()}) burnt: use water{hint}"
    found = pool("skip")
    found.leave_out(rows, "it burnt", "burnt")
    assert found.unscored == dict.fromkeys(rows.tolist(), "it burnt")
    nothing = pool()
    nothing.leave_out(np.array([], int), "it burnt", "burnt")
    assert nothing.unscored == {}


def test_given_labels_come_before_those_of_the_column():
    ds = images(FULL)
    assert labels_of(ds, Request()).codes.tolist() == FULL
    assert labels_of(ds, Request(inputs={"labels": FULL[::-1]})).codes.tolist() == FULL[::-1]
    assert labels_of(images(), Request()) is None
    with pytest.raises(
        ValueError, match=r"^this metric needs labels and there is no ClassLabel column among \['image'\]"
    ):
        pool().read_labels()
    with pytest.raises(ValueError, match=r"no ClassLabel column among \['image'\]: name one with label_column="):
        make(images(), "el2n", teachers=TEACHER)


def test_what_was_given_is_recorded_by_its_digest():
    found = pool(numbers=[1.0, 2.0])
    found.take("numbers")
    assert found.everywhere["numbers"].tolist() == [1.0, 2.0]
    assert found.made_from == {"numbers": {"given_sha256": hashlib.sha256(np.array([1.0, 2.0]).tobytes()).hexdigest()}}


@pytest.fixture
def staying(monkeypatch):
    """Embeddings that stay where they are; to read more than two rows at once is an error."""
    monkeypatch.setattr(pool_module, "HELD_BYTES", 0)
    monkeypatch.setattr(rows, "BLOCK_NUMBERS", 2 * 48)
    monkeypatch.setattr(held_rows, "BLOCK_ROWS", 2)
    read = UnitRows.__getitem__

    def a_few(self, places):
        found = read(self, places)
        assert len(found) <= 2
        return found

    monkeypatch.setattr(UnitRows, "__getitem__", a_few)


def test_what_is_read_in_blocks_is_never_held(staying, tmp_path):
    """The seven rows lie in a store, so that a run with all of them in memory finds the same embeddings."""
    ds, given = images(FULL), np.random.default_rng(0).normal(size=(ROWS, 48)).astype(np.float32)
    sources = [{"encoder": pixels, "run": replace(RUN, cache_dir=tmp_path)}, {"inputs": {"embeddings": given}}]
    for source in sources:
        made = make(ds, "supervised_prototypes", **source)
        assert isinstance(made.arrays["embeddings"], UnitRows)
        found = supervised_prototypes(**made.arrays)
        whole = make(ds, "prototypes", **source).arrays["embeddings"]
        values = np.concatenate([whole[place : place + 1] for place in range(ROWS)])
        assert found.tolist() == supervised_prototypes(values, made.arrays["labels"]).tolist()
        centroids = values[:3].astype(np.float64)
        assert distances_to(centroids, whole).tolist() == distances_to(centroids, values).tolist()


def test_a_metric_that_takes_no_blocks_gets_an_array(monkeypatch):
    monkeypatch.setattr(pool_module, "HELD_BYTES", 0)
    register_metric("of_an_array")(lambda embeddings: embeddings.sum(axis=1))
    try:
        found = make(images(), "of_an_array", encoder=pixels).arrays["embeddings"]
        assert type(found) is np.ndarray
        np.testing.assert_allclose(found, expected_unit(shown(noise(ROWS))), atol=1e-6)
    finally:
        unregister_metric("of_an_array")
