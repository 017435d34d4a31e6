"""Evidence, pictures and the like never cost the result that they stand beside: a warning says what is missing and why."""

import os
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import hf_prune
from hf_prune.metrics import register_metric, unregister_metric
from hf_prune.policy import budget, trial
from hf_prune.policy.recommend import recommend  # before the fixture: it takes a constant over
from hf_prune.pruning import decide
from hf_prune.runtime.optional_results import extra, extra_of_all
from tests.helpers.weighed_sets import hasty_trials, short_trials  # noqa: F401  # a fixture for every test here

ROWS = 200  # the fewest that rules are judged on
EXAMPLES = int(os.environ.get("HF_PRUNE_SMALL_SETS", "12"))  # more by hand: each takes up to a second


@pytest.fixture(scope="module", autouse=True)
def one_epoch():
    """What the heads learn is of no account here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial, "num_epochs", lambda _: 1)
        patch.setattr(budget, "KEEPS", (0.5,))
        yield


def labelled(codes, **columns) -> Dataset:
    names = [f"class {code}" for code in range(int(np.max(codes)) + 1)]
    kinds = {"label": ClassLabel(names=names)} | {name: Value("float64") for name in columns}
    return Dataset.from_dict({"label": codes, **columns}, features=Features(kinds))


def score(ds: Dataset, points: np.ndarray, metric="supervised_prototypes", **options):
    """The scores, the evidence and what was said."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        scored = ds.score_with(metric, inputs={"embeddings": points}, **options)
    return scored[metric][:], hf_prune.provenance(scored).steps[-1].evidence, [str(one.message) for one in said]


@pytest.mark.parametrize("make", [extra, extra_of_all])
def test_what_fails_is_left_out_and_named(make):
    def fail():
        raise RuntimeError("out of\nmemory")

    assert make(lambda: [3], "the number") == [3]
    message = r"^the number was left out, all else is complete \(RuntimeError: out of memory\)$"
    with pytest.warns(UserWarning, match=message):
        assert make(fail, "the number") is None


@pytest.mark.parametrize("make", [extra, extra_of_all])
def test_who_interrupts_is_heard(make):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(interrupt, "the number")


@dataclass(frozen=True)
class SmallSet:
    """Some 200 rows of few classes, each with few or many different embeddings; rows of a class may all be the same."""

    different: list[int]
    shares: list[int]
    unlabelled: int
    seed: int

    def make(self) -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng(self.seed)
        shares = np.array(self.shares[: len(self.different)])
        codes = generator.choice(len(shares), ROWS + 5, p=shares / shares.sum())
        points = np.ones((ROWS + 5, 3), dtype=np.float32)
        for code, count in enumerate(self.different):
            rows = np.flatnonzero(codes == code)
            points[rows] += generator.normal(size=(count, 3))[generator.integers(0, count, len(rows))]
        return points, np.where(np.arange(ROWS + 5) < self.unlabelled, -1, codes)


SMALL_SETS = st.builds(
    SmallSet,
    different=st.lists(st.sampled_from([1, 1, 2, 4, 6, ROWS]), min_size=1, max_size=3),
    shares=st.sampled_from([[1, 1, 1], [20, 1, 1], [1, 20, 1]]),
    unlabelled=st.sampled_from([0, 0, 6]),
    seed=st.integers(0, 99),
)


@given(SMALL_SETS)
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, phases=[Phase.generate])
def test_what_can_be_scored_is_scored_with_or_without_evidence(small):
    points, codes = small.make()
    ds, options = labelled(codes), {"on_error": "skip", "num_prototypes": 2, "metric": "prototypes"}
    plain, nothing, silence = score(ds, points, evidence=False, **options)
    found, evidence, said = score(ds, points, **options)
    assert (found, nothing, silence) == (plain, None, [])
    classes, sizes = np.unique(codes[codes >= 0], return_counts=True)
    different = [len(np.unique(points[codes == code], axis=0)) for code in classes]
    if sizes.sum() < ROWS or (sizes >= 5).sum() < 2:
        assert (evidence, said) == (None, [])  # as documented, for all such sets
    elif sum(count >= 5 for count in different) < 2:
        assert evidence is None
        assert len(said) == 1
        assert said[0].startswith("the evidence on 'prototypes' for order='auto' was left out, all else is complete (")
        assert "fewer than two classes have 5 different embeddings" in said[0]
    else:
        assert evidence is not None
        assert said == []


def test_a_class_of_placeholders_is_scored():
    points = np.random.default_rng(0).normal(size=(240, 4)).astype(np.float32)
    points[120:] = points[120]
    ds = labelled(np.repeat([0, 1], 120))
    scores, evidence, said = score(ds, points)
    assert len(scores) == 240
    assert evidence is None
    assert len(said) == 1
    with pytest.raises(
        ValueError, match=r"^fewer than two classes have 5 different embeddings"
    ):  # asked for, it is said
        recommend(ds.add_column("s", np.arange(240.0)), "s", inputs={"embeddings": points})


def test_what_nobody_foresaw_in_the_evidence_is_named(monkeypatch):
    points = np.random.default_rng(0).normal(size=(ROWS, 4)).astype(np.float32)

    def fail(matrix):
        raise np.linalg.LinAlgError("no convergence")

    monkeypatch.setattr(np.linalg, "eigh", fail)
    scores, evidence, said = score(labelled(np.arange(ROWS) % 2), np.repeat(points, 16, axis=1))
    assert len(scores) == ROWS
    assert evidence is None
    assert [line.partition("(")[2] for line in said] == ["LinAlgError: no convergence)"]


def test_labels_that_only_evidence_reads_stop_nothing():
    points = np.random.default_rng(0).normal(size=(ROWS, 4)).astype(np.float32)
    features = Features({"label": ClassLabel(names=["a", "b"])})
    table = Dataset.from_dict({"label": np.arange(ROWS) % 2}).data.table.cast(features.arrow_schema)
    ds = Dataset(table.set_column(0, features.arrow_schema.field(0), [[7] * ROWS]))
    scores, evidence, said = score(ds, points, "prototypes", num_prototypes=2)
    assert (len(scores), evidence) == (ROWS, None)
    assert len(said) == 1
    assert "InputError: label 7 in column 'label', whose ClassLabel names 2 classes" in said[0]


def test_a_label_column_that_is_named_has_to_be_there_all_the_same():
    points = np.random.default_rng(0).normal(size=(ROWS, 4)).astype(np.float32)
    ds = labelled(np.arange(ROWS) % 2)
    with pytest.raises(ValueError, match=r"^no column 'lable'"):
        score(ds, points, "prototypes", label_column="lable")


def test_a_metric_that_half_an_ensemble_cannot_have_is_scored():
    def picky(probs):
        """Score by at least four teachers."""
        if len(probs) < 4:
            raise ValueError("give four teachers or more")
        return probs.mean(axis=(0, 2))

    register_metric("picky")(picky)
    try:
        ds = Dataset.from_dict({"x": list(range(6))})
        probs = np.random.default_rng(0).random((4, 6, 3))
        with pytest.warns(UserWarning, match=r"^the comparison of two halves of the members by 'picky' was left out"):
            scored = ds.score_with("picky", inputs={"probs": probs})
    finally:
        unregister_metric("picky")
    assert len(scored["picky"]) == 6


def test_evidence_on_record_that_cannot_be_read_stops_no_order_that_was_named(monkeypatch):
    def fail(ds, column):
        raise ValueError("this is no evidence of hf_prune: score again")

    monkeypatch.setattr(decide, "recorded_evidence", fail)
    ds = labelled(np.arange(20) % 2, s=np.arange(20.0))
    with pytest.warns(
        UserWarning, match=r"^what the evidence on record says of order='hard' was left out, .*score again"
    ):
        assert len(ds.prune("s", keep=0.5, order="hard")) == 10
    with pytest.raises(ValueError, match="score again"):  # here it would decide what is kept
        ds.prune("s", keep=0.5)


def test_auto_goes_by_rows_per_class_where_the_rows_are_too_few_to_weigh_it():
    ds = labelled(np.arange(20) % 2, s=np.arange(20.0))
    points = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    with pytest.warns(
        UserWarning, match=r"^order='auto': there is no evidence on 's' \(20 rows .* too few to judge by: "
    ):
        kept = ds.prune("s", keep=0.8, inputs={"embeddings": points})
    assert len(kept) == 16
