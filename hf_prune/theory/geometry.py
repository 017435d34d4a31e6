"""The region of examples that a probe keeps, and its projection on a student: the only geometry the theory needs.

A student feels an example through two coordinates alone, those in the plane of teacher and probe. After turning every
example with negative label around, the kept ones fill a region of that plane bounded by straight lines. Along a student
direction the region is integrated exactly across and by Gauss-Legendre panels along, so one axis of nodes is enough.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
# Panel edges in units of a scale: between two of them a Gaussian or its integral is a polynomial of degree 24 to 13
# digits, and beyond the outermost ones it is 0 or 1.
STEPS = np.array([-9.0, -6.0, -3.0, -1.0, 0.0, 1.0, 3.0, 6.0, 9.0])
NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)  # of a panel
# Squared distance beyond the nearest kept point after which the Gaussian weight is under exp(-45).
TAIL = 90.0
# Lines steeper than this are steps: their width is below the spacing of floating point numbers.
STEEP = 1e-14
SLOW = 1e-12  # functions that change so slowly along the direction have no bend that matters
NARROW = 1e-3  # in standard deviations: the next term of the series is below 1e-12 of the first
FAR = 40.0  # in standard deviations: nothing lies beyond


@dataclass(frozen=True)
class Line:
    """Half-plane `teacher * v + across * w >= offset` with v along the teacher and w towards the probe."""

    teacher: float
    across: float
    offset: float


LABEL_SIDE = Line(1.0, 0.0, 0.0)


@dataclass(frozen=True)
class KeptRegion:
    """Kept examples, label turned positive: convex pieces of the plane of teacher and probe.

    Attributes:
        pieces: One tuple of half-planes for each convex piece.
        log_mass: Logarithm of the Gaussian measure of the pieces together.
        nearest: Distance of the kept strip's or tails' edge from the origin for "easy", else 0.
    """

    pieces: tuple[tuple[Line, ...], ...]
    log_mass: float
    nearest: float

    @property
    def reach(self) -> float:
        """Radius beyond which the kept mass is negligible."""
        return math.sqrt(self.nearest**2 + TAIL)


@dataclass(frozen=True)
class Projection:
    """The kept law along one direction, as quadrature nodes.

    Attributes:
        along: Coordinate along the direction, shape (n,).
        mass: Weight of each node, shape (n,); sums to 1 when the whole law is covered.
        first: Weight times the mean of the coordinate across, shape (n,).
        second: Weight times the mean square of the coordinate across, shape (n,).
    """

    along: Array
    mass: Array
    first: Array
    second: Array


def kept_region(keep: float, theta: float, order: str) -> KeptRegion:
    """Return the region kept by a probe at angle `theta`: small margins ("hard"), large ones ("easy") or any ("random")."""
    from scipy.special import ndtri

    if order == "random" or keep == 1:
        return KeptRegion(((LABEL_SIDE,),), math.log(0.5), 0.0)
    towards = (math.cos(theta), math.sin(theta))
    log_mass = math.log(keep / 2)
    if order == "hard":
        # ndtri((1 - keep) / 2) would round small fractions away: the identity keeps their digits.
        edge = half_width(keep)
        strip = (Line(*towards, -edge), Line(-towards[0], -towards[1], -edge))
        return KeptRegion(((LABEL_SIDE, *strip),), log_mass, 0.0)
    edge = -float(ndtri(keep / 2))
    tails = (Line(*towards, edge), Line(-towards[0], -towards[1], edge))
    return KeptRegion(tuple((LABEL_SIDE, tail) for tail in tails), log_mass, edge)


def half_width(keep: float) -> float:
    """Return gamma with `P(|z| < gamma) = keep` for a standard normal z; infinite for 1."""
    from scipy.special import erfinv, ndtri

    return math.sqrt(2) * float(erfinv(keep)) if keep < 0.5 else -float(ndtri((1 - keep) / 2))


def project(region: KeptRegion, direction: tuple[float, float], speed: float, level: float) -> Projection:
    """Project the kept law on a unit direction of the plane, fit for functions of `level - speed * along`.

    Args:
        region: What is kept.
        direction: Unit vector (teacher, across).
        speed: How fast the functions to be integrated change, in 1 / (unit of along).
        level: They vanish, or are smooth, far from `along = level / speed`: below -11 nothing is left of them.

    Returns:
        `Projection` on [-reach, (level + 11) / speed].
    """
    parts = [part for piece in region.pieces for part in _pieces_along(piece, region, direction, speed, level)]
    columns = zip(*parts, strict=True) if parts else [[np.empty(0)]] * 4  # the functions vanish on every kept example
    return Projection(*(np.concatenate(column) for column in columns))


def _pieces_along(
    piece: tuple[Line, ...], region: KeptRegion, direction: tuple[float, float], speed: float, level: float
) -> Iterator[tuple[Array, Array, Array, Array]]:
    """Yield the nodes of one convex piece; none where it lies beyond the reach of the functions."""
    turned = [_turn(line, direction) for line in piece]
    low, high = -region.reach, region.reach
    if speed > SLOW:
        high = min(high, (level + 11.0) / speed)
    for line in turned:
        if line.across == 0:
            low, high = (max(low, line.offset), high) if line.teacher > 0 else (low, min(high, -line.offset))
    if low >= high:
        return
    sloped = [line for line in turned if line.across != 0]
    edges = [np.linspace(-region.reach, region.reach, 9), _vertices(sloped)]
    # Where a sloped line cuts the bulk of the coordinate across.
    edges += [(line.offset + abs(line.across) * STEPS) / line.teacher for line in sloped if line.teacher != 0]
    if speed > SLOW:
        edges.append((level - STEPS) / speed)
    along, weight = panels(np.concatenate(edges), low, high)
    yield along, *_across(along, weight, sloped, region.log_mass)


def _turn(line: Line, direction: tuple[float, float]) -> Line:
    """Express a half-plane in coordinates (along the direction, across it); a steep one is made upright."""
    along = line.teacher * direction[0] + line.across * direction[1]
    across = line.across * direction[0] - line.teacher * direction[1]
    if abs(across) < STEEP:
        return Line(math.copysign(1.0, along), 0.0, line.offset)
    return Line(along, across, line.offset)


def _vertices(lines: list[Line]) -> Array:
    """Find where two lines cross: the limits across change from one line to the other."""
    found = []
    for number, one in enumerate(lines):
        for other in lines[:number]:
            determinant = one.teacher * other.across - one.across * other.teacher
            if abs(determinant) > STEEP:
                found.append((one.offset * other.across - one.across * other.offset) / determinant)
    return np.array(found)


def panels(edges: Array, low: float, high: float) -> tuple[Array, Array]:
    """Return Gauss-Legendre nodes and weights on [low, high], one panel between every two edges."""
    inside = np.unique(edges[(edges > low) & (edges < high)])
    ends = np.concatenate(([low], inside, [high]))
    half = np.diff(ends)[:, None] / 2
    return (ends[:-1, None] + half * (1 + NODES)).ravel(), (half * WEIGHTS).ravel()


def _across(along: Array, weight: Array, lines: list[Line], log_mass: float) -> tuple[Array, Array, Array]:
    """Return mass, first and second moment of the coordinate across, between the lines, for each node."""
    from scipy.special import log_ndtr

    log_weight = -0.5 * along**2 - LOG_SQRT_2PI - log_mass
    if not lines:
        mass = weight * np.exp(log_weight)
        return mass, np.zeros_like(mass), mass
    low, high = np.full(along.shape, -FAR), np.full(along.shape, FAR)
    for line in lines:
        limit = np.clip((line.offset - line.teacher * along) / line.across, -FAR, FAR)
        low, high = (np.maximum(low, limit), high) if line.across > 0 else (low, np.minimum(high, limit))
    high = np.maximum(low, high)
    density_low = weight * np.exp(log_weight - 0.5 * low**2 - LOG_SQRT_2PI)
    density_high = weight * np.exp(log_weight - 0.5 * high**2 - LOG_SQRT_2PI)
    # Both ends in the upper tail: the interval is mirrored, because the integral is exact near 0, not near 1.
    upper = low > 0
    log_low, log_high = log_ndtr(np.where(upper, -high, low)), log_ndtr(np.where(upper, -low, high))
    mass = -weight * np.exp(log_weight + log_high) * np.expm1(log_low - log_high)
    wide = (mass, density_low - density_high, mass + low * density_low - high * density_high)
    narrow = _narrow(weight * np.exp(log_weight), (low + high) / 2, high - low)
    mass, first, second = (np.where(high - low < NARROW, *pair) for pair in zip(narrow, wide, strict=True))
    return mass, first, second


def _narrow(weight: Array, middle: Array, width: Array) -> tuple[Array, Array, Array]:
    """Return the moments of a narrow interval by a series: a difference of integrals would lose as many digits as it is narrow."""
    density = weight * width * np.exp(-0.5 * middle**2 - LOG_SQRT_2PI)
    mass = density * (1 + (middle**2 - 1) * width**2 / 24)
    curved = density * width**2 / 12
    return mass, middle * (mass - curved), middle**2 * (mass - 2 * curved) + curved
