"""One contract that every registered metric keeps, whichever way it gets its scores."""

import numpy as np
import pytest

from hf_prune.metrics import get_metric, list_metrics
from hf_prune.runtime.seeds import row_uniform
from tests.helpers.metric_cases import AMBIGUOUS, CLASSES, EASY, EPOCHS, HARD, PER_EPOCH, cases, reordered, ways

METRICS = [pytest.param(metric, id=metric.name) for metric in list_metrics()]
WAYS = [
    pytest.param(metric, inputs, id=f"{metric.name}-{'-'.join(inputs)}")
    for metric in list_metrics()
    for inputs in ways(metric, cases())
]
FROM_EPOCHS = [way for way in WAYS if set(way.values[1]) & set(PER_EPOCH)]


def call(metric, inputs, arrays, **options):
    taken = {name: arrays[name] for name in inputs}
    return np.asarray(metric.function(**taken, **metric.resolve_options(options, len(arrays["rows"]))))


def test_every_metric_is_tried():
    assert {param.values[0].name for param in WAYS} == {metric.name for metric in list_metrics()}


@pytest.mark.parametrize(("metric", "inputs"), WAYS)
def test_one_score_per_row_finite_or_infinite(metric, inputs):
    scores = call(metric, inputs, cases())
    assert scores.shape == (41,)
    assert scores.dtype.kind == "f"
    assert (np.isfinite(scores) | np.isposinf(scores)).all()


@pytest.mark.parametrize(("metric", "inputs"), WAYS)
def test_the_inputs_are_left_as_they_are(metric, inputs):
    arrays = cases()
    for array in arrays.values():
        array.setflags(write=False)
    first = call(metric, inputs, arrays)
    assert first.tobytes() == call(metric, inputs, arrays).tobytes()


@pytest.mark.parametrize(("metric", "inputs"), WAYS)
def test_scores_move_with_their_rows(metric, inputs):
    """Seeded metrics go by row number, which moves along here."""
    arrays, order = cases(), np.random.default_rng(1).permutation(41)
    moved, scores = call(metric, inputs, reordered(arrays, order)), call(metric, inputs, arrays)[order]
    np.testing.assert_allclose(moved, scores, atol=1e-9)


@pytest.mark.parametrize(("metric", "inputs"), [way for way in WAYS if way.values[0].axis == "difficulty"])
def test_a_hard_case_scores_above_an_easy_one(metric, inputs):
    options = {"num_prototypes": CLASSES} if "num_prototypes" in metric.options else {}
    scores = call(metric, inputs, cases(), **options)
    assert scores[HARD] > scores[EASY]
    assert scores.argmax() == HARD


@pytest.mark.parametrize(("metric", "inputs"), [way for way in WAYS if way.values[0].axis == "uncertainty"])
def test_an_ambiguous_row_scores_above_one_that_is_never_learnt(metric, inputs):
    scores = call(metric, inputs, cases())
    assert scores.argmax() == AMBIGUOUS
    assert scores[HARD] < np.median(scores)


@pytest.mark.parametrize(("metric", "inputs"), WAYS)
def test_a_single_row_can_be_scored(metric, inputs):
    assert np.isfinite(call(metric, inputs, reordered(cases(), np.array([EASY])))).all()


@pytest.mark.parametrize(("metric", "inputs"), [way for way in WAYS if way.values[0].row_wise])
def test_a_row_wise_metric_needs_no_other_rows(metric, inputs):
    arrays, few = cases(), np.array([5, 7, 20])
    np.testing.assert_allclose(
        call(metric, inputs, reordered(arrays, few)), call(metric, inputs, arrays)[few], atol=1e-9
    )


# k-means counts the rows of all processes; here there is no other process that has any.
@pytest.mark.parametrize(("metric", "inputs"), [way for way in WAYS if way.values[0].name != "prototypes"])
def test_a_process_without_rows_gets_no_scores(metric, inputs):
    assert call(metric, inputs, reordered(cases(), np.arange(0))).shape == (0,)


@pytest.mark.parametrize(("metric", "inputs"), WAYS)
def test_half_precision_is_taken(metric, inputs):
    arrays = cases()
    half = {name: array.astype(np.float16) if array.dtype.kind == "f" else array for name, array in arrays.items()}
    scores = call(metric, inputs, half)
    assert scores.dtype != np.float16
    assert np.corrcoef(scores[1:], call(metric, inputs, arrays)[1:])[0, 1] > 0.999


@pytest.mark.parametrize(("metric", "inputs"), FROM_EPOCHS)
def test_two_equal_records_give_the_scores_of_one(metric, inputs):
    arrays = cases()
    twice = arrays | {name: np.stack([arrays[name]] * 2) for name in PER_EPOCH}
    np.testing.assert_allclose(call(metric, inputs, twice), call(metric, inputs, arrays), rtol=1e-12)


@pytest.mark.parametrize(("metric", "inputs"), FROM_EPOCHS)
def test_presentations_may_be_missing_but_not_all_of_a_row(metric, inputs):
    arrays = cases()
    for name in PER_EPOCH:
        arrays[name][:, 5] = np.nan
        arrays[name][np.arange(6, 20) % EPOCHS, np.arange(6, 20)] = np.nan
    scores = call(metric, inputs, arrays)
    assert np.flatnonzero(np.isnan(scores)).tolist() == [5]
    assert metric.undefined


@pytest.mark.parametrize(("metric", "inputs"), FROM_EPOCHS)
def test_a_record_of_another_shape_is_refused_in_one_line(metric, inputs):
    arrays = cases()
    flat = arrays | {name: arrays[name][0] for name in PER_EPOCH}
    with pytest.raises(ValueError, match=r"shape \(41,\); give \(epochs, n\)") as caught:
        call(metric, inputs, flat)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("metric", [param for param in METRICS if param.values[0].seeded])
def test_the_seed_decides(metric):
    scores = [call(metric, metric.inputs, cases(), seed=seed).tolist() for seed in (0, 0, 1)]
    assert scores[0] == scores[1]
    assert metric.name != "random" or scores[0] != scores[2]


def test_random_is_drawn_by_row_number():
    random = get_metric("random").function
    assert random(np.array([9, 2]), seed=1).tolist() == row_uniform(np.arange(10), 1)[[9, 2]].tolist()
