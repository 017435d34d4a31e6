"""The one function that selects: duplicates, cuts, class floors and quotas, then an order, up to an exact budget."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hf_prune.data.memberships import Membership
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.seeds import check_seed
from hf_prune.runtime.slices import slices
from hf_prune.selection.budget import check_hardest_cutoff, check_room, count_cut, count_rows
from hf_prune.selection.candidates import rank
from hf_prune.selection.checks import RowArrays, as_classes, check_arrays, check_labels
from hf_prune.selection.classes import check_class_balance, check_quotas, first_of_each
from hf_prune.selection.floors import rows_for_floors
from hf_prune.selection.in_blocks import ORDERS, Block, BlockSelection, cannot_rank, find_unranked
from hf_prune.selection.orders import check_options, get_order
from hf_prune.selection.reasons import (
    CLASS_FLOOR,
    CLASS_QUOTA,
    DUPLICATE,
    HARDEST,
    NO_SCORE,
    OVER_QUOTA,
    RETURNED,
    SUSPECT,
)
from hf_prune.selection.result import Selection

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]
Scores = np.ma.MaskedArray[Any, Any]
MANY_ROWS = 1 << 23  # beyond them thresholds are found in passes over blocks, where the order is by score alone
BLOCK_ROWS = 1 << 21


def select(
    scores: ArrayLike,
    *,
    keep: float,
    order: str,
    labels: ArrayLike | Membership | None = None,
    class_balance: float | Mapping[int, int] | None = None,
    hardest_cutoff: float | str = 0.0,
    embeddings: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    similarity: ArrayLike | None = None,
    confidence: ArrayLike | None = None,
    suspects: ArrayLike | None = None,
    duplicate_of: ArrayLike | None = None,
    seed: int = 0,
    **options: Any,
) -> Selection:
    """Choose the rows to keep from their scores.

    Duplicates go first, then the hardest rows or the suspects; of what is left the classes get their floor or quota and
    the order fills the budget. Where a cut leaves a class less than its floor or quota, rows of it that were cut
    return, the least hard first.

    More than eight million rows are read block by block, so that arrays on disk stay there, where the order is ``"hard"``,
    ``"easy"`` or ``"random"`` and nothing but scores and classes decides; the rows are the same.

    Args:
        scores: One number per row, shape (n,); higher is harder, ``+inf`` the hardest. Rows without a score are the
            masked ones of a ``numpy.ma`` array; they are dropped first under every order.
        keep: A fraction in (0, 1] as float, or a count of rows as int, over the rows with a score, those that are
            removed before the order included: ``keep=1`` is one row, ``keep=1.0`` all of them. A fraction keeps
            ``max(1, round(keep * n))``.
        order: Name of an order, see `list_orders`, such as ``"hard"``, which keeps the highest scores.
        labels: Class of each row, integers, shape (n,); a negative one means no label, a group without a floor. Of rows with
            several classes an array of zeros and ones, shape (n, classes), or such a sparse matrix of SciPy; orders that look at
            classes then take all rows as one.
        class_balance: A share in [0, 1]: each class keeps at least this share of what equal pruning would leave it of
            its rows that are no duplicates; the paper uses 0.5, None is 0. The budget this frees goes to the next best
            rows of any class; of rows with several classes each counts for all of them. Or class → count of rows: exactly so
            many of that class, the rest from the others.
        hardest_cutoff: Share of all rows with a score, in [0, 0.5] and rounded down, that is dropped first, from the
            hardest; or ``"noise"``, which drops ``suspects``.
        embeddings: For orders that need them, shape (n, d); compared by their angle.
        clusters: For orders that need them, integers, shape (n,).
        similarity: For orders that need it, the cosine of each row to the nearest target row, floats, shape (n,).
        confidence: For orders that need it, the score of that name, 1 less the mean probability of the label, floats,
            shape (n,).
        suspects: Rows whose label looks wrong, bool, shape (n,).
        duplicate_of: For each row -1, or the row that it repeats, shape (n,).
        seed: Decides ties and random draws.
        **options: Options of orders; those of other orders change nothing.

    Returns:
        `Selection` with exactly the rows asked for, in their original order.

    Raises:
        ValueError: If a request cannot be met, or a score is NaN or -inf.
        TypeError: If ``keep`` is not a number, or no order has one of the options.

    Example:
        >>> select([0.1, 0.9, 0.5, 0.7], keep=0.5, order="hard").kept.tolist()
        [1, 3]
        >>> select([0.1, 0.9, 0.5, 0.7], keep=2, order="hard", labels=[0, 1, 0, 1], class_balance=1.0).kept.tolist()
        [1, 2]
        >>> select([0.1, 0.9, 0.5, 0.7], keep=2, order="hard", hardest_cutoff=0.25).kept.tolist()
        [2, 3]

    References:
        Sorscher et al. (2022), arXiv:2206.14486: ``n_c >= 0.5 * f * N_c``; how the freed budget is spent is not stated
        there. Zheng et al. (2023), arXiv:2210.15809: the hardest rows dropped first. Each order names its own.
    """
    masked = _check_scores(scores)
    values = np.ma.getdata(masked)
    balance = 0.0 if class_balance is None else class_balance
    chosen = get_order(order)
    check_options(options)
    check_class_balance(balance)
    check_hardest_cutoff(hardest_cutoff)
    others = {"embeddings": embeddings, "clusters": clusters, "similarity": similarity}
    others |= {"confidence": confidence, "suspects": suspects, "duplicate_of": duplicate_of}
    labels = as_classes(labels)
    if not isinstance(labels, Membership) and _are_many(values, order, balance, hardest_cutoff, others.values()):
        settings = {"keep": keep, "order": order, "floor": balance, "hardest_cutoff": hardest_cutoff, "seed": seed}
        return _select_in_blocks(masked, labels, settings)
    scored = _check_values(masked)
    arrays = check_arrays(len(values), labels=labels, **others)
    arrays.check_needs(chosen, balance, hardest_cutoff)
    check_seed(seed)
    budget = count_rows(keep, len(scored))
    turns = _turns(len(scored), seed)
    reasons = np.full(len(values), NO_SCORE.code, dtype=np.int16)
    reasons[scored] = chosen.dropped.code
    _remove(reasons, values, scored, turns, hardest_cutoff, arrays)
    left = np.flatnonzero(reasons[scored] == chosen.dropped.code)
    cut = np.flatnonzero(np.isin(reasons[scored], (HARDEST.code, SUSPECT.code)))
    # Rows that were cut can only come back where a class has a quota to fill; that is checked with the quotas.
    room = len(left) + len(cut) * isinstance(balance, Mapping)
    kind = "noise suspects" if isinstance(hardest_cutoff, str) else "of the hardest rows"
    removed = f"{len(scored) - len(left) - len(cut)} duplicates and {len(cut)} {kind}"
    check_room(keep, budget, room, len(scored), removed)
    candidates = arrays.candidates(values, scored[left], turns[left], min(budget, len(left)))
    ranked, codes = chosen.rank(candidates, options) if len(left) else (left, left)
    # Of the rows that were cut the least hard may return first.
    returning = cut[rank(values[scored[cut]], turns[cut])]
    rows = np.concatenate([scored[left][ranked], scored[returning]])
    kept = _fill(reasons, rows, codes, budget, arrays.labels, balance)
    return Selection(np.sort(rows[kept]), reasons, order, len(scored), masked, arrays.duplicate_of)


def _remove(
    reasons: NDArray[np.int16],
    values: NDArray[Any],
    scored: Rows,
    turns: Rows,
    hardest_cutoff: float | str,
    arrays: RowArrays,
) -> None:
    """Write the reasons of the rows that go before the order: of what is cut, and over these the duplicates."""
    if isinstance(hardest_cutoff, str):
        reasons[scored[np.asarray(arrays.suspects)[scored]]] = SUSPECT.code
    elif count := count_cut(hardest_cutoff, len(scored)):
        reasons[scored[rank(values[scored], turns)[-count:]]] = HARDEST.code
    if arrays.duplicate_of is not None:
        reasons[scored[arrays.duplicate_of[scored] >= 0]] = DUPLICATE.code


def _turns(count: int, seed: int) -> Rows:
    """Return the position of each row in a seeded permutation, shape (count,)."""
    turns = np.empty(count, dtype=np.int64)
    turns[np.random.default_rng(seed).permutation(count)] = np.arange(count)
    return turns


def _fill(
    reasons: NDArray[np.int16],
    rows: Rows,
    codes: Rows,
    budget: int,
    labels: Rows | Membership | None,
    balance: float | Mapping[int, int],
) -> Mask:
    """Keep the floors or quotas of the classes, then the best of the others up to the budget; note why in ``reasons``.

    Rows come best first, those that were cut at the end; ``codes`` has the order's reason to keep each that was not cut.
    Returned is whether each of ``rows`` is kept.
    """
    place, num_left = np.arange(len(rows)), len(codes)
    reserved, with_quota = np.zeros((2, len(rows)), dtype=bool)
    uncut = place < num_left
    if isinstance(balance, Mapping):
        classes = np.asarray(labels)[rows]
        quotas = {max(int(code), -1): int(quota) for code, quota in balance.items()}
        check_quotas(quotas, classes, uncut, budget)
        with_quota = np.isin(classes, list(quotas))
        reserved = first_of_each(classes, quotas)
    elif labels is not None and balance > 0:
        reserved = rows_for_floors(labels[rows], budget, balance)
    others = uncut & ~reserved & ~with_quota
    kept = reserved | (others & (np.cumsum(others) <= budget - int(reserved.sum())))
    reasons[rows[with_quota & ~kept & (place < min(budget, num_left))]] = OVER_QUOTA.code
    reasons[rows[kept & uncut]] = codes[kept[:num_left]]
    reasons[rows[reserved & (place >= budget)]] = (CLASS_QUOTA if isinstance(balance, Mapping) else CLASS_FLOOR).code
    reasons[rows[reserved & ~uncut]] = RETURNED.code
    return kept


def _check_scores(scores: ArrayLike) -> Scores:
    """Return the scores as one number per row, which need not be one that can be ranked."""
    try:
        found: Scores = np.ma.asarray(scores)
    except ValueError as error:  # rows of several lengths
        raise InputError(f"scores are no array ({error}); give one number per row") from error
    if found.ndim != 1 or found.dtype.kind not in "iuf":
        raise InputError(f"scores of shape {found.shape} and type {found.dtype}; give one number per row")
    return found


def _check_values(scores: Scores) -> Rows:
    """Return the numbers of the rows that have a score, and refuse scores that cannot be ranked."""
    values, scored = np.ma.getdata(scores), np.flatnonzero(~np.ma.getmaskarray(scores))
    bad = find_unranked(values[scored])
    if len(bad):
        row = int(scored[bad[0]])
        raise cannot_rank(row, values[row], len(bad))
    return scored


def _are_many(
    values: NDArray[Any],
    order: str,
    balance: float | Mapping[int, int],
    hardest_cutoff: float | str,
    others: Iterable[ArrayLike | None],
) -> bool:
    """Whether there are more rows than are sorted, and scores and classes alone decide which stay."""
    by_score = order in ORDERS and values.dtype.itemsize <= 8 and all(array is None for array in others)
    by_count = isinstance(balance, Mapping) or isinstance(hardest_cutoff, str)
    return len(values) > MANY_ROWS and by_score and not by_count


def _select_in_blocks(scores: Scores, labels: ArrayLike | None, settings: Mapping[str, Any]) -> Selection:
    """Make the same selection in passes over blocks of the rows: arrays on disk are read, not taken into memory."""
    codes = check_labels(len(scores), labels)
    RowArrays(labels=codes).check_needs(get_order(settings["order"]), settings["floor"], settings["hardest_cutoff"])
    check_seed(settings["seed"])
    values = np.ma.getdata(scores)
    missing = None if np.ma.getmask(scores) is np.ma.nomask else np.ma.getmaskarray(scores)
    parts = list(slices(len(values), BLOCK_ROWS))

    def blocks() -> Iterator[Block]:
        for part in parts:
            yield values[part], None if missing is None else missing[part], None if codes is None else codes[part]

    found = BlockSelection(blocks, **settings)
    reasons, kept, count = np.empty(len(values), np.int16), np.empty(found.budget, np.int64), 0
    for part, own in zip(parts, found.reasons(), strict=True):
        reasons[part] = own
        rows = part.start + np.flatnonzero(found.is_kept(own))
        kept[count : count + len(rows)] = rows
        count += len(rows)
    return Selection(kept, reasons, settings["order"], found.num_scored, scores)
