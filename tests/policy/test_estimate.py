"""Estimates against counted work: the clock stands still but for what models do."""

import time

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Image

import hf_prune
from hf_prune.engine.breakdown import Breakdown, Pass
from hf_prune.metrics import get_metric
from hf_prune.policy import estimate as estimates
from hf_prune.policy.budget import Trainings, expected_seconds
from hf_prune.policy.estimate import Estimate, disk_of, seconds_of, trial_rows
from hf_prune.policy.gathering import EvidenceWhileScoring
from hf_prune.policy.pace import SHARE, Pace
from hf_prune.scoring import Request
from tests.helpers.clock import Clock
from tests.helpers.tiny_sets import WEIGHTS, encode, files_under, make_model, make_set, to_tensor
from tests.helpers.weighed_sets import dataset, points_and_labels

ROWS = 1500
PACE = Pace(products=1e9, step=1e-4, crowding=1.0, num_threads=1)


@pytest.fixture
def clock(monkeypatch):
    own = Clock()
    monkeypatch.setattr(time, "perf_counter", own)
    monkeypatch.setattr(estimates, "measure_pace", lambda: PACE)
    return own


@pytest.fixture(scope="module")
def many() -> Dataset:
    shades = np.arange(ROWS)
    pixels = np.stack([shades % 256, shades // 256, shades * 0 + 9], axis=1).astype(np.uint8)
    return make_set([encode(pixel[None, None]) for pixel in pixels])


def slow_model(clock, *, per_image=0.5, per_batch=3.0, first=40.0, opening=7.0, preprocessing=0.0):
    """A model that takes its time, more for the first batch."""

    def load(device):
        clock.now += opening
        batches = []

        def forward(batch):
            clock.now += per_image * len(batch) + per_batch + first * (not batches)
            batches.append(batch)
            return batch @ WEIGHTS

        return forward, lambda: None

    def collate(images):
        clock.now += preprocessing * len(images)
        return to_tensor(images)

    return make_model(load=load, collate=collate)


@pytest.mark.parametrize(
    "how",
    [{}, {"first": 400.0}, {"per_image": 0.01}, {"per_batch": 0.0, "opening": 900.0}],
    ids=["usual", "slow first batch", "by batches", "slow opening"],
)
def test_an_estimate_is_within_a_factor_of_two_of_what_is_counted(clock, many, tmp_path, how):
    run = hf_prune.Run(cache_dir=tmp_path, device="cpu")
    arguments = {"encoder": slow_model(clock, **how), "run": run, "num_prototypes": 4}
    found = hf_prune.estimate(many, "prototypes", **arguments)
    assert files_under(tmp_path) == []  # nothing of the trial is kept
    begun = clock.now
    many.score_with("prototypes", **arguments)
    counted = clock.now - begun
    assert counted / 2 <= found.parts["Embedding"] <= 2 * counted
    assert found.disk == ROWS * (5 * 4 + 16)
    assert hf_prune.estimate(many, "prototypes", **arguments).parts["Embedding"] == 0.0  # all is in the cache


def test_rows_that_the_cache_has_are_not_counted(clock, many, tmp_path):
    arguments = {"encoder": slow_model(clock, first=0.0, opening=0.0), "run": hf_prune.Run(cache_dir=tmp_path)}
    whole = hf_prune.estimate(many, "prototypes", **arguments)
    many.select(range(0, ROWS, 2)).score_with("prototypes", **arguments)
    half = hf_prune.estimate(many, "prototypes", **arguments)
    assert half.parts["Embedding"] == pytest.approx(whole.parts["Embedding"] / 2, rel=0.15)
    assert half.disk == pytest.approx(whole.disk / 2, rel=0.15)


def test_of_a_slow_feeder_its_seconds_count(clock, many):
    """The thread that preprocesses has a clock of its own here."""
    model = slow_model(clock, per_image=0.0, per_batch=0.0, first=0.0, opening=0.0, preprocessing=2.0)
    found = hf_prune.estimate(many, "prototypes", encoder=model, run=hf_prune.Run(load_from_cache_file=False))
    assert found.parts["Embedding"] == pytest.approx(2.0 * ROWS)
    assert found.disk == 0


def test_seconds_of_a_pass_by_hand():
    seconds = Breakdown(
        read=2.0, decode=30.0, preprocess=9.0, waiting=5.0, open=4.0, transfer=10.0, forward=110.0, write=20.0
    )
    done = Pass("Embedding", 200, 50, 100, seconds, 20, 40.0, 2, 384, 2)
    # 80 later images in 80 s, and 0.2 s to write each; of 2 workers one makes an image in 0.2 s; half of 1,000 x 3/4 are computed.
    assert seconds_of(done, 1000) == pytest.approx(1000 * 0.005 + 4.0 + (40 - 20) + 375 * 1.2)
    assert disk_of(done, 1000) == 375 * (2 * 384 + 16)
    slow = Pass("Embedding", 200, 0, 100, Breakdown(decode=500.0, forward=9.0), 100, 9.0, 2, 384, 0)
    assert seconds_of(slow, 1000) == pytest.approx(500 * 2.5)
    assert disk_of(slow, 1000) == 0


def test_clustering_and_evidence_are_counted(clock):
    points, labels, _ = points_and_labels(400)
    ds = dataset(labels)
    given = {"inputs": {"embeddings": points}, "num_prototypes": 7, "num_iterations": 10}
    found = hf_prune.estimate(ds, "prototypes", **given)
    size, classes = points.shape[1], len(np.unique(labels))
    evidence = expected_seconds(400, size, classes, refitted=False, by_embeddings=True, pace=PACE)
    work = 400 * size * 10 * (7 * estimates.PER_CENTROID + estimates.PER_NUMBER)
    assert found.parts == pytest.approx({"k-means": work / (SHARE * 1e9), "evidence": evidence})
    twice = hf_prune.estimate(ds, "prototypes", evidence=False, num_init=2, **given)
    assert twice.parts == pytest.approx({"k-means": 2 * work / (SHARE * 1e9)})
    fast = hf_prune.estimate(
        ds, "prototypes", evidence=False, algorithm="hierarchical", **given | {"num_prototypes": 49}
    )
    flat = hf_prune.estimate(ds, "prototypes", evidence=False, **given | {"num_prototypes": 14})
    assert fast.parts == pytest.approx(flat.parts)  # two levels of seven
    assert "evidence" not in hf_prune.estimate(ds.select(range(100)), "random").parts


def test_heads_are_counted_once_for_all_metrics_of_a_kind(clock):
    points, labels, _ = points_and_labels(400)
    arguments = {"teachers": hf_prune.Heads(num_heads=6, hidden=32, num_epochs=2), "inputs": {"embeddings": points}}
    found = hf_prune.estimate(dataset(labels), ["el2n", "margin"], **arguments)
    size, classes = points.shape[1], len(np.unique(labels))
    kind = Trainings(1, 6, 32, 400, 200, 2)
    assert found.parts["heads"] == pytest.approx(PACE.seconds(kind.work(size, classes), kind.steps(size, classes, 1)))
    apart = {**arguments, "teachers": hf_prune.Heads(num_heads=6, hidden=32, num_epochs=2, out_of_fold=True)}
    unseen = hf_prune.estimate(dataset(labels), "el2n", evidence=False, **apart)
    kind = Trainings(1, 30, 32, 320, 200, 2)  # five of each on four fifths of the rows
    assert unseen.parts["heads"] == pytest.approx(PACE.seconds(kind.work(size, classes), kind.steps(size, classes, 1)))
    evidence = expected_seconds(400, size, classes, refitted=True, by_embeddings=True, pace=PACE)
    further = expected_seconds(400, size, classes, refitted=True, by_embeddings=True, again=True, pace=PACE)
    assert found.parts["evidence"] == pytest.approx(evidence + further)


def test_rows_that_cannot_be_read_are_for_scoring_to_name(clock, many):
    rows = [{"bytes": b"broken", "path": None}, *many.cast_column("image", Image(decode=False))["image"][1:700]]
    broken = Dataset.from_dict({"image": rows}, features=many.features)
    arguments = {"encoder": slow_model(clock), "run": hf_prune.Run(load_from_cache_file=False), "num_prototypes": 4}
    assert hf_prune.estimate(broken, "prototypes", **arguments).parts["Embedding"] > 0
    with pytest.raises(ValueError, match=r"^row 0: "):
        broken.score_with("prototypes", **arguments)


def test_splits_add_up(clock, many):
    model = slow_model(clock, first=0.0, opening=0.0)
    arguments = {"encoder": model, "run": hf_prune.Run(load_from_cache_file=False)}
    one = hf_prune.estimate(many, "prototypes", **arguments)
    both = hf_prune.estimate(DatasetDict(a=many, b=many), "prototypes", splits=["a", "b"], **arguments)
    assert both.seconds == pytest.approx(2 * one.seconds)
    assert one.memory > 1e7


def test_rows_to_try_are_spread_and_of_few_rows_few():
    ds = Dataset.from_dict({"x": range(5000)})
    rows = trial_rows(ds, Request())
    assert len(np.unique(rows)) == 256
    assert (np.histogram(rows, bins=5, range=(0, 5000))[0] > 30).all()
    assert trial_rows(ds, Request()).tolist() == rows.tolist()
    assert len(trial_rows(ds, Request(run=hf_prune.Run(batch_size=200)))) == 400
    assert len(trial_rows(ds.select(range(1000)), Request())) == 100
    assert trial_rows(ds.select(range(3)), Request()).tolist() == [0, 1, 2]


def test_one_row_of_each_class_without_a_name_is_tried():
    codes = np.zeros(5000, np.int64)
    codes[1234], codes[1236] = 1, 2
    ds = Dataset.from_dict({"y": codes})
    rows = trial_rows(ds, Request(teachers="any", label_column="y"))
    assert {0, 1234, 1236} <= set(rows.tolist())
    named = ds.cast_column("y", ClassLabel(num_classes=3))
    assert len(trial_rows(named, Request(teachers="any", label_column="y"))) == 256


def test_an_estimate_is_printed_with_its_parts():
    found = Estimate({"Embedding": 700.0, "evidence": 25.0}, 1_240_000_000, 310_000_000)
    assert repr(found) == ("about 12 min, 1.2 GB memory, 310 MB in the cache\n  Embedding  12 min\n  evidence   25 s")
    both = found + Estimate({"k-means": 5.0, "evidence": 5.0}, 2_000_000_000, 1)
    assert both == Estimate({"Embedding": 700.0, "evidence": 30.0, "k-means": 5.0}, 2_000_000_000, 310_000_001)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda ds: hf_prune.estimate(ds.to_iterable_dataset(), "random"),
            TypeError,
            "estimate needs rows that can be",
        ),
        (lambda ds: hf_prune.estimate(ds, "el2m"), KeyError, "unknown metric 'el2m'"),
        (lambda ds: hf_prune.estimate(ds, "prototypes"), ValueError, "pass encoder="),
        (lambda ds: hf_prune.estimate(ds, "random", num_prototypes=3), TypeError, "unknown option"),
        (
            lambda ds: hf_prune.estimate(ds, "prototypes", inputs={"embeddings": np.eye(2)}),
            ValueError,
            "must hold the 3 rows",
        ),
        (lambda ds: hf_prune.estimate(ds.select([]), "random"), ValueError, "the data set is empty"),
    ],
)
def test_what_cannot_be_scored_cannot_be_estimated(call, error, message):
    with pytest.raises(error, match=message):
        call(Dataset.from_dict({"x": [1, 2, 3]}))


def test_embeddings_that_stay_where_they_are_take_no_memory():
    """12 GB of embeddings: those of a metric that reads blocks stay, but for three copies of the sample of the evidence."""
    _, labels, _ = points_and_labels(400)
    done = Pass("Embedding", 400, 0, 400, Breakdown(), 64, 0.0, 0, 7_500_000, 4)
    metrics = [get_metric("prototypes")]
    work = estimates._Counted(dataset(labels), Request(), [done], PACE)
    whole = work.memory([*metrics, get_metric("memorization")])
    assert 36e9 < whole < 40e9
    assert work.memory(metrics) < whole - 30e9
    before = work.memory(metrics)
    work.of_evidence(metrics, {"prototypes": {}}, EvidenceWhileScoring())
    assert 2e9 < work.memory(metrics) - before < 40e9
