"""The laws: how the error above the floor falls with the rows trained on, up to a factor."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

STEEPEST = 20.0  # exponent beyond which a law is a step
BEND = 0.2  # width of the bend of a broken power law, in units of the natural logarithm of the rows
# Starting exponents, and floors in shares of the smallest error, of the search for the maximum.
START_EXPONENTS, START_FLOORS = (0.1, 0.3, 0.6, 1.0, 1.7, 3.0), (0.0, 0.5, 0.9)

# From log(rows / reference), shape (n,), and the parameters, shape (q,): the logarithm of the shape, (n,), and its
# derivatives by the parameters, (n, q).
Shape = Callable[[Array, Array], tuple[Array, Array]]


@dataclass(frozen=True)
class Law:
    """A family of curves ``floor + factor * exp(shape)``.

    Attributes:
        formula: In words that a sentence can hold.
        names: Of the parameters of the shape.
        shape: See `Shape`.
        has_floor: Whether the floor is free; else it is 0.
        bounds: From log(rows / reference) of the distinct sizes, ascending: lowest and highest parameters.
        starts: From the same to starting parameters.
    """

    formula: str
    names: tuple[str, ...]
    shape: Shape
    has_floor: bool
    bounds: Callable[[Array], tuple[list[float], list[float]]]
    starts: Callable[[Array], list[list[float]]]

    @property
    def num_parameters(self) -> int:
        """Factor, parameters of the shape and floor."""
        return 1 + len(self.names) + self.has_floor


def _power(logs: Array, parameters: Array) -> tuple[Array, Array]:
    return -parameters[0] * logs, -logs[:, None]


def _exponential(logs: Array, parameters: Array) -> tuple[Array, Array]:
    rows = np.exp(logs)
    return -parameters[0] * rows, -rows[:, None]


def _broken(logs: Array, parameters: Array) -> tuple[Array, Array]:
    first, second, place = parameters
    beyond = BEND * np.logaddexp(0, (logs - place) / BEND)
    share = 1 / (1 + np.exp(-np.clip((logs - place) / BEND, -500, 500)))
    derivatives = np.stack([beyond - logs, -beyond, (second - first) * share], axis=1)
    return -first * logs - (second - first) * beyond, derivatives


def _steep(_: Array) -> tuple[list[float], list[float]]:
    return [0.0], [STEEPEST]


def _power_starts(_: Array) -> list[list[float]]:
    return [[exponent] for exponent in START_EXPONENTS]


def _rates(logs: Array) -> tuple[list[float], list[float]]:
    # A rate at which the smallest size has used up all but a share of exp(-20) is a step.
    return [0.0], [float(STEEPEST / np.exp(logs[0]))]


def _rate_starts(logs: Array) -> list[list[float]]:
    return [[float(share / np.exp(logs[-1]))] for share in (0.3, 1.0, 3.0, 10.0)] + [[float(1 / np.exp(logs[0]))]]


def _bend_bounds(logs: Array) -> tuple[list[float], list[float]]:
    # The bend lies between the second and the last size but one: each side needs two points to have a slope.
    inner = logs[1:-1] if len(logs) > 2 else logs
    return [0.0, 0.0, float(inner[0])], [STEEPEST, STEEPEST, float(inner[-1])]


def _bend_starts(logs: Array) -> list[list[float]]:
    places = np.quantile(logs, (0.3, 0.5, 0.7))
    slopes = ((0.2, 0.2), (0.2, 0.6), (0.6, 0.2), (1.0, 1.0))
    low, high = (bounds[2] for bounds in _bend_bounds(logs))
    return [[*pair, float(np.clip(place, low, high))] for place in places for pair in slopes]


LAWS: dict[str, Law] = {
    "power": Law("a * n^-nu", ("nu",), _power, False, _steep, _power_starts),
    "power_floor": Law("a * n^-nu + c", ("nu",), _power, True, _steep, _power_starts),
    "exponential": Law("a * exp(-n/s) + c", ("rate",), _exponential, True, _rates, _rate_starts),
    "broken_power": Law(
        "a * n^-nu before, a * n^-nu_beyond after a bend",
        ("nu", "nu_beyond", "log_bend"),
        _broken,
        False,
        _bend_bounds,
        _bend_starts,
    ),
}
