"""``teachers="heads"``: every label metric for whoever has an encoder only."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset
from sklearn.datasets import make_blobs

import hf_prune
from hf_prune.heads.runs import train_heads
from hf_prune.heads.settings import Heads
from hf_prune.metrics import get_metric
from hf_prune.scoring import Request
from hf_prune.scoring.from_heads import heads_of
from hf_prune.scoring.from_models import embed
from hf_prune.scoring.pool import unit
from hf_prune.scoring.run import with_run
from tests.helpers.tiny_sets import make_set, noise

# A few heads on thirty rows rank them by chance, and are said to do so.
pytestmark = pytest.mark.filterwarnings("default:the two halves of the")
ROWS, NAMES = 30, ["a", "b", "c"]
POINTS, LABELS = make_blobs(ROWS, n_features=5, centers=3, random_state=0)
POINTS /= np.linalg.norm(POINTS, axis=1, keepdims=True)
SMALL = Heads(num_heads=4, num_epochs=2, hidden=4, batch_size=8)
RUNS = Heads(num_heads=12, num_epochs=2, hidden=4, batch_size=8, subset=0.5)


def dataset(labels=LABELS) -> Dataset:
    ds = Dataset.from_dict({"x": list(range(len(labels)))})
    return ds.add_column("label", list(map(int, labels)), feature=ClassLabel(names=NAMES))


def score(metric, heads, ds=None, **options):
    options = {"inputs": {"embeddings": POINTS}, "load_from_cache_file": False, "device": "cpu", **options}
    options = with_run(hf_prune.score_with, options)
    return hf_prune.score_with(ds if ds is not None else dataset(), metric, teachers=heads, **options)


def figures_of(scored):
    return hf_prune.provenance(scored).steps[-1].figures


def test_probabilities_are_those_of_an_early_ensemble():
    scored = score("el2n", SMALL)
    probs = train_heads(POINTS, LABELS, SMALL, num_classes=3, need="probs").probs
    np.testing.assert_allclose(scored["el2n"], get_metric("el2n").function(probs, LABELS), rtol=1e-5)
    step = hf_prune.provenance(scored).steps[-1]
    source = step.inputs["probs"]
    assert source["heads"]["num_heads"] == 4
    assert source["label_column"] == "label"
    assert "given_sha256" in source
    assert step.figures["members"] == 4


def test_gradient_norms_of_heads_are_those_of_backpropagation():
    for hidden in (0, 4):
        heads = Heads(num_heads=2, num_epochs=2, hidden=hidden, batch_size=8)
        scored = score("grand", heads)
        runs = train_heads(POINTS, LABELS, heads, num_classes=3, need="probs")
        np.testing.assert_allclose(scored["grand"], runs.grad_norms.mean(axis=0), rtol=1e-5)
        assert runs.grad_norms.shape == (2, ROWS)


# Windows of ten epochs, the default, are longer than this training.
@pytest.mark.parametrize(
    ("metric", "options"),
    [
        ("forgetting", {}),
        ("aum", {}),
        ("confidence", {}),
        ("variability", {}),
        ("dyn_unc", {"window": 2}),
        ("tdds", {"window": 3}),
    ],
)
def test_trainings_are_watched(metric, options):
    heads = Heads(num_heads=2, num_epochs=4, hidden=4, batch_size=8)
    scored = score(metric, heads, **options)
    runs = train_heads(POINTS, LABELS, heads, num_classes=3, need="dynamics")
    names = get_metric(metric).inputs
    arrays = {name: np.stack([record.read(name) for record in runs.records]) for name in names}
    np.testing.assert_allclose(scored[metric], get_metric(metric).function(**arrays, **options), rtol=1e-5)


def test_subset_runs_give_memorization_with_the_fit_of_the_heads():
    scored = score("memorization", RUNS)
    runs = train_heads(POINTS, LABELS, RUNS, num_classes=3, need="runs")
    trained_on, hits = (
        np.stack([getattr(record, name) for record in runs.records]) for name in ("trained_on", "hits")
    )
    expected = get_metric("memorization").function(trained_on, hits)
    np.testing.assert_allclose(scored["memorization"], expected, atol=1e-6)
    assert figures_of(scored)["fit"] == pytest.approx(runs.fit, abs=1e-4)
    assert figures_of(scored)["members"] == 12


def test_influence_is_on_the_test_set():
    encoded = noise(ROWS)
    ds = make_set(encoded).add_column("label", list(map(int, LABELS)), feature=ClassLabel(names=NAMES))
    test = ds.select(range(7))
    options = {"inputs": {}, "encoder": "pixels", "image_size": 4}
    scored = score("influence_max", RUNS, ds, test_dataset=test, **options)
    points = unit(
        embed(
            ds, Request(encoder="pixels", run=hf_prune.Run(image_size=4, device="cpu", load_from_cache_file=False))
        ).values
    )[0]
    tests = {"test_embeddings": points[:7], "test_labels": LABELS[:7]}
    runs = train_heads(points, LABELS, RUNS, num_classes=3, need="runs", **tests)
    trained_on, hits = (
        np.stack([getattr(record, name) for record in runs.records]) for name in ("trained_on", "test_hits")
    )
    expected = get_metric("influence_max").function(trained_on, hits)
    np.testing.assert_allclose(scored["influence_max"], expected, atol=1e-6)
    assert hf_prune.provenance(scored).steps[-1].inputs["test_hits"]["encoder"]["kind"] == "pixels"
    with pytest.raises(ValueError, match="has no test set"):
        score("influence_max", RUNS, ds, **options)
    other = test.cast_column("label", ClassLabel(names=["x", "y", "z"]))
    with pytest.raises(ValueError, match=r"the test set has the classes \['x', 'y', 'z'\]"):
        score("influence_max", RUNS, ds, test_dataset=other, **options)


def test_heads_on_the_rows_with_a_label_score_all_rows():
    labels = LABELS.copy()
    labels[[3, 20]] = -1
    known = labels >= 0
    guesses = train_heads(
        POINTS, np.maximum(labels, 0), SMALL, num_classes=3, need="probs", trainable=known
    ).probs.mean(axis=0)
    completed = np.where(known, labels, guesses.argmax(axis=1))
    runs = train_heads(POINTS, completed, SMALL, num_classes=3, need="dynamics", trainable=known)
    margins = np.stack([record.read("margins") for record in runs.records])
    scored = score("aum", SMALL, dataset(labels))
    np.testing.assert_allclose(scored["aum"], get_metric("aum").function(margins), rtol=1e-5)
    assert figures_of(scored)["rows_without_label"] == 2
    given = score("aum", SMALL, dataset(), inputs={"embeddings": POINTS, "labels": labels})
    np.testing.assert_allclose(given["aum"], scored["aum"])
    probs = train_heads(POINTS, completed, SMALL, num_classes=3, need="probs", trainable=known).probs
    scored = score("el2n", SMALL, dataset(labels))
    np.testing.assert_allclose(scored["el2n"], get_metric("el2n").function(probs, completed), rtol=1e-5)


def test_no_head_learns_from_a_row_without_a_label():
    known = np.arange(ROWS) % 3 > 0
    other = np.where(known, LABELS, (LABELS + 1) % 3)
    for heads in (SMALL, Heads(num_heads=2, num_epochs=2, hidden=4, batch_size=8, out_of_fold=True)):
        one, two = (
            train_heads(POINTS, labels, heads, num_classes=3, need="probs", trainable=known)
            for labels in (LABELS, other)
        )
        np.testing.assert_array_equal(one.probs, two.probs)
        assert (one.records[0].trained_on == known).all()
    with pytest.raises(ValueError, match=r"^trainable= is int64 of shape \(30,\); give 30 bools, one true at least$"):
        train_heads(POINTS, LABELS, SMALL, trainable=LABELS)


def test_what_compares_heads_needs_the_label_of_every_row_and_no_labels_are_too_few():
    labels = LABELS.copy()
    labels[[3, 20]] = -1
    with pytest.raises(ValueError, match="2 rows have no label"):
        score("memorization", RUNS, dataset(labels))
    found = score("memorization", RUNS, dataset(labels), on_error="skip")
    assert [row for row, value in enumerate(found["memorization"]) if value is None] == [3, 20]
    with pytest.raises(ValueError, match=r"^none of the 30 rows has a label: heads have nothing to learn from$"):
        score("el2n", SMALL, dataset(np.full(ROWS, -1)))


def test_heads_are_kept_and_used_again(tmp_path):
    first = score("memorization", RUNS, load_from_cache_file=True, cache_dir=tmp_path)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "heads").rglob("*.safetensors")}
    assert kept
    again = score("memorization", RUNS, load_from_cache_file=True, cache_dir=tmp_path)
    assert again["memorization"][:] == first["memorization"][:]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "heads").rglob("*.safetensors")} == kept


def test_metrics_of_one_need_share_the_heads():
    both = score(["aum", "confidence", "el2n"], SMALL)
    for metric in ("aum", "confidence", "el2n"):
        assert both[metric][:] == score(metric, SMALL)[metric][:]
    margins = [step.inputs for step in hf_prune.provenance(both).steps]
    assert margins[0]["margins"]["heads"] == margins[1]["label_probs"]["heads"]
    assert margins[2]["probs"]["heads"]["num_epochs"] == 2


def test_how_heads_are_asked_for():
    assert heads_of("heads") == heads_of(["heads"]) == Heads()
    assert heads_of({"heads": {"num_heads": 3}}) == heads_of(Heads(num_heads=3)) == Heads(num_heads=3)
    for other in (None, "me/teacher", ["a", "heads"], {"heads": {}, "x": 1}, (1, 2)):
        assert heads_of(other) is None


@pytest.mark.parametrize(
    ("metric", "options", "message"),
    [
        ("el2n", {"inputs": {}}, "needs embeddings: pass encoder="),
        ("el2n", {"inputs": {"embeddings": POINTS[:5]}}, "its axis 0 must hold the 30 rows"),
        ("el2n", {"inputs": {"margins": POINTS[:, :2]}}, "metric 'el2n' takes probs, labels, embeddings"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(metric, options, message):
    with pytest.raises(ValueError, match=message):
        score(metric, SMALL, **options)


@pytest.mark.parametrize(
    ("metric", "when"), [("forgetting", "from epoch 1 on"), ("memorization", "after the training")]
)
def test_heads_that_diverged_are_refused(metric, when):
    heads = Heads(num_heads=4, num_epochs=2, hidden=4, batch_size=8, learning_rate=1e38)
    with pytest.raises(
        ValueError, match=rf"^30 of 30 rows .* not finite {when} in training 1 of 4: give the heads a lower"
    ):
        score(metric, heads, **({"estimator": "sampled"} if metric == "memorization" else {}))
