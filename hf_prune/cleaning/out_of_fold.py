"""Predictions for rows that the predicting classifier was not trained on: logistic regression, fold by fold."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Strengths of the prior that are tried, as scikit-learn counts them. The best one hardly changes with the number of rows,
# so that it is found on some of them.
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
TUNING_ROWS = 10_000
NUM_DIRECTIONS = 256


def choose_strength(points: NDArray[np.float32], labels: NDArray[np.int64], folds: NDArray[np.int64]) -> float:
    """Choose the strength of the prior with the least log-loss on the first fold, on at most 10,000 rows of each side."""
    taken = np.flatnonzero(folds != 0)
    taken, judged = (rows[:: -(-len(rows) // TUNING_ROWS)] for rows in (taken, np.flatnonzero(folds == 0)))
    known = judged[np.isin(labels[judged], labels[taken])]
    if len(known) == 0 or len(np.unique(labels[taken])) < 2:
        return STRENGTHS[1]
    num_classes = int(labels.max()) + 1

    def loss(strength: float) -> float:
        probs = _fit_and_predict(points[taken], labels[taken], points[known], strength, num_classes)
        return -float(np.log(np.maximum(probs[np.arange(len(known)), labels[known]], 1e-30)).mean())

    losses = _side_by_side(loss, STRENGTHS)
    return STRENGTHS[int(np.argmin(losses))]


def out_of_fold_probs(
    points: NDArray[np.float32], labels: NDArray[np.int64], folds: NDArray[np.int64], strength: float, num_classes: int
) -> NDArray[np.float32]:
    """Predict each fold by a classifier trained on the others, shape (n, num_classes); 0 for a class that these do not have.

    Points (n, d) are as `leading` gives them, the strength is scikit-learn's ``C``.
    """
    probs = np.zeros((len(labels), num_classes), dtype=np.float32)

    def predict(fold: int) -> None:
        own = folds == fold
        probs[own] = _fit_and_predict(points[~own], labels[~own], points[own], strength, num_classes)

    _side_by_side(predict, np.unique(folds).tolist())  # few different rows leave folds empty
    return probs


def leading(embeddings: NDArray[np.floating[Any]], rows_each: int = 1) -> NDArray[np.float32]:
    """Project embeddings (n, d) on their principal components, at most 256 and one for each ``rows_each`` rows, in one unit.

    One number divides all, so that a dimension has unit variance in the mean and one prior suits them all.
    """
    centred = np.asarray(embeddings, dtype=np.float32) - embeddings.mean(axis=0, dtype=np.float64).astype(np.float32)
    size = min(NUM_DIRECTIONS, centred.shape[1], max(2, len(centred) // rows_each))
    if size < centred.shape[1]:
        kept = _directions(centred)[:, ::-1][:, :size].astype(np.float32)
        largest = np.abs(kept).argmax(axis=0)  # a direction's sign is free: fix it, so that machines agree
        centred = centred @ (kept * np.sign(kept[largest, np.arange(size)]))
    return np.ascontiguousarray(centred / np.float32(centred.std(dtype=np.float64) or 1.0), dtype=np.float32)


def _directions(centred: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the principal directions of centred rows (n, d), least first, shape (d, min(n, d)); zero where rows do not differ."""
    if len(centred) >= centred.shape[1]:
        return np.linalg.eigh((centred.T @ centred).astype(np.float64))[1]
    # Fewer rows than dimensions: the rows' own products are the smaller matrix, and have the same directions.
    squares, places = np.linalg.eigh((centred @ centred.T).astype(np.float64))
    lengths = np.sqrt(np.maximum(squares, 0))
    # Centred rows differ in n - 1 ways; beside nothing the products of float32 leave noise.
    differs = lengths > 1e-4 * lengths[-1]
    return centred.T @ np.divide(places, lengths, out=np.zeros_like(places), where=differs)


def _fit_and_predict(
    points: NDArray[np.float32],
    labels: NDArray[np.int64],
    judged: NDArray[np.float32],
    strength: float,
    num_classes: int,
) -> NDArray[np.float32]:
    from sklearn.linear_model import LogisticRegression

    probs = np.zeros((len(judged), num_classes), dtype=np.float32)
    if (labels == labels[0]).all():  # as where every label of the other class was replaced to test the search
        probs[:, labels[0]] = 1.0
        return probs
    model = LogisticRegression(C=strength, tol=1e-3, max_iter=1000).fit(points, labels)
    probs[:, model.classes_] = model.predict_proba(judged)
    return probs


def _side_by_side(work: Any, parts: Any) -> list[Any]:
    """Work on parts in as many threads as torch has, each part in one thread."""
    import torch

    from hf_prune.runtime.threads import workers_for

    with workers_for(torch.device("cpu")) as workers:
        return [found for _, found in workers.ahead(work, parts)]
