"""Estimate of wrong labels: out-of-fold predictions, and a test of the search on planted noise."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset
from datasets.utils import tqdm
from numpy.typing import NDArray

from hf_prune.cleaning.confident_learning import confident_joint, ends, log_odds
from hf_prune.cleaning.planted_noise import KINDS, Planted, SelfTest, judge, plant
from hf_prune.data.columns import Labels
from hf_prune.data.thumbnails import strip
from hf_prune.runtime import svg
from hf_prune.runtime.arguments import check_count
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.figures import SUSPECT
from hf_prune.runtime.files import write_csv
from hf_prune.runtime.html import fragment, table
from hf_prune.runtime.messages import printable
from hf_prune.runtime.processes import in_step, use_device
from hf_prune.runtime.seeds import check_seed
from hf_prune.scoring import Request, Run
from hf_prune.scoring.agreement import check_request
from hf_prune.scoring.embeddings import all_embeddings, as_dataset
from hf_prune.scoring.pool import required_labels

_SHOWN_ROWS = 10
TRUSTED_AGREEMENT = 0.8
TELLING_RANGE = 0.2  # between ends farther apart no single figure is printed
SPLIT_ROWS, MOST_SPLITS = 30_000, 3  # few rows are split anew until chance in the split matters little


@dataclass(frozen=True)
class LabelNoise:
    """Labels that look wrong; printed, it is a summary and the most suspicious rows.

    Attributes:
        rate: Estimated share of wrong labels among the rows judged, in [0, 1]: the mean of the shares of rows that look like
            each kind of planted label; without a self-test that of confident learning.
        low: The share that is wrong at least, whatever the kind: what looks like labels drawn at random.
        high: The share that is wrong at most, if the classifier contradicts wrong labels as often as planted ones.
        suspects: The rows whose label is more likely wrong than right, where classifier and label disagree; shape (n,).
        scores: Logarithm of the likeliest other class's probability over the label's, above 0 where they disagree, high
            for suspicious rows, shape (n,); NaN for rows that were not judged.
        probs: Out-of-fold probabilities, the mean over the splits, shape (n, classes); NaN for rows that were not judged.
        confident_rate: The estimate of confident learning, in [0, 1]; it counts what the classifier gets wrong with
            confidence as wrong, so that a weak classifier makes it too high.
        agreement: Share of the rows judged whose label is the class predicted.
        labels: The labels that were judged.
        self_test: Result of the self-test; None where probabilities were given, or ``planted=0``.
        unscored: Rows that were not judged, by row number, and why.
        ds: The rows themselves, for pictures.
    """

    rate: float
    low: float
    high: float
    suspects: NDArray[np.bool_]
    scores: NDArray[np.float64]
    probs: NDArray[Any]
    confident_rate: float
    agreement: float
    labels: Labels
    self_test: SelfTest | None = None
    unscored: Mapping[int, str] = field(default_factory=dict)
    ds: Dataset | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"LabelNoise({self._summary()})"

    def _summary(self) -> str:
        suspects, judged = int(self.suspects.sum()), int((~np.isnan(self.scores)).sum())
        wrong = share_wrong(self.rate, self.low, self.high)
        return f"{wrong} of {judged} labels are estimated to be wrong; {suspects} rows are suspects"

    @property
    def caution(self) -> str:
        """Say why to doubt all this, where the classifier agrees with few labels; else empty."""
        if self.agreement >= TRUSTED_AGREEMENT:
            return ""
        return (
            f"caution: the classifier agrees with {self.agreement:.0%} of the labels only, so that hard rows and wrong labels "
            "can hardly be told apart; a better encoder narrows the range"
        )

    def _repr_html_(self) -> str:
        title, shown = self._summary(), self.ranking[:_SHOWN_ROWS].tolist()
        bar = svg.share(int(self.suspects.sum()), len(self.suspects), title, colour=SUSPECT)
        lines = [(row, *self._names(row), f"{self.scores[row]:.2f}") for row in shown]
        captions = {row: f"row {row}: {self._names(row)[0]}, looks like {self._names(row)[1]}" for row in shown}
        found = table(lines, ["row", "label", "predicted", "score"])
        return fragment(title, bar, *self._tests(), "the most suspicious rows:", strip(self.ds, captions), found)

    def precision_at(self, counts: Any) -> NDArray[np.float64]:
        """Estimate which share of the first rows of the ranking is wrong.

        Of the labels planted of each kind a part is among so many rows, and that part of the labels that look like it.

        Args:
            counts: Numbers of rows, each 1 or more, shape (k,) or a single one.

        Returns:
            Shape (k, 3), in [0, 1]: the estimate, what it is at least if only labels drawn at random are wrong, and at most if
            ``high`` of the kind found most are; NaN without a self-test.

        Raises:
            ValueError: If a count is not from 1 to the rows judged.
        """
        wanted, judged = np.atleast_1d(np.asarray(counts)), int((~np.isnan(self.scores)).sum())
        if wanted.dtype.kind not in "iu" or wanted.min(initial=1) < 1 or wanted.max(initial=1) > judged:
            raise InputError(f"counts={counts!r}; give numbers of rows from 1 to {judged}, those judged")
        if self.self_test is None:
            return np.full((len(wanted), 3), np.nan)
        return self.self_test.wrong(judged, self.rate, self.high)[wanted - 1]

    @property
    def precision(self) -> float | None:
        """Return the share of the suspects that is estimated to be wrong; None where there are none, or without a self-test."""
        count = int(self.suspects.sum())
        return None if self.self_test is None or count == 0 else float(self.precision_at(count)[0, 0])

    @property
    def recall(self) -> float | None:
        """Return the share of the planted labels of the kind found least that the suspects would hold; None without a self-test."""
        return None if self.self_test is None else min(self._recalls(self.self_test).values())

    @property
    def ranking(self) -> NDArray[np.int64]:
        """Return the row numbers of the rows judged, the most suspicious first."""
        order = np.argsort(-self.scores, kind="stable")
        return order[~np.isnan(self.scores[order])]

    def write_csv(self, path: str | Path) -> Path:
        """Write a line per row judged, the most suspicious first: row, label, predicted class, score, suspect or not, precision.

        The precision is that of all rows down to this one.
        """
        ranking = self.ranking
        precisions = self.precision_at(np.arange(1, len(ranking) + 1))[:, 0]
        lines = (
            [
                row,
                *self._names(row),
                f"{self.scores[row]:.4f}",
                int(self.suspects[row]),
                "" if precision != precision else f"{precision:.4f}",
            ]
            for row, precision in zip(ranking.tolist(), precisions.tolist(), strict=True)
        )
        return write_csv(path, ["row", "label", "predicted", "score", "suspect", "precision"], lines)

    def _names(self, row: int) -> tuple[str, str]:
        return self.labels.name(int(self.labels.codes[row])), self.labels.name(int(self.probs[row].argmax()))

    def __str__(self) -> str:
        lines = [
            self._summary(),
            *self._tests(),
            f"confident learning: {self.confident_rate:.1%}; it counts confident errors of the classifier, which agrees with "
            f"{self.agreement:.1%} of the labels",
        ]
        if self.unscored:
            lines.append(f"{len(self.unscored)} rows were not judged")
        lines.append("the most suspicious rows:")
        for row in self.ranking[:_SHOWN_ROWS].tolist():
            label, predicted = self._names(row)
            lines.append(printable(f"  row {row}: label {label}, predicted {predicted}, score {self.scores[row]:.2f}"))
        return "\n".join(lines)

    def _recalls(self, test: SelfTest) -> dict[str, float]:
        judged = int((~np.isnan(self.scores)).sum())
        return dict(zip(KINDS, test.found(np.array([self.suspects.sum() / judged]))[:, 0].tolist(), strict=True))

    def _tests(self) -> list[str]:
        """Return lines about the self-test, and the caution."""
        lines = [self.caution] if self.caution else []
        test = self.self_test
        if test is None:
            return lines
        found = ", ".join(f"{words} {self._recalls(test)[kind]:.0%}" for kind, words in KINDS.items())
        like = ", ".join(f"{words} {test.shares[kind]:.1%}" for kind, words in KINDS.items())
        lines += [f"self-test: of {test.planted} planted labels as many are among the suspects: {found}"]
        lines += [f"rows that look like labels {like}"]
        count = int(self.suspects.sum())
        if count:
            at = self.precision_at(count)[0]
            lines += [f"of the {count} suspects about {at[0]:.0%} are wrong, {at[1]:.0%} to {at[2]:.0%}"]
        return lines


def share_wrong(rate: float, low: float | None, high: float | None) -> str:
    """Write an estimated share of wrong labels with its range, where there is one; of a wide range nothing but that.

    Example:
        >>> share_wrong(0.082, 0.031, 0.15), share_wrong(0.12, 0.0, 0.32), share_wrong(0.082, None, None)
        ('3.1 to 15.0 % (about 8.2 %)', '0.0 to 32.0 %', 'about 8.2 %')
    """
    about = f"about {100 * rate:.1f} %"
    if low is None or high is None:
        return about
    return f"{100 * low:.1f} to {100 * high:.1f} %" + (f" ({about})" if high - low <= TELLING_RANGE else "")


def label_noise(
    ds: Any,
    *,
    encoder: Any = None,
    inputs: Mapping[str, Any] | None = None,
    label_column: str | None = None,
    num_folds: int = 5,
    num_splits: int | None = None,
    planted: float = 0.1,
    seed: int = 0,
    image_column: str | None = None,
    run: Run | None = None,
    on_error: str = "raise",
) -> LabelNoise:
    """Estimate which labels are wrong, and how many.

    Each fold of the rows is predicted by a logistic regression on the embeddings of the others (their 256 leading directions);
    equal embeddings are in one fold. Then the search is tested: a share of the labels is replaced, a third of them at random, a
    third by the class that theirs is taken for most, a third as the classifier itself errs, and the folds are predicted anew.
    Everything is averaged over several splits into folds.

    How many labels are wrong cannot be known from rows and labels alone: noise that follows the embeddings looks like hard
    rows. So the answer is a range. ``low`` counts what looks like labels drawn at random, which hard rows do not; ``high``
    counts every label that the classifier contradicts as wrong, and in proportion those that it would repeat. It fails where
    wrong labels follow the embeddings more closely than those planted, as when one weak annotator gave all of them. The better
    the encoder, the narrower the range. Every process holds all embeddings, (n, d) of float32.

    Args:
        ds: A ``Dataset`` of n rows, or embeddings, shape (n, d).
        encoder: Where embeddings come from, as for ``score_with``.
        inputs: Arrays by name: ``embeddings`` (n, d), ``labels`` (n,), integers from 0, -1 for none; or ``probs``
            (n, classes), predictions of models that were not trained on the row, which leaves the self-test out.
        label_column: Column with the classes; None takes the only ``ClassLabel`` column.
        num_folds: Folds, 2 or more.
        num_splits: How often the rows are split into folds anew; None takes as many as predict 30,000 rows, 1 to 3.
        planted: Share of the labels that the self-test replaces, in [0, 0.5]; 0 leaves it out.
        seed: Decides the folds and which labels are replaced.
        image_column: Column with the images; None takes the only ``Image`` column.
        run: How models are opened and run: a `hf_prune.Run`; None takes its defaults.
        on_error: ``"raise"`` stops at an image that cannot be read, ``"skip"`` leaves it out and lists it.

    Returns:
        `LabelNoise`, the same in every process. Rows without a label, or whose class has no row in another fold, are not
        judged.

    Raises:
        ValueError: If there are no labels, nothing to predict them from, or fewer than two classes to tell apart.
        TypeError: If ``ds`` is neither one data set nor an array.

    Example:
        >>> points = np.random.default_rng(0).normal(size=(60, 2)) + np.repeat([[0, 9], [9, 0]], 30, axis=0)
        >>> labels = np.repeat([0, 1], 30)
        >>> labels[7] = 1
        >>> int(label_noise(points, inputs={"labels": labels}).ranking[0])
        7

    References:
        Northcutt, Jiang & Chuang (2021), arXiv:1911.00068, for predictions out of fold and the confident joint; suspects
        are ranked by log-odds and counted by the self-test instead. Scott (2015) for shares of a mixture. That the rate is not
        identifiable without an assumption: Menon et al. (2015), Learning from corrupted binary labels. The range is ours.
    """
    run = Run.of(run)
    with in_step("label_noise", run.device), use_device(run.device):
        ds, given = as_dataset(ds, inputs or {}, "label_noise", ["embeddings", "labels", "probs"])
        _check(encoder, given, planted, seed)
        if num_splits is not None:
            check_count("num_splits", num_splits, 1)
        request = Request(
            encoder=encoder,
            inputs=given,
            label_column=label_column,
            image_column=image_column,
            run=run,
            on_error=on_error,
        )
        settings = Settings(num_folds, num_splits, planted, seed)
        check_request("label_noise", ds, request, settings._asdict())
        labels = required_labels(ds, request, "label_noise", also=", or pass inputs={'labels': array}")
        if "probs" in given:
            return replace(_from_probs(np.asarray(given["probs"]), labels), ds=ds)
        return replace(_from_embeddings(ds, request, labels, settings), ds=ds)


def _check(encoder: Any, given: Mapping[str, Any], planted: Any, seed: int) -> None:
    if (encoder is not None) + ("embeddings" in given) + ("probs" in given) != 1:
        raise InputError(
            "label_noise predicts labels from one of encoder=, inputs={'embeddings': array} and inputs={'probs': array}: "
            "give exactly one"
        )
    if isinstance(planted, bool) or not isinstance(planted, (int, float, np.floating)) or not 0 <= planted <= 0.5:
        raise InputError(f"planted={planted!r}; give the share of labels to replace, in [0, 0.5]")
    check_seed(seed)


def _from_probs(probs: NDArray[Any], labels: Labels) -> LabelNoise:
    """Find suspects by predictions that were given, as many as confident learning estimates."""
    judged = np.flatnonzero(labels.codes >= 0)
    if probs.ndim != 2 or len(judged) == 0 or probs.shape[1] <= labels.codes.max():
        raise InputError(
            f"inputs['probs'] has shape {probs.shape}, the labels have {int(labels.codes.max()) + 1} classes: give one "
            "probability per row and class, shape (n, classes)"
        )
    if not np.isfinite(probs[judged]).all():
        raise InputError("inputs['probs'] holds NaN or infinity: give finite probabilities for every row with a label")
    unscored = dict.fromkeys(np.flatnonzero(labels.codes < 0).tolist(), "no label")
    return _result(judged, probs[judged], labels, unscored, None)


class Settings(NamedTuple):
    """Options of the search, as `label_noise` has them."""

    num_folds: int
    num_splits: int | None
    planted: float
    seed: int

    def seeds(self, num_rows: int) -> list[int]:
        """Return a seed for each split of so many rows; the first is the one that was given."""
        count = self.num_splits or int(np.clip(SPLIT_ROWS // max(num_rows, 1), 1, MOST_SPLITS))
        return [self.seed, *map(int, np.random.SeedSequence(self.seed).generate_state(count - 1))]


def _from_embeddings(ds: Dataset, request: Request, labels: Labels, settings: Settings) -> LabelNoise:
    """Find suspects by logistic regression, fold by fold, and test the search.

    Every process holds (n, d) of float32 and computes the same.
    """
    from hf_prune.cleaning.out_of_fold import choose_strength, leading, out_of_fold_probs
    from hf_prune.heads.folds import make_folds

    embeddings, unscored = all_embeddings(ds, request)
    unscored |= dict.fromkeys(np.flatnonzero(labels.codes < 0).tolist(), "no label")
    rows = np.setdiff1d(np.arange(len(ds)), list(unscored))
    given, codes, num_folds = embeddings[rows], labels.codes[rows], settings.num_folds
    num_classes, seeds = max(labels.num_classes, 1), settings.seeds(len(rows))
    splits = np.stack([make_folds(given, codes, num_folds, seed) for seed in seeds])
    in_fold = np.bincount(codes * num_folds + splits[0], minlength=num_classes * num_folds)
    known = in_fold[codes * num_folds + splits[0]] < np.bincount(codes)[codes]  # in every split, if in the first
    unscored |= dict.fromkeys(rows[~known].tolist(), "its class has no row in another fold")
    rows, points, codes, splits = rows[known], leading(given[known]), codes[known], splits[:, known]
    strength = choose_strength(points, codes, splits[0])
    mean = np.zeros((len(rows), num_classes), dtype=np.float32)
    tests: list[tuple[Planted, NDArray[Any]]] = []
    for seed, folds in zip(seeds, tqdm(splits, desc="Label noise", unit="split", leave=False), strict=True):
        probs = out_of_fold_probs(points, codes, folds, strength, num_classes)
        mean += probs / np.float32(len(seeds))
        if settings.planted > 0:
            copy = plant(codes, probs, settings.planted, seed)
            tests.append((copy, out_of_fold_probs(points, copy.labels, folds, strength, num_classes)))
    return _result(rows, mean, labels, unscored, judge(tests) if tests else None)


def _result(
    rows: NDArray[np.int64], probs: NDArray[Any], labels: Labels, unscored: Mapping[int, str], test: SelfTest | None
) -> LabelNoise:
    """Put the results for some rows in their places among all."""
    codes = labels.codes[rows]
    confident_rate = float(1.0 - np.trace(confident_joint(probs, codes)))
    agreement = float((probs.argmax(axis=1) == codes).mean())
    low, high = 0.0, ends(1.0 - agreement, len(rows))[1]
    rate = confident_rate
    if test is not None:
        high = test.high(1.0 - agreement, len(rows))
        low = min(test.low, high)
        rate = float(np.clip(test.rate, low, high))
    own = log_odds(probs, codes)
    order = np.argsort(-own, kind="stable")
    count = round(rate * len(rows)) if test is None else test.num_suspects(len(rows), rate)
    chosen = order[:count]
    scores = np.full(len(labels.codes), np.nan)
    suspects = np.zeros(len(labels.codes), dtype=bool)
    all_probs = np.full((len(labels.codes), probs.shape[1]), np.nan, dtype=np.float32)
    scores[rows], all_probs[rows] = own, probs
    suspects[rows[chosen]] = own[chosen] > 0
    return LabelNoise(
        rate=rate,
        low=low,
        high=max(high, rate),
        suspects=suspects,
        scores=scores,
        probs=all_probs,
        confident_rate=confident_rate,
        agreement=agreement,
        labels=labels,
        self_test=test,
        unscored=dict(sorted(unscored.items())),
    )
