"""Rows to be like or unlike: a data set, embeddings or numbers of rows."""

import numpy as np
import pytest
from datasets import Dataset, DatasetDict

import hf_prune
from hf_prune import Run
from hf_prune.pruning.reproduction import reproduction
from hf_prune.pruning.target import target_rows
from hf_prune.scoring import Request
from tests.helpers.tiny_sets import make_set, noise
from tests.pruning.test_prune_options import EMBEDDINGS, make, run

NO_CACHE = Run(image_size=4, load_from_cache_file=False)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def nearest(targets) -> np.ndarray:
    """Cosine of each row to the nearest target, one pair after the other."""
    return np.array([max(float(row @ target) for target in unit(targets)) for row in unit(EMBEDDINGS)])


@pytest.mark.parametrize("order", ["like", "unlike"])
def test_numbers_of_rows_and_their_embeddings_mean_the_same(order):
    ds, options = make(), {"order": order, "keep": 20, "class_balance": 0, "inputs": {"embeddings": EMBEDDINGS}}
    by_number, step = run(ds, target=[3, 40], **options)
    by_vector, _ = run(ds, target=7 * EMBEDDINGS[[3, 40]], **options)
    ranked = np.argsort(-nearest(EMBEDDINGS[[3, 40]]) if order == "like" else nearest(EMBEDDINGS[[3, 40]]))
    assert by_number.kept.tolist() == by_vector.kept.tolist() == sorted(ranked[:20].tolist())
    assert ({3, 40} <= set(by_number.kept.tolist())) is (order == "like")
    made_from = step.inputs["similarity"]
    assert (len(made_from["target_sha256"]), made_from["target_rows"]) == (64, 2)


def test_a_data_set_is_embedded_by_the_encoder_of_the_history():
    images = noise(12)
    ds = make_set(images).score_with("prototypes", encoder="pixels", num_prototypes=2, run=NO_CACHE)
    kept, selection = ds.prune(
        "prototypes",
        keep=2,
        order="like",
        target=make_set([images[5], images[9]]),
        run=NO_CACHE,
        return_selection=True,
    )
    assert selection.kept.tolist() == [5, 9]
    step = hf_prune.provenance(kept).steps[-1]
    assert step.inputs["embeddings"]["encoder"]["kind"] == "pixels"


def test_a_record_says_that_the_target_is_the_publishers_own():
    inputs = {"similarity": {"target_sha256": "ab", "target_rows": 2}}
    step = {"kind": "prune", "column": "s", "order": "like", "keep": 2, "seed": 0, "inputs": inputs, "options": {}}
    entry = {"source": {"known": "local"}, "steps": [step], "changed outside hf_prune": False}
    lines = reproduction(entry)
    assert lines[-2:] == [
        '# target: 2 rows of your own, SHA-256 of their embeddings "ab"',
        'ds = ds.prune("s", keep=2, order="like", seed=0, target=...)',
    ]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([60], r"^target= names row 60 of 60; give numbers in \[0, 59\]"),
        ([-1], "^target= names row -1 of 60"),
        (np.zeros((2, 3)), r"^target= is 2 rows of 3 numbers, the embeddings of the rows have 4"),
        (np.zeros((1, 4)), "^the embedding of target row 0 is zero or not finite"),
        ([], "^target= is list; give a Dataset, embeddings"),
        ("dogs", "^target= is str; give a Dataset"),
        ([[1.0], [1.0, 2.0]], "^target= is no array"),
        (Dataset.from_dict({"x": [1]}), "^target= is a data set, and its rows need the encoder of the others"),
    ],
)
def test_what_cannot_be_a_target_is_said_in_one_line(target, message):
    points = EMBEDDINGS.astype(np.float32)
    with pytest.raises((ValueError, TypeError), match=message):
        target_rows(target, points, Request())


def test_a_target_and_the_order_go_together():
    given = {"inputs": {"embeddings": EMBEDDINGS}}
    with pytest.raises(ValueError, match=r"^target= has no part in this pruning: it is for order='like'"):
        run(make(), target=[1], order="hard")
    with pytest.raises(ValueError, match=r"^order='like' needs target=: a data set"):
        run(make(), order="like", **given)
    with pytest.raises(ValueError, match=r"^order='like' needs embeddings: pass encoder="):
        run(make(), order="like", target=[1])
    with pytest.raises(TypeError, match=r"^target= is DatasetDict; give a Dataset"):
        run(make(), order="like", target=DatasetDict(train=make()), **given)
