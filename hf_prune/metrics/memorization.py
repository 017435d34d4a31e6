"""Memorization: how much likelier a row is predicted as labelled because it was trained on."""

import numpy as np

from hf_prune.metrics.registry import register_metric
from hf_prune.metrics.rows import Array, row_blocks
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import all_sum, gather_objects

_LIMITS = (
    "The score is an estimate, from a limited number of runs or from a linear model, so that rows near the cut change "
    "places with another one; wrong labels are memorised and rank hardest."
)

_INPUTS = {"sampled": ("trained_on", "hits"), "loo": ("embeddings", "labels")}


def _inputs(estimator: str) -> tuple[str, ...]:
    if estimator not in _INPUTS:
        raise InputError(f"estimator={estimator!r} is not known; give {' or '.join(map(repr, _INPUTS))}")
    return _INPUTS[estimator]


@register_metric(
    "memorization",
    paper="arXiv:2008.03703",
    cost="hundreds of runs on random subsets; estimator=loo: one pass of the encoder, then a linear solve",
    choose_inputs=lambda options, _: _inputs(options["estimator"]),
    undefined="they were in all runs or in none: train more runs, or take estimator='loo'",
    limits=_LIMITS,
)
def memorization(
    trained_on: Array | None = None,
    hits: Array | None = None,
    embeddings: Array | None = None,
    labels: Array | None = None,
    *,
    estimator: str = "sampled",
    l2: float = 0.1,
) -> Array:
    """Estimate how much likelier the label of a row is predicted by models that were trained on the row.

    Args:
        trained_on: Whether the row was in the training set of the run, shape (runs, n), bool.
        hits: Whether the run predicts the label of the row after training, or how far it does, shape (runs, n), in [0, 1].
        embeddings: For ``"loo"``: unit rows, shape (n, d).
        labels: For ``"loo"``: class of each row, any integers, shape (n,).
        estimator: How it is estimated: ``"sampled"`` from runs on random subsets, or ``"loo"``, leaving each row out
            of a ridge regression on embeddings, in closed form.
        l2: For ``"loo"``: the ridge penalty, as a multiple of the mean eigenvalue of the embeddings' scatter matrix.

    Returns:
        One score per row; higher is memorized, that is hard. ``"sampled"``: in [-1, 1], NaN for a row that was in all
        runs or in none. ``"loo"``: fitted value at the label less its value without the row; near [0, 1], a little
        below 0 where the fitted value exceeds 1.

    Raises:
        ValueError: If the inputs of the estimator are missing or do not fit each other, if hits lie outside [0, 1], if
            the penalty is not above 0, or if there are fewer than two rows to leave one out of.

    Example:
        >>> trained_on, hits = np.array([[1, 1], [1, 0], [0, 1]], bool), np.array([[1, 1], [1, 1], [0, 1]], bool)
        >>> memorization(trained_on, hits).tolist()
        [1.0, 0.0]

    References:
        Feldman & Zhang (2020), arXiv:2008.03703: 2,000 networks, each on a random 70 % of the rows. ``"loo"`` is the
        same quantity for ridge regression on one-hot labels, with the fitted value at the label in place of the
        probability of a hit and all other rows in place of 70 % of them. With fitted value s and leverage h it is
        (1 - s) h / (1 - h), without a single refit. The intercept is not penalised and counts in the leverage.
        Linear models memorize little where there are many more rows than dimensions; the order of the rows is what
        the score is for.
    """
    wanted = _inputs(estimator)
    given = {"trained_on": trained_on, "hits": hits, "embeddings": embeddings, "labels": labels}
    arrays = [np.asarray(given[name]) for name in wanted if given[name] is not None]
    if len(arrays) < len(wanted):
        raise InputError(f"memorization with estimator={estimator!r} needs {' and '.join(wanted)}")
    return _sampled(*arrays) if estimator == "sampled" else _left_out(*arrays, l2=l2)


def check_runs(trained_on: Array, hits: Array, name: str = "hits") -> None:
    """Refuse runs that do not fit each other, a mask (runs, n) that is none, and hits (runs, n) or (runs, m) outside [0, 1]."""
    if trained_on.ndim != 2 or hits.ndim != 2 or len(trained_on) != len(hits) or len(hits) == 0:
        raise InputError(
            f"trained_on of shape {trained_on.shape} and {name} of shape {hits.shape}; give (runs, rows) of one set of runs"
        )
    for values, called, allowed in ((trained_on, "trained_on", "0 or 1"), (hits, name, "in [0, 1]")):
        if values.dtype == bool or values.size == 0:
            continue
        # Asked so that a NaN, for which no comparison holds, is refused too.
        good = values.min() >= 0 and values.max() <= 1
        if not good or (called == "trained_on" and not ((values == 0) | (values == 1)).all()):
            raise InputError(f"{called} from {values.min():g} to {values.max():g}; every value must be {allowed}")


def _sampled(trained_on: Array, hits: Array) -> Array:
    check_runs(trained_on, hits)
    if trained_on.shape != hits.shape:
        raise InputError(
            f"trained_on of shape {trained_on.shape} and hits of shape {hits.shape}; give both as (runs, n)"
        )
    num_inside, hits_inside, hits_all = np.zeros((3, hits.shape[1]))
    for inside, hit in zip(trained_on.astype(bool, copy=False), hits, strict=True):  # one run at a time: (n,)
        num_inside += inside
        hits_inside += np.where(inside, hit, 0)
        hits_all += hit
    with np.errstate(invalid="ignore"):  # 0 / 0, a row in no run or in all: NaN says that it is not known
        return hits_inside / num_inside - (hits_all - hits_inside) / (len(hits) - num_inside)


def _left_out(points: Array, labels: Array, *, l2: float) -> Array:
    """Score rows in closed form; processes hold different rows and exchange sums of the size of a class mean or (d, d)."""
    problem = _problem(points, labels, l2)
    problems = [found for found in gather_objects([problem]) if found]  # all refuse what one refuses
    if problems:
        raise InputError(problem or problems[0])
    total = int(all_sum(np.array([len(points)]))[0])
    if total < 2:
        raise InputError(f"{total} row: leaving a row out takes two or more")
    classes = np.unique(gather_objects(np.unique(labels).tolist()))
    codes = np.searchsorted(classes, labels)
    mean, sums, scatter = _moments(points, codes, len(classes), total)
    inverse = _inverse(scatter, l2)
    weights, shares = inverse @ sums.T, all_sum(np.bincount(codes, minlength=len(classes)).astype(float)) / total
    scores = np.empty(len(points))
    for rows in row_blocks(len(points), 4 * points.shape[1]):
        block = points[rows].astype(np.float64) - mean
        leverage = 1 / total + np.einsum("ij,ij->i", block @ inverse, block)
        fitted = shares[codes[rows]] + np.einsum("ij,ji->i", block, weights[:, codes[rows]])
        scores[rows] = (1 - fitted) * leverage / (1 - leverage)
    return scores


def _problem(points: Array, labels: Array, l2: float) -> str:
    if points.ndim != 2 or labels.shape != points.shape[:1]:
        return f"embeddings of shape {points.shape} and labels of shape {labels.shape}; give (n, d) and (n,)"
    if not (0 < l2 < np.inf):
        return f"l2={l2} is no penalty; give a number above 0"
    if not all(np.isfinite(points[rows]).all() for rows in row_blocks(len(points), points.shape[1])):
        return "the embeddings hold values that are not finite; take those rows out"
    return ""


def _moments(points: Array, codes: Array, num_classes: int, total: int) -> tuple[Array, Array, Array]:
    """Return the mean (d,), the sums of the centred rows of each class (classes, d) and the centred scatter matrix (d, d)."""
    width = points.shape[1]
    mean = all_sum(points.sum(axis=0, dtype=np.float64)) / total
    sums, scatter = np.zeros((num_classes, width)), np.zeros((width, width))
    for rows in row_blocks(len(points), 4 * width):
        block = points[rows].astype(np.float64) - mean
        scatter += block.T @ block
        np.add.at(sums, codes[rows], block)
    return mean, all_sum(sums), all_sum(scatter)


def _inverse(scatter: Array, l2: float) -> Array:
    """Invert the penalised scatter matrix; zero where all rows are one point, which leaves the intercept alone."""
    eigenvalue = float(np.trace(scatter)) / len(scatter)  # the mean one
    if eigenvalue < 1e-12:  # of unit rows in float32: rounding
        return np.zeros_like(scatter)
    return np.linalg.inv(scatter + l2 * eigenvalue * np.eye(len(scatter)))
