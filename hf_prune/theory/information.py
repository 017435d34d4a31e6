"""Information of one more example: the nats by which it shrinks the space of students that fit every label."""

import math

import numpy as np
from numpy.typing import ArrayLike

from hf_prune.theory.geometry import LOG_SQRT_2PI, STEPS, Array, KeptRegion, kept_region, panels, project
from hf_prune.theory.perceptron import Order, check_arguments, test_error, to_range

# Outputs are followed up to FARTHEST + 11 units of 1 / sharpness: beyond, no label surprises.
FARTHEST = 8.0


def information_gain(alpha_tot: ArrayLike, keep: ArrayLike, theta: ArrayLike = 0.0, order: Order = "hard") -> Array:
    """Return the information in nats that one more kept example would give to the student trained on the pruned data.

    The same as `information_at` the error of `test_error`. On random data it falls as 1 / alpha_tot; with
    `optimal_keep` it tends to exactly 1 nat, which is why the error can then fall faster than a power law.

    Args:
        alpha_tot: Examples before pruning, per dimension, above 0; any shape.
        keep: Fraction kept, in (0, 1].
        theta: Angle between probe and teacher in radians, in [0, pi/2].
        order: "hard", "easy" or "random".

    Returns:
        Nats of the broadcast shape, in [0, 1].

    Raises:
        ValueError: If an argument is outside its range, or the shapes do not fit together.

    Example:
        >>> information_gain([1.0, 10.0, 100.0], 1.0).round(3).tolist()
        [0.408, 0.079, 0.008]
    """
    return information_at(test_error(alpha_tot, keep, theta, order).error, keep, theta, order)


def information_at(error: ArrayLike, keep: ArrayLike = 1.0, theta: ArrayLike = 0.0, order: Order = "hard") -> Array:
    """Return the information in nats that the next kept example gives to a student of a given test error.

    The students that fit every label so far are taken to be spread around the present one as the teacher is: any two
    of them, and any of them and the teacher, have the overlap R = cos(pi * error). A label leaves the share
    H(-(R v + sqrt(R - R^2) t) / sqrt(1 - R)) of them, with v the teacher's output on the example, drawn from the kept
    law, t standard normal and H the upper tail; the information is the mean of minus its logarithm. A first example
    gives log 2, one bit; one on the teacher's own boundary tends to exactly 1 nat as R tends to 1.

    Args:
        error: Test error of the student, in (0, 0.5]; any shape.
        keep: Fraction kept of the examples that the next one is drawn from, in (0, 1].
        theta: Angle between probe and teacher in radians, in [0, pi/2].
        order: "hard", "easy" or "random".

    Returns:
        Nats of the broadcast shape, in [0, 1].

    Raises:
        ValueError: If an argument is outside its range, or the shapes do not fit together.

    Example:
        >>> information_at([0.5, 1e-3], [1.0, 1e-9]).round(4).tolist()
        [0.6931, 1.0]

    References:
        Seung, Opper & Sompolinsky (1992), Query by committee. Sorscher et al. (2022), arXiv:2206.14486, section 2.
    """
    errors = to_range("error", error, "a test error in (0, 0.5]", 0.5)
    _, keeps, thetas = check_arguments(np.ones_like(errors), keep, theta, order)
    errors = np.broadcast_to(errors, keeps.shape)
    nats = [
        _nats(math.pi * float(point[0]), kept_region(float(point[1]), float(point[2]), order))
        for point in zip(errors.flat, keeps.flat, thetas.flat, strict=True)
    ]
    return np.array(nats).reshape(keeps.shape)


def _nats(angle: float, region: KeptRegion) -> float:
    from scipy.special import log_ndtr

    # 1 - cos(angle) as a square: a small angle keeps its digits.
    overlap = math.cos(angle)
    sharpness = math.sqrt(max(overlap, 0.0) / 2) / math.sin(angle / 2)
    spread, weight = panels(STEPS, STEPS[0], STEPS[-1])
    weight = weight * np.exp(-0.5 * spread**2 - LOG_SQRT_2PI)  # of a standard normal
    law = project(region, (1.0, 0.0), sharpness, FARTHEST)
    surprise = -log_ndtr(math.sqrt(max(overlap, 0.0)) * (sharpness * law.along[:, None] + spread))
    return float(law.mass @ (surprise @ weight))
