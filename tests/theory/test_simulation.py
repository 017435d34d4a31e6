import math

import numpy as np
import pytest
from sklearn.svm import SVC

from hf_prune.theory import max_margin, simulate, test_error


def signed_inputs(count, width, seed=0):
    inputs = np.random.default_rng(seed).standard_normal((count, width))
    return inputs * np.sign(inputs[:, :1])


@pytest.mark.parametrize(("count", "width"), [(1, 5), (10, 20), (60, 20), (300, 20), (500, 60)])
def test_weights_satisfy_the_optimality_conditions(count, width):
    """Every margin is at least 1, and the weights are a non-negative combination of the examples whose margin is 1."""
    inputs = signed_inputs(count, width)
    weights = max_margin(inputs)
    margins = inputs @ weights
    assert margins.min() == pytest.approx(1, abs=1e-8)
    support = inputs[margins < 1 + 1e-8]
    multipliers = np.linalg.lstsq(support.T, weights, rcond=None)[0]
    np.testing.assert_allclose(support.T @ multipliers, weights, atol=1e-8)
    assert multipliers.min() > -1e-8


def test_agrees_with_a_support_vector_machine():
    """Mirrored examples make its intercept vanish; a large C makes its margin hard."""
    inputs = signed_inputs(200, 20)
    machine = SVC(kernel="linear", C=1e8, tol=1e-8)
    machine.fit(np.vstack((inputs, -inputs)), np.repeat([1, -1], 200))
    np.testing.assert_allclose(max_margin(inputs), machine.coef_[0], rtol=1e-4, atol=1e-4)


def test_inseparable_examples_are_refused():
    with pytest.raises(ValueError, match="not separable"):
        max_margin(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]))


@pytest.mark.parametrize(
    ("keep", "degrees", "order"),
    [(0.5, 0, "hard"), (0.5, 0, "easy"), (0.5, 20, "hard"), (0.4, 20, "easy"), (0.5, 0, "random")],
)
def test_simulation_comes_near_the_theory(keep, degrees, order):
    run = simulate(100, 4.0, keep, math.radians(degrees), order, draws=40, seed=1)
    point = test_error(4.0, keep, math.radians(degrees), order)
    # 1 / N corrections are a few per cent at N = 100.
    assert run.mean == pytest.approx(float(point.error), abs=3.5 * run.standard_error + 0.04 * float(point.error))
    assert run.margins.mean() == pytest.approx(float(point.margin), rel=0.08)
    assert run.num_kept == keep * 400


def test_seed_decides_and_draws_extend():
    first, longer, other = (
        simulate(20, 2.0, 0.5, draws=3),
        simulate(20, 2.0, 0.5, draws=5),
        simulate(20, 2.0, 0.5, seed=1),
    )
    np.testing.assert_array_equal(first.errors, longer.errors[:3])
    assert not np.array_equal(first.errors, other.errors[:3])
    assert first.standard_error == pytest.approx(np.std(first.errors, ddof=1) / math.sqrt(3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_dimensions": 1}, "num_dimensions=1; give a whole number of at least 2"),
        ({"draws": 1}, "draws=1; give a whole number of at least 2"),
        ({"alpha_tot": 0.01}, "alpha_tot=0.01 in 20 dimensions gives no example"),
        ({"num_dimensions": 20.5}, "num_dimensions=20.5; give a whole number"),
        ({"alpha_tot": [1.0, 2.0]}, r"alpha_tot has shape \(2,\); give one number here"),
        ({"keep": 0.0}, "keep=0"),
        ({"order": "medium"}, "unknown order 'medium'"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate(**{"num_dimensions": 20, "alpha_tot": 2.0, "keep": 0.5} | arguments)
