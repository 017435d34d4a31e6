"""The maximum-margin student in the limit of many dimensions, by Newton's method on a strictly convex function.

A student J = q + sqrt(1 - |q|^2) (unit vector outside the plane of teacher and probe) is described by `slope`, its
in-plane part divided by its part outside, and by `level`, its margin divided by the same. Gordon's inequality says
which pairs exist: alpha * E[(level - slope . v - s)_+^2] <= 1, with v the in-plane coordinates of a kept example, label
turned positive, and s standard normal. The derivation is in recipes/perceptron-theory/derivation.md.
"""

import math
from dataclasses import dataclass

import numpy as np

from hf_prune.theory.geometry import LOG_SQRT_2PI, Array, KeptRegion, Projection, project

# Newton's decrement measures the distance to the optimum in its own units: after a step from 1e-7 the error is 1e-14.
DECREMENT = 1e-7
ROUNDING = 1e-5
MAX_STEPS = 200


@dataclass(frozen=True)
class Level:
    """The largest level that a slope allows, a concave function of the slope, with its derivatives.

    Attributes:
        value: The level.
        gradient: Its gradient in the slope, shape (2,).
        intercept: `value - slope . gradient`, computed without cancellation.
        hessian: Its Hessian, shape (2, 2).
    """

    value: float
    gradient: Array
    intercept: float
    hessian: Array


@dataclass(frozen=True)
class Student:
    """A maximum-margin student.

    Attributes:
        slope: (teacher, across) components over the component outside the plane, shape (2,).
        level: Margin over the component outside the plane.
    """

    slope: Array
    level: float


def solve(region: KeptRegion, alpha: float) -> Student:
    """Find the maximum-margin student of `alpha` kept examples per dimension.

    Among unit students w = (a, b) the margin is K(a, b) = b * level(a / b), concave and homogeneous. Therefore
    |w|^2 / 2 - log K(w) is strictly convex, its only minimum is a unit vector, and it is the student of largest margin.
    """
    student, level = _start(region, alpha)
    for _ in range(MAX_STEPS):
        step, decrement = _newton_step(student, level)
        if decrement < DECREMENT:
            student = student + step
            return Student(
                student[:2] / student[2], _level(region, alpha, student[:2] / student[2], level.value).value
            )
        moved = _search(region, alpha, student, level, step, decrement)
        if moved is None:
            break
        student, level = moved
    # Fractions kept of 1e-9 leave seven digits in the integrals across a strip: rounding ends the descent early.
    if decrement < ROUNDING:
        return Student(student[:2] / student[2], level.value)
    raise ArithmeticError(
        f"no maximum-margin student found at alpha_prune={alpha:g}: Newton stopped at {decrement:.1e}"
    )


def _start(region: KeptRegion, alpha: float) -> tuple[Array, Level]:
    """Find a student along the teacher that separates the kept examples: any does once it is close enough."""
    slope = np.array([max(0.3, 0.6 * alpha), 0.0])
    while (level := _level(region, alpha, slope)).value <= 0:
        slope = 4 * slope
    student = np.append(slope, 1.0)
    return student / np.linalg.norm(student), level


def _newton_step(student: Array, level: Level) -> tuple[Array, float]:
    """Return the Newton step of |w|^2 / 2 - log K(w), and its decrement."""
    inside, outside = student[:2], student[2]
    margin = outside * level.value
    gradient = np.append(level.gradient, level.intercept)
    frame = np.column_stack((np.eye(2), -inside / outside))
    curvature = frame.T @ level.hessian @ frame / outside
    hessian = np.eye(3) - curvature / margin + np.outer(gradient, gradient) / margin**2
    descent = gradient / margin - student
    # The components differ by as much as alpha: equilibrate before solving.
    scale = 1 / np.sqrt(np.diag(hessian))
    step = scale * np.linalg.solve(hessian * np.outer(scale, scale), scale * descent)
    return step, math.sqrt(max(0.0, float(descent @ step)))


def _search(
    region: KeptRegion, alpha: float, student: Array, level: Level, step: Array, decrement: float
) -> tuple[Array, Level] | None:
    """Find a damped step that descends and stays among the separating students; None once there is none."""
    before = _objective(student, level)
    length = 1.0 if decrement < 0.25 else 1 / (1 + decrement)
    while length > 1e-6:
        moved = student + length * step
        if moved[2] > 0:
            slope = moved[:2] / moved[2]
            # A concave function lies below its tangent: an upper bound to start from, and a quick refusal.
            bound = level.value + float(level.gradient @ (slope - student[:2] / student[2]))
            if bound > 0:
                there = _level(region, alpha, slope, bound)
                if there.value > 0 and _objective(moved, there) <= before - 1e-3 * length * decrement**2 + 1e-14:
                    return moved, there
        length /= 2
    return None


def _objective(student: Array, level: Level) -> float:
    return 0.5 * float(student @ student) - math.log(student[2] * level.value)


def _level(region: KeptRegion, alpha: float, slope: Array, bound: float | None = None) -> Level:
    """Find the largest level with alpha * E[(level - slope . v - s)_+^2] <= 1.

    Newton's method on the square root of the left side, which is convex and rises in the level: from an upper bound it
    comes down without overshooting. By Jensen's inequality the mean of slope . v plus 1 / sqrt(alpha) is such a bound.
    """
    speed = math.hypot(*slope)
    direction = (float(slope[0]) / speed, float(slope[1]) / speed) if speed > 0 else (1.0, 0.0)
    if bound is None:
        bound = 1 / math.sqrt(alpha) + speed * (region.nearest + 2)
    value = bound + 1e-9 * (1 + abs(bound))
    while True:
        law = project(region, direction, speed, value)
        root = _descend(law, alpha, speed, value)
        if value - root < 0.5 + 1e-8 * abs(root):
            return _derivatives(law, alpha, speed, root, direction)
        value = root + 1e-9 * (1 + abs(root))  # the panels were laid for a level far away


def _descend(law: Projection, alpha: float, speed: float, value: float) -> float:
    for _ in range(MAX_STEPS):
        zeroth, first = _positive_parts(value - speed * law.along)
        slack = math.sqrt(alpha * (float(law.mass @ (zeroth + (value - speed * law.along) * first))))
        step = (slack - 1) * slack / (alpha * float(law.mass @ first))
        value -= step
        if abs(step) < 1e-9 * (1 + abs(value)):  # quadratic convergence: the next step would be below rounding
            return value
    raise ArithmeticError(f"no level found after {MAX_STEPS} steps at alpha_prune={alpha:g}")


def _positive_parts(x: Array) -> tuple[Array, Array]:
    """Return P(s < x) and E[(x - s)_+] for a standard normal s."""
    from scipy.special import ndtr

    zeroth = ndtr(x)
    return zeroth, x * zeroth + np.exp(-0.5 * x**2 - LOG_SQRT_2PI)


def _derivatives(law: Projection, alpha: float, speed: float, value: float, direction: tuple[float, float]) -> Level:
    """Compute the derivatives of the level by the implicit function theorem, turned from the student's axes to the teacher's."""
    zeroth, first = _positive_parts(value - speed * law.along)
    active, pull = float(law.mass @ zeroth), float(law.mass @ first)
    turn = np.array([[direction[0], -direction[1]], [direction[1], direction[0]]])
    gradient = np.array([first @ (law.mass * law.along), first @ law.first]) / pull
    mean = np.array([zeroth @ (law.mass * law.along), zeroth @ law.first])
    mixed = zeroth @ (law.first * law.along)
    square = np.array([[zeroth @ (law.mass * law.along**2), mixed], [mixed, zeroth @ law.second]])
    crossed = np.outer(gradient, mean)
    hessian = -(active * np.outer(gradient, gradient) - crossed - crossed.T + square) / pull
    return Level(value, turn @ gradient, (1 / alpha - active) / pull, turn @ hessian @ turn.T)
