"""Choice of the rows that a gallery shows: the ends of the scores, both sides of the cut, suspects, duplicates."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hf_prune.reports.rows import Rows
from hf_prune.selection.reasons import ABOVE_CUT, BELOW_CUT, SUSPECT

MAX_CLASSES = 10  # that have rows of their own in each group, the largest ones
_SEED = 0  # of rows drawn at random
_OF_A_GROUP = 4  # rows of one group of duplicates


@dataclass(frozen=True)
class Group:
    """Rows that are shown together.

    Attributes:
        name: Heading.
        text: What they are, in a sentence.
        rows: Their numbers, in the order in which they are shown.
        of_classes: Numbers of further rows, shown where their class alone is asked for.
        notes: Row number → what is said of it here beside score and class.
    """

    name: str
    text: str
    rows: tuple[int, ...]
    of_classes: tuple[int, ...] = ()
    notes: Mapping[int, str] = field(default_factory=dict)


def choose_groups(rows: Rows, num_images: int, per_class: int = 0) -> list[Group]:
    """Choose the rows of every group that has some.

    Args:
        rows: The rows.
        num_images: Rows of a group at most.
        per_class: Further rows of each of the largest classes.
    """
    ranked = rows.ranked
    low, high = ("Easiest", "Hardest") if rows.history.score_step(rows.column) else ("Lowest scores", "Highest scores")
    found = [
        _group(rows, low, "The lowest scores, the lowest first.", ranked, num_images, per_class),
        *_sides(rows, ranked, num_images, per_class),
        _group(rows, high, "The highest scores, the highest first.", ranked[::-1], num_images, per_class),
        _suspects(rows, ranked, num_images, per_class),
        _duplicates(rows, num_images),
    ]
    return [group for group in found if group.rows]


def compare_cuts(first: Rows, second: Rows, num_images: int, per_class: int = 0) -> list[Group]:
    """Choose rows that one of two cuts kept and the other dropped, drawn at random."""
    assert first.is_kept is not None
    assert second.is_kept is not None
    groups = []
    for name, one, other in (("B", second.is_kept, first.is_kept), ("A", first.is_kept, second.is_kept)):
        drawn = _shuffled(np.flatnonzero(one & ~other))
        text = f"{len(drawn):,} rows, of which some are drawn at random."
        groups.append(_group(first, f"Kept by cut {name} alone", text, drawn, num_images, per_class))
    return groups


def _sides(rows: Rows, ranked: NDArray[np.int64], num_images: int, per_class: int) -> Iterator[Group]:
    """Yield both sides of the cut; where rows are not cut at one score, some kept and some dropped ones."""
    if rows.is_kept is None:
        return
    order = "" if rows.step is None else rows.step.order
    kept, dropped = (_among(ranked, rows.with_reason(reason.words)) for reason in (ABOVE_CUT, BELOW_CUT))
    if order in ("hard", "easy") and len(kept) and len(dropped):
        up = order == "hard"
        kept, dropped = kept if up else kept[::-1], dropped[::-1] if up else dropped
        yield _group(rows, "Just dropped", "Nearest to the cut, dropped.", dropped, num_images, per_class)
        yield _group(rows, "Just kept", "Nearest to the cut, kept.", kept, num_images, per_class)
        return
    for name, mask in (("Dropped", ~rows.is_kept), ("Kept", rows.is_kept)):
        drawn = _shuffled(np.flatnonzero(mask))
        yield _group(
            rows, name, f"Drawn at random from the rows that were {name.lower()}.", drawn, num_images, per_class
        )


def _among(ranked: NDArray[np.int64], some: NDArray[np.int64]) -> NDArray[np.int64]:
    return ranked[np.isin(ranked, some)]


def _shuffled(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.random.default_rng(_SEED).permutation(rows)


def _suspects(rows: Rows, ranked: NDArray[np.int64], num_images: int, per_class: int) -> Group:
    noise = rows.noise
    if noise is None:
        cut = _among(ranked, rows.with_reason(SUSPECT.words))[::-1]
        return _group(rows, "Suspects", "Their labels looked wrong, so they were dropped.", cut, num_images, per_class)
    suspects = noise.ranking[noise.suspects[noise.ranking]]

    def looks_like(row: int) -> str:
        return f"looks like {noise.labels.name(int(noise.probs[row].argmax()))}"

    text = "Their labels look wrong, the most suspicious first."
    return _group(rows, "Suspects", text, suspects, num_images, per_class, looks_like)


def _duplicates(rows: Rows, num_images: int) -> Group:
    shown: dict[int, str] = {}
    groups = rows.groups_of_duplicates(max(1, num_images // 2))
    for group in groups:
        shown.setdefault(group[0], f"stands for {len(group) - 1} more")
        for row in group[1:_OF_A_GROUP]:
            near = (
                "" if rows.duplicates is None else f", {rows.duplicates.measure} {rows.duplicates.similarity[row]:.3f}"
            )
            shown[row] = f"repeats row {group[0]}{near}"
    text = "Groups of duplicates, the least similar first; the row that stands for a group leads it."
    return Group("Duplicates", text, tuple(shown), notes=shown)


def _group(
    rows: Rows,
    name: str,
    text: str,
    ordered: NDArray[np.int64],
    num_images: int,
    per_class: int,
    note: Callable[[int], str] | None = None,
) -> Group:
    """Take the first rows of an order, and of the largest classes the first ones of each."""
    first = tuple(ordered[:num_images].tolist())
    further = dict.fromkeys(row for code in largest_classes(rows) for row in _first_of(rows, ordered, code, per_class))
    of_classes = tuple(row for row in further if row not in first)
    notes = {} if note is None else {row: note(row) for row in (*first, *of_classes)}
    return Group(name, text, first, of_classes, notes)


def largest_classes(rows: Rows, most: int = MAX_CLASSES) -> list[int]:
    """Return the codes of the largest classes, the largest first."""
    if rows.labels is None:
        return []
    codes, counts = np.unique(rows.labels.codes[rows.labels.codes >= 0], return_counts=True)
    return list(codes[np.argsort(-counts, kind="stable")][:most].tolist())


def _first_of(rows: Rows, ordered: NDArray[np.int64], code: int, count: int) -> list[int]:
    if not count or rows.labels is None:
        return []
    return list(ordered[rows.labels.codes[ordered] == code][:count].tolist())
