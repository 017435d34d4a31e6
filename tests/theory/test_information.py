import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr

from hf_prune.theory import information_at, information_gain, optimal_keep


def density(x):
    return math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def test_the_first_example_gives_one_bit():
    for order in ("hard", "easy", "random"):
        assert information_at(0.5, 0.3, 0.4, order) == pytest.approx(math.log(2), rel=1e-12)


def test_an_example_on_the_boundary_gives_one_nat_in_the_end():
    assert information_at(1e-6, 1e-12) == pytest.approx(1, abs=1e-5)
    # The way there: with the optimal fraction the information of the next example rises to the same limit.
    alpha_tot = np.array([10.0, 1e5])
    gains = information_gain(alpha_tot, optimal_keep(alpha_tot))
    assert np.all(np.diff(gains) > 0)
    assert gains[-1] == pytest.approx(1, abs=2e-3)


def test_random_examples_give_less_and_less():
    alpha_tot = np.array([1e2, 1e3, 1e4])
    np.testing.assert_allclose(information_gain(alpha_tot, 1.0) * alpha_tot, 0.8012, rtol=1e-3)


def test_the_students_that_fit_random_labels_lose_one_nat_in_alpha():
    """Their overlap with the teacher obeys R / sqrt(1 - R) = (alpha / pi) int Dt e^(-R t^2 / 2) / H(sqrt(R) t)."""
    alpha = 300.0

    def balance(log_rest):
        overlap = 1 - math.exp(log_rest)

        def share(t):
            return math.exp(-overlap * t * t / 2 - log_ndtr(-math.sqrt(overlap) * t)) * density(t)

        return overlap / math.sqrt(1 - overlap) - alpha / math.pi * quad(share, -12, 12)[0]

    rest = math.exp(brentq(balance, -25, -1))
    error = 2 * math.asin(math.sqrt(rest / 2)) / math.pi
    assert error * alpha == pytest.approx(0.625, abs=0.01)
    assert information_at(error) * alpha == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(("error", "keep", "theta"), [(0.2, 0.3, 0.0), (0.05, 0.5, 0.6), (0.3, 1.0, 0.0)])
def test_agrees_with_plain_quadrature(error, keep, theta):
    overlap = math.cos(math.pi * error)
    edge = 8.0 if keep == 1 else math.sqrt(2) * brentq(lambda x: math.erf(x) - keep, 0, 6)

    def kept(v):
        if theta == 0:
            return float(v < edge)
        low, high = ((sign * edge - v * math.cos(theta)) / math.sin(theta) for sign in (-1, 1))
        return ndtr(high) - ndtr(low)

    def surprise(v):
        scale = math.sqrt(overlap - overlap**2)
        return -quad(lambda t: density(t) * log_ndtr((overlap * v + scale * t) / math.sqrt(1 - overlap)), -9, 9)[0]

    end = edge if theta == 0 else 8.0
    expected = quad(lambda v: 2 * density(v) * kept(v) / keep * surprise(v), 0, end, epsabs=1e-9)[0]
    assert information_at(error, keep, theta) == pytest.approx(expected, rel=1e-7)


def test_hard_examples_tell_more_than_easy_ones():
    hard, random, easy = (information_at(0.1, 0.3, 0.2, order) for order in ("hard", "random", "easy"))
    assert hard > random > easy > 0


def test_easy_examples_far_from_the_boundary_tell_nothing():
    assert information_at(1e-6, 0.1, 0.0, "easy") == 0


def test_broadcasts_and_refuses():
    assert information_at([0.1, 0.2], [[0.5], [1.0], [0.2]]).shape == (3, 2)
    with pytest.raises(ValueError, match=r"error=0.6; give a test error in \(0, 0.5\]"):
        information_at(0.6)
    with pytest.raises(ValueError, match="error=0;"):
        information_at(0.0)
    with pytest.raises(ValueError, match="keep=2"):
        information_gain(1.0, 2.0)
