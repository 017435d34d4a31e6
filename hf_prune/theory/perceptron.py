"""Test error of a perceptron trained on a pruned data set, exact in the limit of many dimensions."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from hf_prune.runtime.errors import InputError
from hf_prune.runtime.names import unknown_name
from hf_prune.theory.geometry import Array, kept_region
from hf_prune.theory.student import solve

Order = Literal["hard", "easy", "random"]


@dataclass(frozen=True)
class PerceptronPoint:
    """One point of the theory, or an array of them; every attribute has the shape of the inputs, broadcast together.

    Attributes:
        alpha_tot: Examples before pruning, per dimension.
        keep: Fraction kept, in (0, 1].
        theta: Angle between probe and teacher in radians, in [0, pi/2].
        error: Test error arccos(overlap) / pi, in (0, 0.5); computed from the angle, so small ones keep their digits.
        overlap: Cosine between student and teacher, in (0, 1).
        probe_overlap: Cosine between student and probe, in [-1, 1].
        margin: Distance of the nearest kept example from the student's boundary, in standard deviations of an input.
    """

    alpha_tot: Array
    keep: Array
    theta: Array
    error: Array
    overlap: Array
    probe_overlap: Array
    margin: Array

    @property
    def alpha_prune(self) -> Array:
        """Examples after pruning, per dimension."""
        return self.keep * self.alpha_tot


def test_error(
    alpha_tot: ArrayLike,
    keep: ArrayLike,
    theta: ArrayLike = 0.0,  # noqa: PT028 - the name is the quantity's, this is no test
    order: Order = "hard",  # noqa: PT028 - as above
) -> PerceptronPoint:
    """Return the test error of the maximum-margin perceptron on the examples that a probe keeps.

    Inputs are Gaussian in N dimensions and labelled by a teacher; a probe at angle `theta` to it ranks
    `alpha_tot * N` of them by the size of its own output, the fraction `keep` is kept, and a perceptron without bias
    is trained on those to the largest margin. The result is exact for N to infinity.

    Args:
        alpha_tot: Examples before pruning, per dimension, above 0; any shape.
        keep: Fraction kept, in (0, 1]; broadcast against the others.
        theta: Angle between probe and teacher in radians, in [0, pi/2]: 0 is a perfect probe, pi/2 knows nothing.
        order: "hard" keeps the smallest outputs of the probe, "easy" the largest, "random" any.

    Returns:
        `PerceptronPoint` of the broadcast shape.

    Raises:
        ValueError: If an argument is outside its range, or the shapes do not fit together.

    Example:
        >>> round(float(test_error(4.0, 0.5).error), 3)
        0.136
        >>> test_error([1.0, 2.0, 4.0], 1.0).error.round(4).tolist()
        [0.2657, 0.1885, 0.1137]

    References:
        Sorscher et al. (2022), Beyond neural scaling laws, arXiv:2206.14486, section 2.
    """
    alphas, keeps, thetas = check_arguments(alpha_tot, keep, theta, order)
    points = zip(alphas.flat, keeps.flat, thetas.flat, strict=True)
    rows = [_one(float(alpha), float(fraction), float(angle), order) for alpha, fraction, angle in points]
    columns = np.array(rows).reshape(-1, 4)
    error, overlap, probe_overlap, margin = (column.reshape(alphas.shape) for column in columns.T)
    return PerceptronPoint(alphas, keeps, thetas, error, overlap, probe_overlap, margin)


# pytest collects functions by this prefix; here it is the name of the quantity.
test_error.__test__ = False  # type: ignore[attr-defined]  # functions take attributes, their stub does not say so


def _one(alpha_tot: float, keep: float, theta: float, order: Order) -> tuple[float, float, float, float]:
    student = solve(kept_region(keep, theta, order), keep * alpha_tot)
    angle = math.atan2(math.hypot(1.0, student.slope[1]), student.slope[0])
    length = math.hypot(1.0, *student.slope)
    towards_probe = student.slope[0] * math.cos(theta) + student.slope[1] * math.sin(theta)
    return angle / math.pi, student.slope[0] / length, towards_probe / length, student.level / length


def check_arguments(alpha_tot: ArrayLike, keep: ArrayLike, theta: ArrayLike, order: str) -> tuple[Array, Array, Array]:
    """Broadcast and check the arguments that every function of the theory shares."""
    if order not in get_args(Order):
        raise InputError(unknown_name("order", order, get_args(Order)))
    given = {
        "alpha_tot": to_range("alpha_tot", alpha_tot, "examples per dimension, above 0"),
        "keep": to_range("keep", keep, "a fraction in (0, 1]", 1.0),
        "theta": to_range(
            "theta", theta, "radians in [0, pi/2]; np.radians turns degrees into them", math.pi / 2, zero=True
        ),
    }
    try:
        alphas, keeps, thetas = np.broadcast_arrays(*given.values())
    except ValueError:
        shapes = ", ".join(f"{name} {value.shape}" for name, value in given.items())
        raise InputError(f"shapes do not fit together: {shapes}; give scalars or equal shapes") from None
    return alphas, keeps, thetas


def to_range(name: str, value: ArrayLike, rule: str, high: float = math.inf, *, zero: bool = False) -> Array:
    """Convert an argument to float64 and refuse by name what is no number or not in (0, high]; 0 only if it may be."""
    try:
        values = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name}={value!r} is no number; give a number or an array of numbers") from None
    allowed = np.isfinite(values) & (values <= high) & (values >= 0 if zero else values > 0)
    if not allowed.all():
        raise InputError(f"{name}={values[~allowed].flat[0]:g}; give {rule}")
    return values


def check_single(name: str, value: ArrayLike) -> None:
    """Refuse an array where the function is about one number."""
    if np.ndim(value):
        raise InputError(f"{name} has shape {np.shape(value)}; give one number here")
