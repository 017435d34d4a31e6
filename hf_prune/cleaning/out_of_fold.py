"""Predictions for rows that the predicting classifier was not trained on: logistic regression, fold by fold."""

from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.runtime.errors import InputError
from hf_prune.runtime.seeds import row_uniform

# Strengths of the prior that are tried, as scikit-learn counts them. The best one hardly changes with the number of rows,
# so that it is found on some of them.
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
TUNING_ROWS = 10_000
NUM_DIRECTIONS = 256


def make_folds(points: NDArray[Any], labels: NDArray[np.int64], num_folds: int, seed: int) -> NDArray[np.int64]:
    """Share rows out to folds, each class evenly; equal rows go to one fold, or their labels would be known.

    Args:
        points: Embeddings, shape (n, d).
        labels: Classes, integers from 0, shape (n,).
        num_folds: 2 or more.
        seed: Decides which row goes where.

    Returns:
        The fold of each row, in [0, num_folds), shape (n,).

    Raises:
        ValueError: If fewer than two classes have two different rows, or there are fewer rows than folds.

    Example:
        >>> folds = make_folds(np.arange(8.0)[:, None], np.array([0, 1] * 4), 2, seed=0)
        >>> np.bincount(folds).tolist(), np.bincount(folds[::2]).tolist()
        ([4, 4], [2, 2])
    """
    count: Any = num_folds  # an option of the caller's, of whatever type
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or not 2 <= count <= len(labels):
        raise InputError(
            f"num_folds={num_folds!r} of {len(labels)} rows with a label; give a count from 2 up to the rows"
        )
    first, copy_of = _first_of_equals(points)
    order = np.lexsort((row_uniform(first, seed), labels[first]))
    if (np.bincount(labels[first]) > 1).sum() < 2:
        raise InputError("fewer than two classes have two different rows: there is nothing to tell apart")
    folds = np.empty(len(first), dtype=np.int64)
    folds[order] = np.arange(len(first)) % num_folds
    return np.asarray(folds[copy_of])


def tells_apart(points: NDArray[Any], labels: NDArray[np.int64], fewest: int = 2) -> bool:
    """Whether two classes have some different rows each: with two there is something to learn and something to judge by.

    Example:
        >>> (
        ...     tells_apart(np.arange(4.0)[:, None], np.array([0, 1] * 2)),
        ...     tells_apart(np.ones((4, 1)), np.array([0, 1] * 2)),
        ... )
        (True, False)
    """
    first = _first_of_equals(points)[0]
    return bool((np.bincount(labels[first]) >= fewest).sum() >= 2)


def _first_of_equals(points: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first of each set of equal rows, and for each row the place among these of its own."""
    digests = np.array([blake2b(row.tobytes(), digest_size=8).digest() for row in points], dtype="V8")
    _, first, copy_of = np.unique(digests, return_index=True, return_inverse=True)
    return first, copy_of.ravel()


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
        _, directions = np.linalg.eigh((centred.T @ centred).astype(np.float64))
        kept = directions[:, ::-1][:, :size].astype(np.float32)
        largest = np.abs(kept).argmax(axis=0)  # a direction's sign is free: fix it, so that machines agree
        centred = centred @ (kept * np.sign(kept[largest, np.arange(size)]))
    return np.ascontiguousarray(centred / np.float32(centred.std(dtype=np.float64) or 1.0), dtype=np.float32)


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
