"""Self-test of a search for wrong labels: some of three kinds are planted, and those that are found are counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.cleaning.confident_learning import ends, log_odds, probability_margins, share_like

Rows = NDArray[np.int64]
Shares = NDArray[np.float64]
Mask = NDArray[np.bool_]

# From the kind that a classifier finds most easily to the one that it finds least, with the words for what it is.
KINDS = {
    "at_random": "drawn at random",
    "by_class": "swapped for the class that theirs is taken for",
    "by_row": "drawn as the classifier errs",
}
# A stream of its own: who has planted noise with the same seed before must not have it planted on the same rows.
_STREAM = 19110068


@dataclass(frozen=True)
class Planted:
    """Labels with some replaced.

    Attributes:
        labels: Shape (n,).
        rows: Rows of each of the `KINDS` whose label was replaced.
    """

    labels: NDArray[np.int64]
    rows: Mapping[str, Rows]

    @property
    def mask(self) -> Mask:
        """Mark the rows with a replaced label, shape (n,)."""
        found = np.zeros(len(self.labels), dtype=bool)
        found[np.concatenate(list(self.rows.values()))] = True
        return found


@dataclass(frozen=True)
class SelfTest:
    """Result of a search for planted labels, over all splits.

    Attributes:
        planted: Labels that were replaced.
        depths: Share of the other rows that look more suspicious than a label replaced, in [0, 1], ascending, by kind of `KINDS`.
        shares: Share of the other rows that look like labels of a kind, in [0, 1], by kind.
        low: Share that looks like labels drawn at random at least, in [0, 1], 95 % below its true value if such noise there is.
        contradicted: Share of the labels replaced that the classifier takes for another class, in [0, 1].
    """

    planted: int
    depths: Mapping[str, Shares] = field(repr=False, compare=False)
    shares: Mapping[str, float]
    low: float
    contradicted: float

    @property
    def rate(self) -> float:
        """Estimate the share of wrong labels: the mean of what the three kinds say, in [0, 1]."""
        return float(np.mean(list(self.shares.values())))

    def found(self, shares: Shares) -> Shares:
        """Return which part of the labels replaced is found when shares of the rows are suspected, (kinds, k), in [0, 1]."""
        return np.stack([np.searchsorted(own, shares, side="right") / len(own) for own in self.depths.values()])

    def wrong(self, num_rows: int, rate: float, high: float) -> Shares:
        """Estimate which part of the first rows of a ranking is wrong, for every number of them up to all, shape (num_rows, 3).

        The estimate has as much of each kind as rows look like it, ``rate`` in all; at least what looks like labels drawn at
        random is wrong, at most ``high`` of the kind that is found most. The first rows are no less suspicious than more.
        """
        counts = np.arange(1, num_rows + 1)
        found, shares = self.found(counts / num_rows), np.array(list(self.shares.values()))
        mixed = rate * (shares / shares.sum() if shares.any() else shares + 1 / len(shares)) @ found
        parts = np.stack([mixed, self.low * found[0], high * found.max(axis=0)], axis=1)
        return np.maximum.accumulate(np.minimum(1.0, parts * num_rows / counts[:, None])[::-1])[::-1]

    def num_suspects(self, num_rows: int, rate: float) -> int:
        """Count the first rows of a ranking that are each more likely wrong than right, if a share of all is.

        At this count the rows that are expected to be wrong, less half of all, are most.
        """
        counts = np.arange(1, num_rows + 1)
        surplus = counts * (self.wrong(num_rows, rate, 1.0)[:, 0] - 0.5)
        best = int(surplus.argmax())
        return best + 1 if surplus[best] > 0 else 0

    def high(self, disagreement: float, num_rows: int) -> float:
        """Bound the share of wrong labels from above, by the share of labels that the classifier takes for another class.

        If it contradicts wrong labels as often as planted ones, so many that are contradicted come from that many at most.
        """
        return float(min(1.0, ends(disagreement, num_rows)[1] / max(self.contradicted, 1e-9)))


def plant(labels: NDArray[np.int64], probs: NDArray[Any], share: float, seed: int) -> Planted:
    """Replace a share of the labels, a third of them by each of the `KINDS`.

    A label is drawn among all other classes, or becomes the class that its class is taken for most, or both row and label are
    drawn by the probabilities of the other classes, as an annotator would err who sees what the classifier sees. Labels
    are integers from 0, (n,), probabilities out of fold, (n, classes), the share in (0, 0.5]; it is three rows at least.

    Example:
        >>> labels = np.array([0, 1, 2] * 4)
        >>> int((plant(labels, np.eye(3)[labels], 0.5, seed=0).labels != labels).sum())
        6
    """
    generator = np.random.default_rng([seed, len(labels), _STREAM])
    classes, count = np.unique(labels), max(3, round(share * len(labels)))
    others = probs[:, classes].astype(np.float64) + 1e-6  # each row can be drawn, and each other class
    others[np.arange(len(labels)), np.searchsorted(classes, labels)] = 0.0
    weights = np.log(others.sum(axis=1)) + generator.gumbel(
        size=len(labels)
    )  # the largest are a draw without replacement
    by_row = np.argsort(-weights, kind="stable")[: count // 3]
    rest = generator.permutation(np.setdiff1d(np.arange(len(labels)), by_row))[: count - len(by_row)]
    at_random, by_class = rest[: (len(rest) + 1) // 2], rest[(len(rest) + 1) // 2 :]
    replaced = labels.copy()
    shift = generator.integers(1, len(classes), len(at_random))
    replaced[at_random] = classes[(np.searchsorted(classes, labels[at_random]) + shift) % len(classes)]
    replaced[by_class] = _taken_for(labels, probs, classes)[np.searchsorted(classes, labels[by_class])]
    reached = others[by_row].cumsum(axis=1)
    replaced[by_row] = classes[(reached > generator.random((len(by_row), 1)) * reached[:, -1:]).argmax(axis=1)]
    return Planted(replaced, {"at_random": at_random, "by_class": by_class, "by_row": by_row})


def _taken_for(labels: NDArray[np.int64], probs: NDArray[Any], classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each class that occurs the other one with the largest mean probability on its rows."""
    means = np.stack([probs[labels == code].mean(axis=0)[classes] for code in classes])
    np.fill_diagonal(means, -1.0)
    return np.asarray(classes[means.argmax(axis=1)])


def judge(tests: Sequence[tuple[Planted, NDArray[Any]]]) -> SelfTest:
    """Count what is found of planted labels; of each split these, and probabilities (n, classes) by classifiers trained on them."""
    by_kind: dict[str, list[list[Shares]]] = {kind: [[], []] for kind in KINDS}
    others: list[list[Shares]] = [[], []]
    for planted, probs in tests:
        # Of labels drawn at random many have a probability next to 0, of others many lose to a sure prediction: each kind
        # is told best from hard rows by another number.
        for place, numbers in enumerate((log_odds(probs, planted.labels), probability_margins(probs, planted.labels))):
            others[place].append(numbers[~planted.mask])
            for kind, rows in planted.rows.items():
                by_kind[kind][place].append(numbers[rows])
    samples = {kind: [np.concatenate(parts) for parts in found] for kind, found in by_kind.items()}
    rest = [np.concatenate(parts) for parts in others]
    like = {
        kind: share_like(samples[kind][place], rest[place], len(tests))
        for kind, place in (("at_random", 0), ("by_class", 1), ("by_row", 1))
    }
    ranked, pooled = np.sort(rest[0]), np.concatenate([numbers[0] for numbers in samples.values()])
    return SelfTest(
        planted=len(pooled),
        depths={
            kind: np.sort(1.0 - np.searchsorted(ranked, numbers[0], side="right") / len(ranked))
            for kind, numbers in samples.items()
        },
        shares={kind: found.share for kind, found in like.items()},
        low=like["at_random"].low,
        contradicted=float((pooled > 0).mean()),
    )
