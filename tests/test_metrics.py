"""One contract that every registered metric keeps, and each metric against an independent computation."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

from hf_prune.clustering import spherical_kmeans
from hf_prune.metrics import get_metric, list_metrics
from hf_prune.metrics.prototypes import default_num_prototypes
from hf_prune.seeds import row_uniform

CLASSES, TEACHERS, DIMENSIONS = 3, 4, 6
METRICS = [pytest.param(metric, id=metric.name) for metric in list_metrics()]


def unit(values) -> np.ndarray:
    values = np.asarray(values, dtype=np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def softmax(logits) -> np.ndarray:
    exponents = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def cases(num_rows=41, seed=0) -> dict[str, np.ndarray]:
    """Arrays for every input, of which row 0 is a hard case in every sense and row 1 an easy one.

    Class c lies around the axis c and the teachers know it; row 0 lies on an axis of its own and is thought to belong
    to another class.
    """
    generator = np.random.default_rng(seed)
    labels = np.arange(num_rows) % CLASSES
    embeddings = np.eye(DIMENSIONS)[labels] + generator.normal(scale=0.1, size=(num_rows, DIMENSIONS))
    embeddings[0], embeddings[1] = [0.2, 0, 0, 1, 1, 1], np.eye(DIMENSIONS)[labels[1]]
    logits = 2 * np.eye(CLASSES)[labels] + generator.normal(size=(TEACHERS, num_rows, CLASSES))
    logits[:, 0], logits[:, 1] = [-5, 5, 0], 9 * np.eye(CLASSES)[labels[1]]
    rows = np.arange(num_rows)
    return {"embeddings": unit(embeddings), "labels": labels, "probs": softmax(logits), "rows": rows}


def call(metric, arrays, **options):
    taken = {name: arrays[name] for name in metric.inputs}
    return np.asarray(metric.function(**taken, **metric.resolve_options(options, len(arrays["rows"]))))


def reordered(arrays, order):
    moved = {name: array[order] for name, array in arrays.items() if name != "probs"}
    return moved | {"probs": arrays["probs"][:, order]}


@pytest.mark.parametrize("metric", METRICS)
def test_one_score_per_row_finite_or_infinite(metric):
    scores = call(metric, cases())
    assert scores.shape == (41,)
    assert scores.dtype.kind == "f"
    assert (np.isfinite(scores) | np.isposinf(scores)).all()


@pytest.mark.parametrize("metric", METRICS)
def test_the_inputs_are_left_as_they_are(metric):
    arrays = cases()
    for array in arrays.values():
        array.setflags(write=False)
    first = call(metric, arrays)
    assert first.tobytes() == call(metric, arrays).tobytes()


@pytest.mark.parametrize("metric", METRICS)
def test_scores_move_with_their_rows(metric):
    """Seeded metrics go by row number, which moves along here."""
    arrays, order = cases(), np.random.default_rng(1).permutation(41)
    moved, scores = call(metric, reordered(arrays, order)), call(metric, arrays)[order]
    np.testing.assert_allclose(moved, scores, atol=1e-9)


@pytest.mark.parametrize("metric", [param for param in METRICS if not param.values[0].baseline])
def test_a_hard_case_scores_above_an_easy_one(metric):
    options = {"num_prototypes": CLASSES} if "num_prototypes" in metric.options else {}
    scores = call(metric, cases(), **options)
    assert scores[0] > scores[1]
    assert scores.argmax() == 0


@pytest.mark.parametrize("metric", METRICS)
def test_a_single_row_can_be_scored(metric):
    assert np.isfinite(call(metric, reordered(cases(), np.array([1])))).all()


@pytest.mark.parametrize("metric", [param for param in METRICS if param.values[0].seeded])
def test_the_seed_decides(metric):
    scores = [call(metric, cases(), seed=seed).tolist() for seed in (0, 0, 1)]
    assert scores[0] == scores[1]
    assert metric.name != "random" or scores[0] != scores[2]


def test_el2n_by_hand():
    el2n = get_metric("el2n").function
    probs = np.array([[[0.5, 0.5], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]])
    labels = np.array([0, 1])
    # Row 0: (sqrt(1/2) + 0) / 2. Row 1: (0 + sqrt(2)) / 2.
    np.testing.assert_allclose(el2n(probs, labels), [math.sqrt(0.5) / 2, math.sqrt(2) / 2])
    np.testing.assert_allclose(el2n(probs, labels, ord=1), [0.5, 1.0])
    np.testing.assert_allclose(el2n(probs[0], labels), el2n(probs[:1], labels))


def test_el2n_agrees_with_plain_loops():
    arrays = cases()
    expected = []
    for row, label in enumerate(arrays["labels"].tolist()):
        norms = []
        for teacher in arrays["probs"].tolist():
            error = [prob - (number == label) for number, prob in enumerate(teacher[row])]
            norms.append(math.sqrt(sum(value * value for value in error)))
        expected.append(sum(norms) / len(norms))
    np.testing.assert_allclose(call(get_metric("el2n"), arrays), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("probs", "labels", "options", "message"),
    [
        (np.array([[2.0, -1.0]]), [0], {}, "give the softmax of the logits"),
        (np.array([[0.5, 0.6]]), [0], {}, "give the softmax of the logits"),
        (np.array([[np.nan, 1.0]]), [0], {}, "give the softmax of the logits"),
        (np.eye(2), [0, 2], {}, "labels 0 … 2, but the teachers know 2 classes"),
        (np.eye(2), [0, -1], {}, "labels -1 … 0, but the teachers know 2 classes"),
        (np.eye(2), [0], {}, r"probs of shape \(1, 2, 2\) for 1 labels; give \(teachers, n, classes\)"),
        (np.empty((0, 2, 2)), [0, 1], {}, r"give \(teachers, n, classes\)"),
        (np.eye(2), [0, 1], {"ord": 0}, "ord=0 is not a norm"),
    ],
)
def test_el2n_refuses_what_are_no_probabilities(probs, labels, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        get_metric("el2n").function(probs, np.array(labels), **options)
    assert "\n" not in str(caught.value)


def test_supervised_prototypes_by_hand():
    points = unit([[1, 0], [0, 1], [1, 0], [-1, 0]])
    scores = get_metric("supervised_prototypes").function(points, np.array([5, 5, 7, 8]))
    # The mean of class 5 points halfway; those of 7 and 8 are the rows themselves.
    np.testing.assert_allclose(scores, [1 - math.sqrt(0.5), 1 - math.sqrt(0.5), 0, 0], atol=1e-7)


def test_supervised_prototypes_agree_with_scipy():
    points = unit(load_digits().data[:300] + 0.1)
    labels = load_digits().target[:300]
    expected = np.empty(300)
    for label in range(10):
        own = labels == label
        expected[own] = cdist(points[own], points[own].mean(axis=0, keepdims=True), "cosine")[:, 0]
    found = get_metric("supervised_prototypes").function(points, labels)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_class_without_a_direction_is_at_distance_one():
    points = unit([[1, 0], [-1, 0], [0, 1]])
    scores = get_metric("supervised_prototypes").function(points, np.array([0, 0, 1]))
    np.testing.assert_allclose(scores, [1, 1, 0], atol=1e-7)


def test_labels_may_be_ids():
    arrays = cases()
    ids = np.array([10**15, 3, 2_000_000_000])[arrays["labels"]]
    scores = get_metric("supervised_prototypes").function(arrays["embeddings"], ids)
    np.testing.assert_allclose(scores, call(get_metric("supervised_prototypes"), arrays), atol=1e-12)


def test_prototypes_score_the_distance_to_the_nearest_that_scipy_finds():
    points = unit(load_digits().data[::3] + 0.1)
    scores = get_metric("prototypes").function(points, num_prototypes=10, seed=2)
    centroids = spherical_kmeans(points, np.arange(len(points)), 10, seed=2).centroids
    np.testing.assert_allclose(scores, cdist(points, centroids, "cosine").min(axis=1), atol=1e-6)


def test_prototypes_of_tight_groups_by_hand():
    # Two groups of two at 10 degrees from each other; the prototype lies between, 5 degrees from both.
    angles = np.radians([0, 10, 90, 100])
    points = unit(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    scores = get_metric("prototypes").function(points, num_prototypes=2)
    np.testing.assert_allclose(scores, 1 - math.cos(math.radians(5)), atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "prototypes"), [(0, 1), (1, 1), (4, 1), (1797, 19), (50_000, 100), (1_281_167, 506), (10**8, 1000)]
)
def test_the_default_number_of_prototypes(rows, prototypes):
    assert default_num_prototypes(rows) == prototypes
    assert get_metric("prototypes").resolve_options({}, rows)["num_prototypes"] == prototypes


def test_random_is_drawn_by_row_number():
    random = get_metric("random").function
    assert random(np.array([9, 2]), seed=1).tolist() == row_uniform(np.arange(10), 1)[[9, 2]].tolist()
