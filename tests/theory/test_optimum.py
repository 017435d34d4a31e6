import math

import numpy as np
import pytest

from hf_prune.theory import minimum_keep, optimal_keep, pareto_frontier, test_error

DEGREE = math.pi / 180


@pytest.mark.parametrize(("alpha_tot", "theta"), [(1.5, 0.0), (5.0, 0.0), (8.0, 20 * DEGREE), (200.0, 40 * DEGREE)])
def test_harder_and_easier_sets_of_the_same_size_are_worse(alpha_tot, theta):
    keep = float(optimal_keep(alpha_tot, theta))
    others = np.array([0.97, 1.0, min(1.0, keep * 1.03) / keep]) * keep
    errors = test_error(alpha_tot * keep / others, others, theta).error
    assert errors[1] < errors[0]
    assert errors[1] < errors[2]


def test_a_perfect_probe_leaves_two_examples_per_dimension():
    alpha_tot = np.array([100.0, 1e4])
    keep = optimal_keep(alpha_tot)
    assert np.all(np.abs(keep * alpha_tot - 2) < 0.01)
    # Twice as many examples trained on would not do this to random data: the error falls, their number does not rise.
    errors = test_error(alpha_tot, keep).error
    assert errors[1] < 0.3 * errors[0]


def test_a_blind_probe_keeps_everything():
    assert optimal_keep(10.0, math.pi / 2) == 1.0
    assert optimal_keep([[5.0]], [0.3, 1.0]).shape == (1, 2)


def test_frontier_is_the_best_of_a_grid():
    frontier = pareto_frontier([1.2, 4.0], theta=20 * DEGREE, min_keep=0.2)
    grid = np.linspace(0.2, 1.0, 21)
    for number, alpha_prune in enumerate([1.2, 4.0]):
        errors = test_error(alpha_prune / grid, grid, 20 * DEGREE).error
        assert frontier.error[number] <= errors.min() + 1e-12
        assert frontier.keep[number] == pytest.approx(grid[errors.argmin()], abs=0.04)
    np.testing.assert_allclose(frontier.alpha_prune, [1.2, 4.0])


def test_frontier_touches_the_curve_of_the_optimal_fraction():
    keep = float(optimal_keep(2.0))
    assert pareto_frontier(2.0 * keep, min_keep=0.05).keep == pytest.approx(keep, abs=1e-3)


def test_frontier_of_a_perfect_probe_takes_all_it_may_above_two():
    np.testing.assert_allclose(pareto_frontier(2.5, min_keep=0.1).keep, 0.1)
    np.testing.assert_allclose(pareto_frontier(0.5, order="easy", min_keep=0.1).keep, 0.1)


def test_frontier_of_random_pruning_keeps_everything():
    assert pareto_frontier(1.0, order="random").keep == 1.0


@pytest.mark.parametrize("theta", [10 * DEGREE, 40 * DEGREE])
def test_with_much_data_the_gain_is_the_factor_of_minimum_keep(theta):
    keep = minimum_keep(theta, tolerance=0.05)
    pruned, random = test_error(1e7 / keep, keep, theta).error, test_error(1e7, 1.0).error
    assert pruned / random == pytest.approx(1.05 * math.sin(theta), rel=1e-4)


def test_minimum_keep_is_proportional_to_a_small_angle():
    small = minimum_keep([0.0, 0.001, 0.01, math.pi / 2])
    assert small[0] == 0
    assert small[2] / small[1] == pytest.approx(10, rel=1e-3)
    assert small[3] == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optimal_keep(-1.0), "alpha_tot=-1"),
        (lambda: optimal_keep(1.0, 2.0), "theta=2"),
        (lambda: pareto_frontier(0.0), "alpha_prune=0"),
        (lambda: pareto_frontier(1.0, min_keep=0.0), "min_keep=0"),
        (lambda: pareto_frontier(1.0, order="soft"), "unknown order 'soft'"),
        (lambda: pareto_frontier(1.0, theta=[0.1, 0.2]), r"theta has shape \(2,\); give one number"),
        (lambda: minimum_keep(0.1, tolerance=0.0), "tolerance=0"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
