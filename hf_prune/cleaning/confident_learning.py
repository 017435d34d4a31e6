"""Confident learning: wrong labels from predictions that did not see them, and a score of suspicion for each row."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Probs = NDArray[Any]
Codes = NDArray[np.int64]


_EQUAL = 1e-6  # probabilities that close to a threshold reach it, as in cleanlab
_TINY = 1e-30  # stands for probability 0 in logarithms


def confident_joint(probs: Probs, labels: Codes) -> NDArray[np.float64]:
    """Estimate how given and true classes go together.

    A row counts for the class that it is predicted to have with at least the mean probability that this class has on its
    own rows; of several such classes for the one that is likeliest of all. Counts are scaled to the number of rows of each
    given class.

    Args:
        probs: Out-of-fold probabilities, shape (n, classes).
        labels: Given classes, integers in [0, classes), shape (n,).

    Returns:
        Shares that add up to 1, shape (classes, classes): given class by estimated true class. One minus the trace is the
        estimated share of wrong labels, which is too large by about the share of rows that the classifier gets wrong with
        confidence.

    Example:
        >>> sure = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.9, 0.1]])
        >>> confident_joint(sure, np.array([0, 0, 1, 1])).tolist()
        [[0.5, 0.0], [0.25, 0.25]]

    References:
        Northcutt, Jiang & Chuang (2021), arXiv:1911.00068. As in cleanlab, each class that occurs keeps at least one row
        on the diagonal; unlike there, scaled counts are not rounded to whole rows.
    """
    num_classes = probs.shape[1]
    sizes = np.bincount(labels, minlength=num_classes)
    own = np.bincount(labels, weights=probs[np.arange(len(labels)), labels], minlength=num_classes)
    thresholds = np.divide(own, sizes, out=np.full(num_classes, np.inf), where=sizes > 0)
    reached = probs >= thresholds - _EQUAL
    several = reached.sum(axis=1) > 1
    guess = np.where(several, probs.argmax(axis=1), reached.argmax(axis=1))
    sure = reached.any(axis=1)
    counts = np.zeros((num_classes, num_classes))
    np.add.at(counts, (labels[sure], guess[sure]), 1)
    np.fill_diagonal(counts, np.maximum(counts.diagonal(), 1))
    scaled = counts / counts.sum(axis=1, keepdims=True) * sizes[:, None]
    return np.asarray(scaled / scaled.sum())


def probability_margins(probs: Probs, labels: Codes) -> NDArray[np.float64]:
    """Return the largest probability of another class less that of the label, in [-1, 1], shape (n,); above 0 they disagree."""
    own, other = _own_and_other(probs, labels)
    return other - own


def log_odds(probs: Probs, labels: Codes) -> NDArray[np.float64]:
    """Return the logarithm of the likeliest other class's probability over the label's, shape (n,); above 0 they disagree.

    Example:
        >>> log_odds(np.array([[0.8, 0.2], [0.5, 0.5]]), np.array([1, 1])).round(3).tolist()
        [1.386, 0.0]
    """
    own, other = _own_and_other(probs, labels)
    return np.asarray(np.log(np.maximum(other, _TINY)) - np.log(np.maximum(own, _TINY)))


def _own_and_other(probs: Probs, labels: Codes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows = np.arange(len(labels))
    others = probs.astype(np.float64)
    own = others[rows, labels]
    others[rows, labels] = -np.inf
    return own, others.max(axis=1)


class LikeSample(NamedTuple):
    """A share of rows that are like a sample, in [0, 1], and the lower end of it."""

    share: float
    low: float


def share_like(sample: NDArray[np.float64], others: NDArray[np.float64], repeats: int = 1) -> LikeSample:
    """Estimate which share of some rows is of the kind of a sample, from one number per row that is high for the sample.

    Above any threshold there are at least as many of the rows as their share times the part of the sample above it. The
    ratio of the two parts bounds the share from above, and the more tightly the fewer rows of another kind are above. The
    ratio is taken where it is smallest with two standard errors added to it; its lower end has both parts at theirs, 95 %
    below. The sample is (m,), m at least 1, the rows in question (n,), in which each row may be repeated.

    Example:
        >>> found = share_like(np.full(100, 5.0), np.repeat([5.0, 0.0], [30, 70]))
        >>> round(found.share, 6), round(found.low, 2)
        (0.3, 0.22)

    References:
        Scott (2015), A rate of convergence for mixture proportion estimation; Blanchard, Lee & Scott (2010).
    """
    ordered, rest = np.sort(sample), np.sort(others)
    fewest = min(len(ordered), max(10, len(ordered) // 50))  # of the sample above a threshold
    # Few thresholds, each a tenth rarer than the last: of many ratios the smallest is so by chance.
    above = np.unique(
        np.geomspace(fewest, len(ordered), 1 + round(np.log(len(ordered) / fewest) / 0.1)).astype(np.int64)
    )
    thresholds = ordered[len(ordered) - above]
    part = 1.0 - np.searchsorted(ordered, thresholds) / len(ordered)
    found = 1.0 - np.searchsorted(rest, thresholds) / len(rest)
    different = len(rest) / repeats
    # Each part at its worst: two standard errors, and three rows where none was found.
    most = found + 2.0 * np.sqrt(found * (1.0 - found) / different) + 3.0 / different
    least = part / (1.0 + 2.0 * np.sqrt((1.0 - part) / (part * len(ordered))))
    best = int(np.argmin(most / least))
    low = ends(float(found[best]), different)[0] / ends(float(part[best]), len(ordered))[1]
    return LikeSample(float(min(1.0, found[best] / part[best])), min(1.0, low))


def ends(share: float, num_rows: float) -> tuple[float, float]:
    """Return what a share of so many rows is at least and at most, each with 95 %, in [0, 1].

    Example:
        >>> [round(end, 3) for end in ends(0.1, 100)]
        [0.051, 0.149]
    """
    half = 1.645 * float(np.sqrt(share * (1.0 - share) / num_rows))
    return max(0.0, share - half), min(1.0, share + half)
