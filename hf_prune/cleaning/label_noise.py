"""Estimate of wrong labels: out-of-fold predictions, and a test of the search on planted noise."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.cleaning.confident_learning import confident_joint, log_odds
from hf_prune.cleaning.planted_noise import SelfTest, judge, most_suspicious, plant
from hf_prune.data.columns import Labels
from hf_prune.data.thumbnails import strip
from hf_prune.runtime import svg
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


@dataclass(frozen=True)
class LabelNoise:
    """Labels that look wrong; printed, it is a summary and the most suspicious rows.

    Attributes:
        rate: Estimated share of wrong labels among the rows judged, in [0, 1]: the mean of the two shares of the self-test,
            of rows that look like labels drawn at random and like swapped ones; without it that of confident learning.
        suspects: The rows that look wrong, as many as ``rate`` says, where classifier and label disagree; shape (n,).
        scores: Logarithm of the likeliest other class's probability over the label's, above 0 where they disagree, high
            for suspicious rows, shape (n,); NaN for rows that were not judged.
        probs: Out-of-fold probabilities, shape (n, classes); NaN for rows that were not judged.
        confident_rate: The estimate of confident learning, in [0, 1]; it counts what the classifier gets wrong with
            confidence as wrong, so that a weak classifier makes it too high.
        agreement: Share of the rows judged whose label is the class predicted.
        labels: The labels that were judged.
        self_test: Result of the self-test; None where probabilities were given, or ``planted=0``.
        unscored: Rows that were not judged, by row number, and why.
        ds: The rows themselves, for pictures.
    """

    rate: float
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
        return f"{self.rate:.1%} of {judged} labels are estimated to be wrong; {suspects} rows are suspects"

    def _repr_html_(self) -> str:
        title, shown = self._summary(), self.ranking[:_SHOWN_ROWS].tolist()
        bar = svg.share(int(self.suspects.sum()), len(self.suspects), title, colour=SUSPECT)
        lines = [(row, *self._names(row), f"{self.scores[row]:.2f}") for row in shown]
        captions = {row: f"row {row}: {self._names(row)[0]}, looks like {self._names(row)[1]}" for row in shown}
        tests = [] if self.self_test is None else _lines(self.self_test)
        found = table(lines, ["row", "label", "predicted", "score"])
        return fragment(title, bar, *tests, "the most suspicious rows:", strip(self.ds, captions), found)

    @property
    def precision(self) -> float | None:
        """Return the share of the rows suspected in the self-test that were planted."""
        return None if self.self_test is None else self.self_test.precision

    @property
    def recall(self) -> float | None:
        """Return the share of the rows planted in the self-test that were suspected."""
        return None if self.self_test is None else self.self_test.recall

    @property
    def ranking(self) -> NDArray[np.int64]:
        """Return the row numbers of the rows judged, the most suspicious first."""
        order = np.argsort(-self.scores, kind="stable")
        return order[~np.isnan(self.scores[order])]

    def write_csv(self, path: str | Path) -> Path:
        """Write a line per row judged, the most suspicious first: row, label, predicted class, score, suspect or not."""
        lines = (
            [row, *self._names(row), f"{self.scores[row]:.4f}", int(self.suspects[row])]
            for row in self.ranking.tolist()
        )
        return write_csv(path, ["row", "label", "predicted", "score", "suspect"], lines)

    def _names(self, row: int) -> tuple[str, str]:
        return self.labels.name(int(self.labels.codes[row])), self.labels.name(int(self.probs[row].argmax()))

    def __str__(self) -> str:
        lines = [
            self._summary(),
            *([] if self.self_test is None else _lines(self.self_test)),
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


def _lines(test: SelfTest) -> list[str]:
    return [
        f"self-test: of {test.planted} planted labels {test.recall:.1%} were found (drawn at random "
        f"{test.recall_at_random:.1%}, swapped for the class they are taken for {test.recall_swapped:.1%}); "
        f"{test.precision:.1%} of the rows suspected were planted",
        f"like labels drawn at random look {test.rate_at_random:.1%} of the rows, like swapped ones {test.rate_swapped:.1%}",
    ]


def label_noise(
    ds: Any,
    *,
    encoder: Any = None,
    inputs: Mapping[str, Any] | None = None,
    label_column: str | None = None,
    num_folds: int = 5,
    planted: float = 0.1,
    seed: int = 0,
    image_column: str | None = None,
    run: Run | None = None,
    on_error: str = "raise",
) -> LabelNoise:
    """Estimate which labels are wrong, and how many.

    Each fold of the rows is predicted by a logistic regression on the embeddings of the others; equal embeddings are in one
    fold. Then the search is tested: a share of the labels is replaced, half of them at random and half by the class that
    theirs is taken for most, the folds are predicted anew, and it is counted how many of the replaced labels are found. The
    share of the other rows that look like replaced ones is the estimate of the rate. Rows that are hard and rows that are
    wrong look alike to a classifier: read the precision of the self-test before you drop suspects. Every process holds all
    embeddings, (n, d) of float32.

    Args:
        ds: A ``Dataset`` of n rows, or embeddings, shape (n, d).
        encoder: Where embeddings come from, as for ``score_with``.
        inputs: Arrays by name: ``embeddings`` (n, d), ``labels`` (n,), integers from 0, -1 for none; or ``probs``
            (n, classes), predictions of models that were not trained on the row, which leaves the self-test out.
        label_column: Column with the classes; None takes the only ``ClassLabel`` column.
        num_folds: Folds, 2 or more.
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
        Northcutt, Jiang & Chuang (2021), arXiv:1911.00068, for predictions out of fold and the confident joint. Suspects
        are ranked by log-odds and counted by the self-test instead.
    """
    run = Run.of(run)
    with in_step("label_noise", run.device), use_device(run.device):
        ds, given = as_dataset(ds, inputs or {}, "label_noise", ["embeddings", "labels", "probs"])
        _check(encoder, given, planted, seed)
        request = Request(
            encoder=encoder,
            inputs=given,
            label_column=label_column,
            image_column=image_column,
            run=run,
            on_error=on_error,
        )
        check_request("label_noise", ds, request, {"num_folds": num_folds, "planted": planted, "seed": seed})
        labels = required_labels(ds, request, "label_noise", also=", or pass inputs={'labels': array}")
        if "probs" in given:
            return replace(_from_probs(np.asarray(given["probs"]), labels), ds=ds)
        return replace(_from_embeddings(ds, request, labels, num_folds, planted, seed), ds=ds)


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


def _from_embeddings(
    ds: Dataset, request: Request, labels: Labels, num_folds: int, planted: float, seed: int
) -> LabelNoise:
    """Find suspects by logistic regression, fold by fold, and test the search.

    Every process holds (n, d) of float32 and computes the same.
    """
    from hf_prune.cleaning.out_of_fold import choose_strength, make_folds, out_of_fold_probs, standardised

    embeddings, unscored = all_embeddings(ds, request)
    unscored |= dict.fromkeys(np.flatnonzero(labels.codes < 0).tolist(), "no label")
    rows = np.setdiff1d(np.arange(len(ds)), list(unscored))
    points, codes = standardised(embeddings[rows]), labels.codes[rows]
    num_classes = max(labels.num_classes, 1)
    folds = make_folds(points, codes, num_folds, seed)
    in_fold = np.bincount(codes * num_folds + folds, minlength=num_classes * num_folds)
    known = in_fold[codes * num_folds + folds] < np.bincount(codes)[codes]
    unscored |= dict.fromkeys(rows[~known].tolist(), "its class has no row in another fold")
    rows, points, codes, folds = rows[known], points[known], codes[known], folds[known]
    strength = choose_strength(points, codes, folds)
    probs = out_of_fold_probs(points, codes, folds, strength, num_classes)
    test = None
    if planted > 0:
        copy = plant(codes, probs, planted, seed)
        test = judge(
            copy, out_of_fold_probs(points, copy.labels, folds, strength, num_classes), log_odds(probs, codes)
        )
    return _result(rows, probs, labels, unscored, test)


def _result(
    rows: NDArray[np.int64], probs: NDArray[Any], labels: Labels, unscored: Mapping[int, str], test: SelfTest | None
) -> LabelNoise:
    """Put the results for some rows in their places among all."""
    codes = labels.codes[rows]
    confident_rate = float(1.0 - np.trace(confident_joint(probs, codes)))
    rate = confident_rate if test is None else test.rate
    scores = np.full(len(labels.codes), np.nan)
    suspects = np.zeros(len(labels.codes), dtype=bool)
    all_probs = np.full((len(labels.codes), probs.shape[1]), np.nan, dtype=np.float32)
    scores[rows], all_probs[rows] = log_odds(probs, codes), probs
    suspects[rows] = most_suspicious(scores[rows], rate)
    agreement = float((probs.argmax(axis=1) == codes).mean())
    return LabelNoise(
        rate, suspects, scores, all_probs, confident_rate, agreement, labels, test, dict(sorted(unscored.items()))
    )
