"""Parts of the rows that the epochs of a training see, drawn with NumPy from a seed, the epoch and the losses so far.

Every function is pure: processes that give it the same losses draw the same part.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LARGEST_WEIGHT = 2  # of a row that stands for thinned ones, in weights of a uniform thinning, which are n / budget


@dataclass(frozen=True)
class Part:
    """Rows of one epoch.

    Attributes:
        kept: Which rows the epoch sees, shape (n,).
        weights: Factor of the loss of each row, shape (n,), or None where all are 1.
    """

    kept: NDArray[np.bool_]
    weights: NDArray[np.float32] | None = None


def fresh_parts(num_rows: int, budget: int, seed: int) -> Iterator[NDArray[np.bool_]]:
    """Yield a part for each epoch, without replacement over the epochs: a row comes again when all have been there.

    The parts are cut one after the other from a chain of permutations of all rows. A part that begins in one permutation
    and ends in the next takes from the next only rows that it does not hold yet. So no row is twice in a part, each is in
    one of the first ceil(n / budget), and after any number of epochs the rows have been seen equally often but for one time.

    Args:
        num_rows: Rows of the data set, n.
        budget: Rows of an epoch, in [1, n].
        seed: A non-negative integer.

    Yields:
        Which rows the epoch sees, shape (n,), without end.

    References:
        Okanovic et al., "Repeated Random Sampling for Minimizing the Time-to-Accuracy of Learning" (RS2), ICLR 2024,
        arXiv 2305.18424. Deviation: the authors' code fills a part at the end of a permutation with the beginning of the
        same one, which sees some rows twice before others once where the budget does not divide n.

    Example:
        >>> parts = fresh_parts(5, 2, seed=0)
        >>> (next(parts) | next(parts) | next(parts)).sum()
        np.int64(5)
    """
    generator = np.random.default_rng(seed)
    waiting = np.empty(0, dtype=np.int64)
    while True:
        chosen = waiting[:budget]
        waiting = waiting[budget:]
        if len(chosen) < budget:
            order = generator.permutation(num_rows)
            fresh = order[~np.isin(order, chosen)][: budget - len(chosen)]
            waiting = order[~np.isin(order, fresh)]
            chosen = np.concatenate([chosen, fresh])
        yield _mask(chosen, num_rows)


def repeated_part(num_rows: int, budget: int, seed: int, epoch: int) -> NDArray[np.bool_]:
    """Draw a part anew, whatever the epochs before it saw: RS2 with replacement; no row is twice in a part.

    Returns:
        Which rows the epoch sees, shape (n,).

    Example:
        >>> repeated_part(5, 2, seed=0, epoch=3).sum()
        np.int64(2)
    """
    return _mask(_generator(seed, epoch).permutation(num_rows)[:budget], num_rows)


def weighted_part(weights: NDArray[np.float64], budget: int, seed: int, epoch: int) -> NDArray[np.bool_]:
    """Draw a part in which heavy rows are likelier, without replacement, and anew in each epoch.

    Rows are drawn one after the other with probabilities proportional to the weights of those that are left, by the keys
    of Efraimidis and Spirakis (Information Processing Letters 97, 2006).

    Args:
        weights: Not negative, shape (n,); at least ``budget`` of them are positive.
        budget: Rows of the epoch.
        seed: A non-negative integer.
        epoch: Number of the epoch, from 0.

    Returns:
        Which rows the epoch sees, shape (n,).

    Example:
        >>> weighted_part(np.array([1.0, 0.0, 2.0]), 2, seed=0, epoch=0).tolist()
        [True, False, True]
    """
    exponentials = _generator(seed, epoch).exponential(size=len(weights))
    keys = np.full(len(weights), np.inf)
    drawn = weights > 0
    keys[drawn] = np.log(exponentials[drawn]) - np.log(weights[drawn])  # the quotient may leave the range of floats
    return _mask(np.argsort(keys, kind="stable")[:budget], len(weights))


def thinned_part(losses: NDArray[np.float32], budget: int, seed: int, epoch: int) -> Part:
    """Thin the rows below the mean loss at random, and weigh those that stay for those that do not.

    Of the m rows below the mean, k = m - (n - budget) stay, each with probability k / m and with weight m / k. So the
    weighted sum over the part of whatever belongs to a row, such as its gradient, has the sum over all rows as its mean.
    Where the rows below the mean are so few that the weight would be above 2 n / budget, the next ones by their loss are
    thinned, too: else a few rows would decide a step.

    Args:
        losses: Last known loss of each row, shape (n,); NaN where none is known, which counts as the largest.
        budget: Rows of the epoch, in [1, n].
        seed: A non-negative integer.
        epoch: Number of the epoch, from 0.

    Returns:
        The part.

    References:
        Qin et al., "InfoBatch: Lossless Training Speed Up by Unbiased Dynamic Data Pruning", ICLR 2024, arXiv 2303.04947.
        Deviations: the paper fixes the probability r of dropping a row below the mean, and so the rows of an epoch are
        only known when it begins; here the rows of an epoch are fixed, and r = (n - budget) / m follows. The paper's r is
        never so large that the mean has to give way.

    Example:
        >>> part = thinned_part(np.array([0.1, 0.1, 0.1, 0.1, 4, 9], np.float32), 4, seed=0, epoch=1)
        >>> part.kept.sum(), part.weights.tolist()
        (np.int64(4), [2.0, 2.0, 2.0, 2.0, 1.0, 1.0])
    """
    num_rows, dropped = len(losses), len(losses) - budget
    kept = np.ones(num_rows, dtype=bool)
    if dropped == 0:
        return Part(kept)
    known = np.where(np.isfinite(losses), losses, np.inf).astype(np.float64)
    finite = known[np.isfinite(known)]
    below = int((finite < finite.mean()).sum()) if len(finite) else 0
    largest = LARGEST_WEIGHT * num_rows
    easy_count = max(below, -(-dropped * largest // (largest - budget)))
    easy = np.argsort(known, kind="stable")[:easy_count]
    kept[_generator(seed, epoch).permutation(easy)[:dropped]] = False
    weights = np.ones(num_rows, dtype=np.float32)
    weights[easy] = len(easy) / (len(easy) - dropped)
    return Part(kept, weights)


def hardest_part(losses: NDArray[np.float32], budget: int, pool: int, seed: int, epoch: int) -> NDArray[np.bool_]:
    """Keep the rows of largest loss of a pool that is drawn uniformly.

    Args:
        losses: Last known loss of each row, shape (n,); NaN where none is known, which counts as the largest.
        budget: Rows of the epoch.
        pool: Rows of the pool, in [budget, n].
        seed: A non-negative integer.
        epoch: Number of the epoch, from 0.

    Returns:
        Which rows the epoch sees, shape (n,). Rows of equal loss are taken at random.

    References:
        Jin et al., "OrderDP: A Theoretically Guaranteed Lossless Dynamic Data Pruning Framework", ICLR 2026,
        arXiv 2606.08574. Deviation: in the authors' code rows without a loss have one of 3; here they come first.

    Example:
        >>> hardest_part(np.array([3, 1, 2], np.float32), 1, 3, seed=0, epoch=0).tolist()
        [True, False, False]
    """
    drawn = _generator(seed, epoch).permutation(len(losses))[:pool]
    known = np.where(np.isfinite(losses), losses, np.inf)
    return _mask(drawn[np.argsort(-known[drawn], kind="stable")[:budget]], len(losses))


def part_of_epoch(parts: Iterator[NDArray[np.bool_]], ahead: int) -> NDArray[np.bool_]:
    """Return the part that comes after ``ahead`` others, which are passed over."""
    return next(itertools.islice(parts, ahead, None))


def _generator(seed: int, epoch: int) -> np.random.Generator:
    return np.random.default_rng([seed, epoch])


def _mask(rows: NDArray[np.int64], num_rows: int) -> NDArray[np.bool_]:
    kept = np.zeros(num_rows, dtype=bool)
    kept[rows] = True
    return kept
