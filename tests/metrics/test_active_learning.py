import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.metrics import get_metric
from hf_prune.metrics.active_learning import active_learning, entropy
from tests.helpers.metric_cases import softmax

ACQUISITIONS = ("entropy", "mutual_information", "variation_ratio")


def ensemble(seed, members=5, num_rows=6, classes=3):
    return softmax(np.random.default_rng(seed).normal(scale=2, size=(members, num_rows, classes)))


def reference(members, acquisition):
    """Score of one row from a list of predictions, each a list of probabilities."""
    mean = [sum(column) / len(members) for column in zip(*members, strict=True)]
    nats = scipy.stats.entropy(mean)
    if acquisition == "entropy":
        return nats
    if acquisition == "mutual_information":
        return nats - sum(scipy.stats.entropy(member) for member in members) / len(members)
    votes = [member.index(max(member)) for member in members]
    top = max(votes.count(number) for number in range(len(mean)))
    return 1 - top / len(votes) + nats / math.log(len(mean)) / (len(votes) + 1)


def test_by_hand():
    # All agree; two against two, each sure; two against two, each undecided.
    probs = np.array([[[1, 0], [1, 0], [0.5, 0.5]]] * 2 + [[[1, 0], [0, 1], [0.5, 0.5]]] * 2)
    log2 = math.log(2)
    np.testing.assert_allclose(active_learning(probs, acquisition="entropy"), [0, log2, log2], atol=1e-12)
    np.testing.assert_allclose(active_learning(probs), [0, log2, 0], atol=1e-12)
    found = active_learning(probs, acquisition="variation_ratio")
    np.testing.assert_allclose(found, [0, 1 / 2 + 1 / 5, 1 / 5], atol=1e-12)


@pytest.mark.parametrize("acquisition", ACQUISITIONS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_each_acquisition_agrees_with_plain_loops(acquisition, seed):
    probs = ensemble(seed)
    expected = [reference(row, acquisition) for row in probs.swapaxes(0, 1).tolist()]
    np.testing.assert_allclose(active_learning(probs, acquisition=acquisition), expected, atol=1e-12)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_ties_are_decided_by_less_than_one_vote(seed):
    probs = ensemble(seed, members=4)
    votes = probs.argmax(axis=2)
    share = np.array([1 - np.bincount(row).max() / 4 for row in votes.T])
    found = active_learning(probs, acquisition="variation_ratio")
    assert ((found >= share) & (found < share + 1 / 4)).all()


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_disagreement_is_part_of_the_entropy_and_none_among_equals(seed):
    probs = ensemble(seed)
    shared, nats = active_learning(probs), active_learning(probs, acquisition="entropy")
    assert ((shared >= 0) & (shared <= nats + 1e-12)).all()
    np.testing.assert_allclose(active_learning(np.repeat(probs[:1], 4, axis=0)), 0, atol=1e-12)


@pytest.mark.parametrize("acquisition", ACQUISITIONS)
def test_every_epoch_of_every_run_is_a_member(acquisition):
    probs = ensemble(0, members=6)
    expected = active_learning(probs, acquisition=acquisition)
    for shape in ((6, 6, 3), (2, 3, 6, 3)):
        found = active_learning(epoch_probs=probs.reshape(shape), acquisition=acquisition)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("acquisition", ACQUISITIONS)
def test_a_missing_presentation_is_left_out(acquisition):
    probs = ensemble(0)
    probs[:, 2], probs[1, 4] = math.nan, math.nan
    found = active_learning(epoch_probs=probs, acquisition=acquisition)
    assert np.flatnonzero(np.isnan(found)).tolist() == [2]
    fewer = active_learning(np.delete(probs[:, [4]], 1, axis=0), acquisition=acquisition)
    np.testing.assert_allclose(found[4], fewer[0], rtol=1e-12)


@pytest.mark.parametrize("acquisition", ACQUISITIONS)
def test_one_presentation_agrees_with_itself(acquisition):
    probs = ensemble(0)
    probs[1:, 3] = math.nan
    found = active_learning(epoch_probs=probs, acquisition=acquisition)
    assert np.flatnonzero(np.isnan(found)).tolist() == ([] if acquisition == "entropy" else [3])


def test_entropy_is_the_mean_over_teachers_or_presentations():
    probs = ensemble(0)
    expected = scipy.stats.entropy(probs, axis=2)
    np.testing.assert_allclose(entropy(probs), expected.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(entropy(probs[0]), expected[0], rtol=1e-12)
    np.testing.assert_allclose(entropy(entropies=expected), expected.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(
        entropy(entropies=expected[:4].reshape(2, 2, -1)), expected[:4].mean(axis=0), rtol=1e-12
    )
    np.testing.assert_array_equal(entropy(entropies=np.array([[1.0, math.nan], [0.0, math.nan]])), [0.5, math.nan])


@pytest.mark.parametrize(("metric", "recorded"), [("active_learning", "epoch_probs"), ("entropy", "entropies")])
def test_what_is_handed_in_comes_first_then_teachers_then_the_record(metric, recorded):
    choose = get_metric(metric).inputs_for
    assert choose({}, {recorded, "teachers"}) == (recorded,)
    assert choose({}, {"teachers", "dynamics"}) == ("probs",)
    assert choose({}, {"dynamics"}) == (recorded,)
    assert choose({}, set()) == ("probs",)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (active_learning, {}, "active_learning needs probs or epoch_probs"),
        (
            active_learning,
            {"probs": np.eye(2)},
            r"probs of shape \(1, 2, 2\) have one member, which agrees with itself",
        ),
        (active_learning, {"probs": np.eye(2), "acquisition": "bald"}, "give 'entropy', 'mutual_information', 'varia"),
        (active_learning, {"probs": np.full((2, 2, 2), np.nan)}, "probs do not sum to 1 in every row"),
        (active_learning, {"epoch_probs": np.ones((3, 2, 2))}, "epoch_probs do not sum to 1 in every row"),
        (active_learning, {"epoch_probs": np.ones(3)}, r"epoch_probs of shape \(3,\); give \(epochs, n, classes\)"),
        (entropy, {}, "entropy needs probs or entropies"),
        (entropy, {"probs": np.ones((2, 2))}, "probs do not sum to 1 in every row"),
        (entropy, {"entropies": -np.ones((2, 2))}, "entropies from -1 to -1; every value must be finite and in"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(function, arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        function(**arguments)
    assert "\n" not in str(caught.value)
