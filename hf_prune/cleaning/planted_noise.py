"""Self-test of a search for wrong labels: some are planted, and those that are found are counted."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.cleaning.confident_learning import log_odds, probability_margins, share_like

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


# A stream of its own: who has planted noise with the same seed before must not have it planted on the same rows.
_STREAM = 19110068


@dataclass(frozen=True)
class Planted:
    """Labels with some replaced.

    Attributes:
        labels: Shape (n,).
        at_random: Rows whose new label was drawn among all other classes.
        swapped: Rows that got the class that the classifier takes theirs for most.
    """

    labels: NDArray[np.int64]
    at_random: Rows
    swapped: Rows

    @property
    def mask(self) -> Mask:
        """Mark the rows with a replaced label, shape (n,)."""
        found = np.zeros(len(self.labels), dtype=bool)
        found[self.at_random] = found[self.swapped] = True
        return found


@dataclass(frozen=True)
class SelfTest:
    """Result of a search for planted labels.

    Attributes:
        planted: Rows with a replaced label.
        precision: Share of the rows suspected that were planted, in [0, 1]; rows suspected before are left out.
        recall: Share of the rows planted that were suspected, in [0, 1].
        recall_at_random: The same of labels drawn at random.
        recall_swapped: The same of labels swapped for the class they are taken for most.
        rate_at_random: Share of the other rows that look like labels drawn at random, in [0, 1].
        rate_swapped: Share of the other rows that look like swapped ones, in [0, 1].
    """

    planted: int
    precision: float
    recall: float
    recall_at_random: float
    recall_swapped: float
    rate_at_random: float
    rate_swapped: float

    @property
    def rate(self) -> float:
        """Estimate the share of wrong labels, half of them of either kind as those planted, in [0, 1]."""
        return (self.rate_at_random + self.rate_swapped) / 2


def plant(labels: NDArray[np.int64], probs: NDArray[Any], share: float, seed: int) -> Planted:
    """Replace a share of the labels, one half at random and the other by the class that theirs is taken for most.

    Labels are integers from 0, (n,), probabilities out of fold, (n, classes), the share in (0, 0.5]; it is two rows at least.

    Example:
        >>> labels = np.array([0, 1, 2] * 4)
        >>> int((plant(labels, np.eye(3)[labels], 0.5, seed=0).labels != labels).sum())
        6
    """
    generator = np.random.default_rng([seed, len(labels), _STREAM])
    classes = np.unique(labels)
    rows = generator.permutation(len(labels))[: max(2, round(share * len(labels)))]
    at_random, swapped = rows[: (len(rows) + 1) // 2], rows[(len(rows) + 1) // 2 :]
    replaced = labels.copy()
    place = np.searchsorted(classes, labels[at_random])
    shift = generator.integers(1, len(classes), len(at_random))
    replaced[at_random] = classes[(place + shift) % len(classes)]
    replaced[swapped] = _taken_for(labels, probs, classes)[np.searchsorted(classes, labels[swapped])]
    return Planted(replaced, at_random, swapped)


def _taken_for(labels: NDArray[np.int64], probs: NDArray[Any], classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each class that occurs the other one with the largest mean probability on its rows."""
    means = np.stack([probs[labels == code].mean(axis=0)[classes] for code in classes])
    np.fill_diagonal(means, -1.0)
    return np.asarray(classes[means.argmax(axis=1)])


def most_suspicious(scores: NDArray[np.float64], share: float) -> Mask:
    """Mark the share of rows with the highest scores, of those above 0, where classifier and label disagree; shape (n,)."""
    chosen = np.argsort(-scores, kind="stable")[: round(share * len(scores))]
    found = np.zeros(len(scores), dtype=bool)
    found[chosen] = scores[chosen] > 0
    return found


def judge(planted: Planted, probs: NDArray[Any], before: NDArray[np.float64]) -> SelfTest:
    """Count the planted labels that are found when as many rows are suspected as must be wrong.

    The probabilities (n, classes) are those of classifiers trained on the planted labels; ``before`` (n,) are the scores,
    as `log_odds` gives them, of the rows with their own.
    """
    mask = planted.mask
    scores, margins = log_odds(probs, planted.labels), probability_margins(probs, planted.labels)
    # Of labels drawn at random many have a probability next to 0, of swapped ones many lose to a sure prediction: each
    # kind is told best from hard rows by another number.
    at_random = share_like(scores[planted.at_random], scores[~mask])
    swapped = share_like(margins[planted.swapped], margins[~mask])
    rate, share = (at_random + swapped) / 2, mask.mean()
    suspects = most_suspicious(scores, rate * (1 - share) + share)
    counted = suspects & (mask | ~most_suspicious(before, rate))
    return SelfTest(
        planted=int(mask.sum()),
        precision=float(mask[counted].mean()) if counted.any() else 0.0,
        recall=float(suspects[mask].mean()),
        recall_at_random=float(suspects[planted.at_random].mean()),
        recall_swapped=float(suspects[planted.swapped].mean()),
        rate_at_random=at_random,
        rate_swapped=swapped,
    )
