"""One pass keeps a share within 1 % of what was asked, in whatever order the rows come."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value

import hf_prune

ROWS, SHARDS = 6_000, 3
ARRANGED = {
    "any order": lambda scores: scores,
    "ascending": np.sort,
    "descending": lambda scores: np.sort(scores)[::-1],
    "all equal": np.zeros_like,
    "jumps": lambda scores: np.concatenate([scores[: ROWS // 2], scores[ROWS // 2 :] + 5]),
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr("hf_prune.streams.source.BLOCK_ROWS", 256)


def stream(scores):
    return Dataset.from_dict({"s": scores, "row": np.arange(len(scores))}).to_iterable_dataset(SHARDS)


@pytest.mark.parametrize("name", ARRANGED)
@pytest.mark.parametrize("order", ["hard", "easy", "random"])
def test_the_share_is_kept(name, order):
    scores = ARRANGED[name](np.random.default_rng(0).random(ROWS))
    for keep in (0.03, 0.5, 1.0):
        kept = stream(scores).prune("s", keep=keep, order=order, passes=1).with_format("arrow")
        kept = sum(map(len, kept.iter(batch_size=1000)))
        assert abs(kept / (keep * ROWS) - 1) <= 0.01


def test_what_is_kept_of_rows_in_any_order_is_nearly_the_exact_cut():
    scores = np.random.default_rng(1).random(ROWS)
    kept = {row["row"] for row in stream(scores).prune("s", keep=0.3, order="hard", passes=1)}
    exact = set(np.argsort(scores)[-int(0.3 * ROWS) :].tolist())
    assert len(kept & exact) > 0.9 * len(exact)


def test_it_is_the_same_from_any_state_and_says_so_on_record():
    pruned = stream(np.random.default_rng(2).random(2_000)).prune("s", keep=0.2, order="random", passes=1)
    whole = [row["row"] for row in pruned]
    rows = iter(pruned)
    seen = [next(rows)["row"] for _ in range(150)]
    state = pruned.state_dict()
    pruned.load_state_dict(state)
    assert seen + [row["row"] for row in pruned] == whole
    (step,) = hf_prune.provenance(pruned).steps
    assert step.options == {"passes": 1, "share_within": 0.01}
    assert (step.keep, step.order, step.rows_out) == (0.2, "random", 0)


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_a_score_that_cannot_be_ranked_is_refused_as_two_passes_do(bad):
    scores = np.where(np.arange(60) == 25, bad, np.arange(60.0))
    kept = stream(scores).prune("s", keep=0.5, order="hard", passes=1)
    with pytest.raises(ValueError, match=f"^score of row 5 of shard 1 of the stream is {bad}"):
        list(kept)


def test_what_one_pass_cannot_serve():
    features = Features({"s": Value("float32"), "label": ClassLabel(names=["a", "b"])})
    rows = Dataset.from_dict({"s": [0.1, 0.2], "label": [0, 1]}, features=features)
    for options, message in (
        ({"class_balance": 0.5}, "class_balance= needs all scores before the first row is kept: pass passes=2"),
        ({"hardest_cutoff": 0.1}, "hardest_cutoff= needs all scores"),
        ({"keep": 1}, "keep=1 rows of a stream whose length one pass does not know: give a fraction"),
        ({"keep": 1.5}, r"keep=1.5 selects .*; give a fraction"),
    ):
        with pytest.raises(ValueError, match=message):
            rows.to_iterable_dataset().prune("s", passes=1, **{"keep": 0.5, "order": "hard"} | options)
    with pytest.raises(ValueError, match="passes=1 is for a stream, which Dataset is not"):
        rows.prune("s", keep=0.5, order="hard", passes=1)
    assert len(list(rows.to_iterable_dataset().prune("s", keep=0.5, order="hard", passes=1))) == 1
