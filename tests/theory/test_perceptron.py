import math
import warnings

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq, root
from scipy.special import ndtr, ndtri

from hf_prune.theory import PerceptronPoint, test_error

DEGREE = math.pi / 180
ORDERS = ("hard", "easy", "random")


def density(x):
    return np.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)


def legendre(low, high, count=120):
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return low + (high - low) / 2 * (1 + nodes), (high - low) / 2 * weights


def kept_law(keep, order):
    """Nodes and normalised weights of the probe's output on kept examples, both signs."""
    if order == "hard":
        edge = -ndtri((1 - keep) / 2)
        z, weight = legendre(-edge, edge)
    else:
        edge = -ndtri(keep / 2)
        z, weight = legendre(edge, edge + 9)
        z, weight = np.concatenate((-z, z)), np.tile(weight, 2)
    return z, weight * density(z) / keep


def three_equations(unknown, alpha, theta, z, weight):
    """Left minus right sides of the paper's saddle-point equations for an imperfect probe (arXiv:2206.14486)."""
    overlap, probe, margin = unknown
    cosine, sine = math.cos(theta), math.sin(theta)
    spread = math.sqrt(sine**2 - overlap**2 - probe**2 + 2 * probe * overlap * cosine)
    t, weight_t = legendre(-9.0, margin)
    z, t = z[:, None], t[None, :]
    gamma = z * (probe * overlap - cosine) - t * (overlap - probe * cosine)
    delta = (
        z**2 * (probe**2 + cosine**2 - 2 * probe * overlap * cosine)
        + 2 * t * z * (overlap * cosine - probe)
        + t**2 * sine**2
    )
    rest = 1 - probe**2
    bell = density((t - probe * z) / math.sqrt(rest)) / math.sqrt(rest)
    positive = bell * ndtr(-gamma / (math.sqrt(rest) * spread))
    edge = np.exp(-delta / (2 * spread**2)) / (2 * math.pi * spread)
    short = margin - t

    def mean(values):
        return float(weight @ (values @ weight_t))

    in_plane = (probe**2 + overlap**2 - 2 * probe * overlap * cosine) / sine**2
    along_probe = positive * (z - probe * t) / rest * short + edge * (probe * overlap - cosine) / rest * short
    return (
        (overlap - probe * cosine) / sine**2 - 2 * alpha * mean(edge * short),
        1 - in_plane - 2 * alpha * mean(positive * short**2),
        (probe - overlap * cosine) / sine**2 - 2 * alpha * mean(along_probe),
    )


@pytest.mark.parametrize(("alpha_tot", "error"), [(1, 0.2657), (2, 0.1885), (4, 0.1137), (8, 0.0609), (12, 0.0412)])
def test_without_pruning_the_published_errors(alpha_tot, error):
    assert test_error(alpha_tot, 1.0).error == pytest.approx(error, abs=5e-5)


@pytest.mark.parametrize(
    ("theta", "order", "error"), [(0.0, "hard", 0.136), (0.0, "easy", 0.117), (20 * DEGREE, "hard", 0.180)]
)
def test_pruned_by_half_the_published_errors(theta, order, error):
    assert test_error(4.0, 0.5, theta, order).error == pytest.approx(error, abs=5e-4)


@pytest.mark.parametrize(
    ("alpha_tot", "keep", "degrees", "order"),
    [
        (0.7, 0.9, 10, "hard"),
        (1.5, 0.4, 10, "easy"),
        (2.5, 0.2, 20, "hard"),
        (3.0, 0.6, 20, "easy"),
        (4.0, 0.5, 20, "hard"),
        (6.0, 0.3, 30, "hard"),
        (6.0, 0.8, 30, "easy"),
        (9.0, 0.5, 45, "hard"),
        (12.0, 0.15, 60, "easy"),
        (12.0, 0.7, 80, "hard"),
    ],
)
def test_agrees_with_the_three_equations(alpha_tot, keep, degrees, order):
    point = test_error(alpha_tot, keep, degrees * DEGREE, order)
    law = kept_law(keep, order)
    found = np.array([point.overlap, point.probe_overlap, point.margin])
    solved = root(three_equations, found * [0.98, 0.97, 1.04], (keep * alpha_tot, degrees * DEGREE, *law), tol=1e-11)
    assert solved.success
    np.testing.assert_allclose(found, solved.x, rtol=1e-6, atol=1e-7)
    assert point.error == pytest.approx(math.acos(solved.x[0]) / math.pi, rel=1e-5)


@pytest.mark.parametrize(
    ("alpha_tot", "keep", "order"), [(0.8, 0.5, "hard"), (4.0, 0.5, "easy"), (5.0, 0.6, "hard"), (2.0, 0.05, "easy")]
)
def test_satisfies_the_two_equations_of_a_perfect_probe(alpha_tot, keep, order):
    point, alpha = test_error(alpha_tot, keep, 0.0, order), keep * alpha_tot
    low, high = (0.0, -ndtri((1 - keep) / 2)) if order == "hard" else (-ndtri(keep / 2), 12.0)
    overlap, margin, rest = point.overlap, point.margin, math.sqrt(1 - point.overlap**2)

    def mean(function):
        """Over the teacher's output z; the noise of t = overlap * z + rest * s is averaged in closed form."""
        return quad(lambda z: function(z) * 2 * density(z) / keep, low, high)[0]

    def short(z):
        return (margin - overlap * z) / rest

    square = mean(lambda z: rest**2 * ((1 + short(z) ** 2) * ndtr(short(z)) + short(z) * density(short(z))))
    pull = mean(lambda z: rest * (short(z) * ndtr(short(z)) + density(short(z))) * z)
    active = mean(lambda z: ndtr(short(z)))
    assert 1 - overlap**2 == pytest.approx(alpha * square, rel=1e-8)
    assert overlap == pytest.approx(alpha * (pull + overlap * active), rel=1e-8)


def test_the_margin_is_the_largest_of_all_students():
    """The optimum form, evaluated on its own: no student of the plane reaches the margin found, except the one found."""
    alpha, theta, keep = 2.0, 20 * DEGREE, 0.5
    point = test_error(4.0, keep, theta)
    v, weight_v = legendre(0.0, 9.0, 200)
    across, weight_across = legendre(-9.0, 9.0, 400)
    v, across = v[:, None], across[None, :]
    inside = np.abs(v * math.cos(theta) + across * math.sin(theta)) < -ndtri((1 - keep) / 2)
    weight = weight_v[:, None] * weight_across * density(v) * density(across) * 2 / keep * inside

    def excess(along, sideways):
        rest = math.sqrt(1 - along**2 - sideways**2)
        x = (point.margin - along * v - sideways * across) / rest
        return alpha * rest**2 * np.sum(weight * ((1 + x**2) * ndtr(x) + x * density(x))) - rest**2

    sideways = (point.probe_overlap - point.overlap * math.cos(theta)) / math.sin(theta)
    least = excess(point.overlap, sideways)
    assert least == pytest.approx(0, abs=2e-3)  # the strip's edge is cut by the grid
    for step in ((0.05, 0), (-0.05, 0), (0, 0.05), (0, -0.05)):
        assert excess(point.overlap + step[0], sideways + step[1]) > least


def asymptotic_error():
    """Alpha times the error of random data for alpha to infinity, from the equations rescaled by the angle."""

    def balance(k):
        return ((k**3 + 3 * k) * ndtr(k) + (k**2 + 2) * density(k)) / 3 - (k * ndtr(k) + density(k))

    k = brentq(balance, -3, 3, xtol=1e-15)
    return 1 / (math.sqrt(2 * math.pi) * (k * ndtr(k) + density(k)))


@pytest.mark.parametrize(("alpha_tot", "keep"), [(1e5, 1.0), (1e6, 1.0), (1e6, 0.1), (1e8, 0.3)])
def test_small_errors_keep_their_digits(alpha_tot, keep):
    """The next order is -1.79 / alpha_tot^2: small beside the 11 digits asked for from 1e6 on."""
    error = float(test_error(alpha_tot, keep).error)
    assert error * alpha_tot / asymptotic_error() - 1 == pytest.approx(-1.79 / alpha_tot**2, abs=1e-12)


def test_vanishing_fractions_of_a_large_data_set():
    few = test_error(3 / np.array([1e-6, 1e-9]), [1e-6, 1e-9]).error
    assert few[0] / few[1] == pytest.approx(1e3, rel=1e-6)


@pytest.mark.parametrize(
    ("alpha_tot", "keep", "theta", "order"),
    [
        (1e15, 1.0, 0.0, "hard"),
        (1e-12, 1.0, 0.0, "hard"),
        (1e12, 0.3, 0.3, "easy"),
        (1.0, 1e-200, 0.0, "hard"),
        (1.0, 1e-200, 0.3, "easy"),
        (3e14, 1e-14, 1e-3, "hard"),
        (1e3, 1 - 1e-15, 0.3, "easy"),
        (1e3, 0.5, 5e-324, "hard"),
    ],
)
def test_far_beyond_the_usual_range(alpha_tot, keep, theta, order):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 0 < test_error(alpha_tot, keep, theta, order).error <= 0.5


def test_thin_strips_keep_their_digits():
    """Below a fraction of 1e-6 the strip is thin against everything else: only alpha_prune counts."""
    errors = test_error(3 / np.array([1e-8, 1e-14]), [1e-8, 1e-14], 0.3).error
    assert errors[0] == pytest.approx(errors[1], rel=1e-7)


@pytest.mark.parametrize("order", ORDERS)
def test_keeping_everything_makes_the_probe_irrelevant(order):
    errors = test_error(5.0, 1.0, np.linspace(0, math.pi / 2, 7), order).error
    np.testing.assert_allclose(errors, errors[0], rtol=1e-13)


@pytest.mark.parametrize("order", ["hard", "easy"])
def test_a_probe_at_a_right_angle_prunes_at_random(order):
    alpha_tot, keep = np.array([0.5, 5.0, 500.0]), 0.3
    blind, random = test_error(alpha_tot, keep, math.pi / 2, order), test_error(alpha_tot, keep, order="random")
    np.testing.assert_allclose(blind.error, random.error, rtol=1e-10)
    np.testing.assert_allclose(random.error, test_error(alpha_tot * keep, 1.0).error, rtol=1e-12)


@pytest.mark.parametrize("order", ["hard", "easy"])
@pytest.mark.parametrize("alpha_tot", [0.5, 5.0, 50.0])
def test_continuous_at_a_perfect_probe(alpha_tot, order):
    errors = test_error(alpha_tot, 0.3, [0.0, 1e-12, 1e-9, 1e-6, 1e-4], order).error
    np.testing.assert_allclose(errors, errors[0], rtol=1e-5)
    np.testing.assert_allclose(errors[:3], errors[0], rtol=1e-11)


def test_broadcasts_and_keeps_the_inputs():
    point = test_error([[1.0], [3.0]], [0.2, 0.5, 1.0], 0.1, "easy")
    assert point.error.shape == point.margin.shape == (2, 3)
    assert point.error[1, 2] == test_error(3.0, 1.0, 0.1, "easy").error
    np.testing.assert_allclose(point.alpha_prune, [[0.2, 0.5, 1.0], [0.6, 1.5, 3.0]])
    assert isinstance(test_error(1, 1), PerceptronPoint)
    assert test_error([], 0.5).error.shape == (0,)


def test_no_warning_over_the_whole_range():
    alpha_tot = np.geomspace(0.1, 1000, 4)[:, None, None]
    keep = np.array([1e-4, 0.05, 0.9])[:, None]
    theta = np.array([0.0, 0.02, 0.7, math.pi / 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        points = [test_error(alpha_tot, keep, theta, order) for order in ("hard", "easy")]
    for point in points:
        assert np.all((point.error > 0) & (point.error < 0.5) & (point.margin > 0))
        np.testing.assert_allclose(point.overlap, np.cos(np.pi * point.error), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 0.5), "alpha_tot=0; give examples per dimension, above 0"),
        ((math.inf, 0.5), "alpha_tot=inf"),
        ((1.0, [0.5, 0.0]), r"keep=0; give a fraction in \(0, 1\]"),
        ((1.0, 1.5), "keep=1.5"),
        ((1.0, math.nan), "keep=nan"),
        ((1.0, 0.5, -0.1), "theta=-0.1"),
        ((1.0, 0.5, 20.0), r"theta=20; give radians in \[0, pi/2\]; np.radians"),
        ((1.0, 0.5, 0.0, "hrad"), r"unknown order 'hrad'\. Did you mean 'hard'\? Known: easy, hard, random"),
        ((1.0, 0.5, 0.0, 3), r"unknown order 3\. Known"),
        (("many", 0.5), "alpha_tot='many' is no number"),
        ((None, 0.5), "alpha_tot=None is no number|alpha_tot=nan"),
        (([1.0, 2.0], [0.1, 0.2, 0.3]), r"shapes do not fit together: alpha_tot \(2,\), keep \(3,\), theta \(\)"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as raised:
        test_error(*arguments)
    assert "\n" not in str(raised.value)
