"""The same experiment with finite numbers: perceptrons of maximum margin, trained on pruned Gaussian data."""

import math
from dataclasses import dataclass

import numpy as np

from hf_prune.runtime.errors import InputError
from hf_prune.theory.geometry import Array
from hf_prune.theory.perceptron import Order, check_arguments, check_single

# Relative shortfall of a margin that counts as rounding.
VIOLATION = 1e-9
INSEPARABLE = 1e-12
# The first working set needs no exact optimum: Newton steps on a soft margin, each as long as helps most of these.
NEWTON_STEPS = 10
STEP_LENGTHS = (1.0, 0.7, 0.5, 0.3, 0.15, 0.05)


@dataclass(frozen=True)
class Simulation:
    """Repeated training runs at one point.

    Attributes:
        errors: Test error of each run, from its exact angle to the teacher, shape (draws,).
        margins: Margin of each run, shape (draws,).
        num_kept: Examples trained on in each run.
    """

    errors: Array
    margins: Array
    num_kept: int

    @property
    def mean(self) -> float:
        """Mean test error."""
        return float(self.errors.mean())

    @property
    def standard_error(self) -> float:
        """Standard error of the mean."""
        return float(self.errors.std(ddof=1) / math.sqrt(len(self.errors)))


def simulate(
    num_dimensions: int,
    alpha_tot: float,
    keep: float,
    theta: float = 0.0,
    order: Order = "hard",
    draws: int = 50,
    seed: int = 0,
) -> Simulation:
    """Prune Gaussian data by a probe and train a perceptron of maximum margin on the rest, several times.

    Args:
        num_dimensions: Dimensions N of the inputs, at least 2.
        alpha_tot: Examples before pruning, per dimension; the nearest whole number is drawn.
        keep: Fraction kept, in (0, 1]; the nearest whole number, at least one, is kept.
        theta: Angle between probe and teacher in radians, in [0, pi/2].
        order: "hard", "easy" or "random".
        draws: Independent runs, at least 2.
        seed: Seed of the whole simulation.

    Returns:
        `Simulation`.

    Raises:
        ValueError: If an argument is outside its range, or no example is left.

    Example:
        >>> run = simulate(50, 4.0, 0.5, draws=10)
        >>> run.num_kept, bool(abs(run.mean - 0.136) < 0.03)
        (100, True)
    """
    for name, value in {"alpha_tot": alpha_tot, "keep": keep, "theta": theta}.items():
        check_single(name, value)
    check_arguments(alpha_tot, keep, theta, order)
    _at_least_two("num_dimensions", num_dimensions, "the plane of teacher and probe has them")
    _at_least_two("draws", draws, "a standard error needs them")
    num_examples = round(alpha_tot * num_dimensions)
    if num_examples < 1:
        raise InputError(f"alpha_tot={alpha_tot:g} in {num_dimensions} dimensions gives no example; raise either")
    num_kept = max(1, round(keep * num_examples))
    runs = [
        _run(np.random.default_rng(stream), (num_examples, num_dimensions), num_kept, theta, order)
        for stream in np.random.SeedSequence(seed).spawn(draws)
    ]
    errors, margins = np.array(runs).T
    return Simulation(errors, margins, num_kept)


def _at_least_two(name: str, value: float, reason: str) -> None:
    if value != round(value) or value < 2:
        raise InputError(f"{name}={value!r}; give a whole number of at least 2: {reason}")


def _run(
    rng: np.random.Generator, shape: tuple[int, int], num_kept: int, theta: float, order: Order
) -> tuple[float, float]:
    """Return test error and margin of one run. The teacher is the first axis, the probe lies in the plane of the first two."""
    inputs = rng.standard_normal(shape)
    inputs *= np.where(inputs[:, :1] < 0, -1.0, 1.0)  # an input times its label: its margin is the teacher's output
    outputs = np.abs(math.cos(theta) * inputs[:, 0] + math.sin(theta) * inputs[:, 1])
    ranks = {"hard": outputs, "easy": -outputs, "random": np.arange(shape[0])}[order]
    kept = inputs[np.argsort(ranks, kind="stable")[:num_kept]]
    weights = max_margin(kept)
    norm = float(np.linalg.norm(weights))
    return math.atan2(float(np.linalg.norm(weights[1:])), weights[0]) / math.pi, float((kept @ weights).min()) / norm


def max_margin(signed_inputs: Array) -> Array:
    """Return the weights of the perceptron of maximum margin without bias: the shortest w with `signed_inputs @ w >= 1`.

    The problem is a least-distance problem, which non-negative least squares solves exactly: with the residual
    r = [X^T; 1] u - [0; 1] of the best u >= 0 the weights are -r[:-1] / r[-1]. Its active set ends at the support
    vectors, so the result carries rounding only, and no penalty has to be driven to infinity.

    Args:
        signed_inputs: Inputs times labels, shape (n, d).

    Returns:
        Weights, shape (d,); the margin is 1 / |w|.

    Raises:
        ValueError: If no perceptron without bias separates the examples.

    Example:
        >>> max_margin(np.array([[1.0, 1.0], [0.0, 1.0], [3.0, 3.0]])).round(12).tolist()
        [0.0, 1.0]

    References:
        Lawson & Hanson (1974), Solving least squares problems, chapter 23: problem LDP.
    """
    width = signed_inputs.shape[1]
    # Few examples touch the margin, so the problem is solved on a working set that grows by the worst violators. Those
    # of positive weight stay, hence |w| rises from round to round and no working set comes back.
    working = np.argsort(_soft_margins(signed_inputs))[: width + width // 4]
    while True:
        coefficients, weights = _least_distance(signed_inputs[working])
        margins = signed_inputs @ weights
        violators = np.flatnonzero(margins < 1 - VIOLATION)
        if not violators.size:
            return weights
        worst = violators[np.argsort(margins[violators])[: max(1, width // 2)]]
        working = np.union1d(working[coefficients > 0], worst)


def _soft_margins(signed_inputs: Array) -> Array:
    """Return margins that nearly minimise |w|^2 + sum (1 - margin)_+^2: the small ones are mostly those of the hard margin."""
    weights, margins = np.zeros(signed_inputs.shape[1]), np.zeros(len(signed_inputs))

    def loss(length: float) -> float:
        moved = weights + length * step
        return float(moved @ moved + np.sum(np.maximum(1 - margins - length * along, 0) ** 2))

    for _ in range(NEWTON_STEPS):
        short = signed_inputs[margins < 1]
        step = np.linalg.solve(short.T @ short + np.eye(len(weights)), short.sum(axis=0)) - weights
        along = signed_inputs @ step
        length = min(STEP_LENGTHS, key=loss)
        weights, margins = weights + length * step, margins + length * along
    return margins


def _least_distance(signed_inputs: Array) -> tuple[Array, Array]:
    """Return multipliers and weights of the shortest w with `signed_inputs @ w >= 1`."""
    from scipy.optimize import nnls

    count, width = signed_inputs.shape
    system = np.vstack((signed_inputs.T, np.ones(count)))
    target = np.append(np.zeros(width), 1.0)
    coefficients, _ = nnls(system, target, maxiter=30 * (count + width))
    residual = system @ coefficients - target
    # 1 / (1 + |w|^2): zero when a non-negative combination of the examples vanishes.
    if -residual[-1] < INSEPARABLE:
        raise InputError(
            f"{count} examples in {width} dimensions are not separable; labels must come from a perceptron"
        )
    return coefficients, -residual[:-1] / residual[-1]
