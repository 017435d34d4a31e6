"""Exact and near duplicates of a data set: groups of rows, the row that stands for each, and conflicting labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Image
from numpy.typing import NDArray

from hf_prune.cleaning.grouping import FIRST, Found, Group, group_equal, group_in_order, group_pairs, preference
from hf_prune.cleaning.pixels import LEAST_SIMILARITY, pixel_copies, small_pictures
from hf_prune.data.columns import Labels, find_image_column
from hf_prune.data.images import EncodedImages
from hf_prune.data.thumbnails import strip
from hf_prune.runtime import svg
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.figures import SUSPECT
from hf_prune.runtime.files import write_csv
from hf_prune.runtime.html import fragment, table
from hf_prune.runtime.messages import printable
from hf_prune.runtime.processes import in_step, process_state, use_device
from hf_prune.scoring import Request, Run
from hf_prune.scoring.agreement import check_request
from hf_prune.scoring.embeddings import all_embeddings, as_dataset
from hf_prune.scoring.pool import labels_of

BYTES, PIXELS, EMBEDDINGS = "bytes", "pixels", "embeddings"  # what rows are compared by
_SHOWN_GROUPS = 10
_SHOWN_ROWS = 8


@dataclass(frozen=True)
class Duplicates:
    """Groups of duplicate rows; printed, it is a summary and the largest groups.

    Attributes:
        duplicate_of: For each row the row that stands for it; -1 for rows that duplicate none, shape (n,).
        similarity: Cosine with that row, 1.0 where images have the same bytes, by pixels how alike the edges are; NaN for
            rows that duplicate none, shape (n,).
        threshold: The least similarity of duplicates; None where the bytes of the images were compared.
        labels: Classes of the rows, if they have any.
        unscored: Rows that could not be compared, by row number, and why.
        ds: The rows themselves, for pictures.
        by: What was compared: ``"bytes"``, ``"pixels"`` or ``"embeddings"``.
    """

    duplicate_of: NDArray[np.int64]
    similarity: NDArray[np.float64]
    threshold: float | None
    labels: Labels | None = None
    unscored: Mapping[int, str] = field(default_factory=dict)
    ds: Dataset | None = field(default=None, repr=False, compare=False)
    by: str = EMBEDDINGS

    def __repr__(self) -> str:
        return f"Duplicates({self._summary()})"

    def _repr_html_(self) -> str:
        title = self._summary()
        bar = svg.share(self.num_duplicates, len(self.duplicate_of), title, colour=SUSPECT)
        shown = sorted(self.groups, key=len, reverse=True)[:_SHOWN_GROUPS]
        lines = [(", ".join(map(str, group[:_SHOWN_ROWS])), len(group), self._least(group)) for group in shown]
        captions = {row: f"row {row}" for group in shown[:4] for row in group[:3]}
        conflicts = (
            f"groups that hold more than one class: {len(self.label_conflicts)}" if self.label_conflicts else ""
        )
        found = table(lines, ["rows", "in the group", f"least {self.measure}"]) if lines else ""
        return fragment(*filter(None, [title, bar, conflicts, strip(self.ds, captions), found]))

    @property
    def measure(self) -> str:
        """Return what the similarity of rows is called."""
        return "similarity" if self.by == PIXELS else "cosine"

    def _least(self, group: list[int]) -> str:
        return f"{self.similarity[group[1:]].min():.4f}"

    @cached_property
    def groups(self) -> list[list[int]]:
        """Return the row numbers of each group of two or more: the one that stands for the others, then these, ascending."""
        rows = np.flatnonzero(self.duplicate_of >= 0)
        order = np.argsort(self.duplicate_of[rows], kind="stable")
        leaders, starts = np.unique(self.duplicate_of[rows][order], return_index=True)
        members = np.split(rows[order], starts[1:])
        return [[leader, *part.tolist()] for leader, part in zip(leaders.tolist(), members, strict=False)]

    @cached_property
    def label_conflicts(self) -> list[list[int]]:
        """Return the groups that hold more than one class; rows without a label conflict with none."""
        if self.labels is None:
            return []
        codes = self.labels.codes
        return [group for group in self.groups if len({int(code) for code in codes[group] if code >= 0}) > 1]

    @property
    def num_duplicates(self) -> int:
        """Count the rows that would go if each group kept one."""
        return int((self.duplicate_of >= 0).sum())

    @property
    def kept(self) -> NDArray[np.int64]:
        """Return the rows that duplicate none, ascending, as ``ds.select`` takes them."""
        return np.flatnonzero(self.duplicate_of < 0)

    def write_csv(self, path: str | Path) -> Path:
        """Write a line per row of every group: group, row, row it duplicates, similarity with four decimals, label."""
        lines = []
        for number, group in enumerate(self.groups):
            for row in group:
                label = "" if self.labels is None else self.labels.name(int(self.labels.codes[row]))
                found = [self.duplicate_of[row], f"{self.similarity[row]:.4f}"] if row != group[0] else ["", ""]
                lines.append([number, row, *found, label])
        return write_csv(path, ["group", "row", "duplicate_of", "similarity", "label"], lines)

    def __str__(self) -> str:
        lines = [self._summary()]
        if self.labels is not None and self.groups:
            lines.append(f"groups that hold more than one class: {len(self.label_conflicts)}")
        if self.unscored:
            lines.append(f"{len(self.unscored)} rows could not be compared")
        shown = sorted(self.groups, key=len, reverse=True)[:_SHOWN_GROUPS]
        if len(shown) < len(self.groups):
            lines.append(f"the {len(shown)} largest groups:")
        return "\n".join([*lines, *map(self._line, shown)])

    def _summary(self) -> str:
        least = "" if self.threshold is None else f"have a {self.measure} of at least {self.threshold:g}"
        is_copy = self.duplicate_of >= 0
        which = "an earlier" if (self.duplicate_of < np.arange(len(is_copy)))[is_copy].all() else "another"
        count = (
            f"{self.num_duplicates} of {len(is_copy)} rows duplicate {which} one ({least or 'have the same bytes'})"
        )
        if not self.groups:
            return count
        return f"{count}: {len(self.groups)} groups, the largest of {max(map(len, self.groups))} rows"

    def _line(self, group: list[int]) -> str:
        more = f" … ({len(group)} rows)" if len(group) > _SHOWN_ROWS else ""
        line = f"  rows {', '.join(map(str, group[:_SHOWN_ROWS]))}{more}; least {self.measure} {self._least(group)}"
        if self.labels is None:
            return line
        names = dict.fromkeys(self.labels.name(int(code)) for code in self.labels.codes[group])
        return printable(f"{line}; {', '.join(list(names)[:_SHOWN_ROWS])}")


def duplicates(
    ds: Any,
    threshold: float | None = None,
    *,
    by: str | None = None,
    stays: Any = FIRST,
    encoder: Any = None,
    inputs: Mapping[str, Any] | None = None,
    label_column: str | None = None,
    image_column: str | None = None,
    run: Run | None = None,
    on_error: str = "raise",
) -> Duplicates:
    """Find rows that duplicate an earlier row.

    Without an encoder, images whose encoded bytes are equal; with one, or with embeddings, rows whose cosine reaches the
    threshold; ``by="pixels"`` finds copies that were encoded anew, resized, made grey, mirrored or slightly cropped, without a
    model. Rows are taken in order: a row stands for itself unless it is a duplicate of an earlier row that does, and
    then belongs to the most similar of those. So each duplicate is that close to the row that stands for it, and no two
    rows that stay are. Joining chains of close rows into one group would drop rows that are far from any row kept. The
    result is exact, but by pixels. Every process holds all embeddings, (n, d) of float32, or 2.3 kB of each image; by embeddings time
    grows with the square of the rows, see the benchmarks.

    Args:
        ds: A ``Dataset`` of n rows, or embeddings, shape (n, d).
        threshold: Least similarity of duplicates, in (0, 1]; None is 1.0, by pixels 0.94. What counts as near depends on
            the encoder. 1.0 takes equal embeddings, or without an encoder equal bytes. By pixels it is the cosine between the
            edges of small grey pictures at the cut that fits best, from 0.8 up.
        by: ``"bytes"``, ``"pixels"`` or ``"embeddings"``; None is embeddings where there are some, else bytes.
        stays: Which row of a group stands for it: ``"first"``, ``"label"`` (one with the class that most of the group
            have), ``"resolution"`` (the one with the most pixels), or a column or an array of numbers, of which the highest
            stays. Rows are then taken in that order.
        encoder: Where embeddings come from, as for ``score_with``.
        inputs: Arrays by name: ``embeddings`` (n, d) and ``labels`` (n,), integers from 0, -1 for none.
        label_column: Column with the classes; None takes the only ``ClassLabel`` column.
        image_column: Column with the images; None takes the only ``Image`` column.
        run: How models are opened and run: a `hf_prune.Run`; None takes its defaults.
        on_error: ``"raise"`` stops at a row that cannot be compared, ``"skip"`` leaves it out and lists it.

    Returns:
        `Duplicates`, the same in every process. ``ds.select(found.kept)`` has none.

    Raises:
        ValueError: If a threshold below 1 has nothing to measure it by, or a row cannot be compared.
        TypeError: If ``ds`` is neither one data set nor an array.

    Example:
        >>> found = duplicates(np.array([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1]]), 0.95)
        >>> found.groups, found.duplicate_of.tolist()
        ([[0, 2]], [-1, -1, 0])
        >>> duplicates(np.array([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1]]), 0.95, stays=np.array([1, 2, 3])).groups
        [[2, 0]]

    References:
        Near duplicates by a threshold on the cosine are those of SemDeDup (Abbas et al. 2023, arXiv:2303.09540), which
        looks within the cells of a clustering only and keeps the row farthest from the centroid. Pixels: see
        `hf_prune.cleaning.pixels`.
    """
    run = Run.of(run)
    with in_step("duplicates", run.device):
        ds, given = as_dataset(ds, inputs or {}, "duplicates", ["embeddings", "labels"])
        by = what_is_compared(by, encoder, given)
        threshold = least_similarity(by, threshold)
        request = Request(
            encoder=encoder,
            inputs=given,
            label_column=label_column,
            image_column=image_column,
            run=run,
            on_error=on_error,
        )
        named = stays if isinstance(stays, str) else np.asarray(stays).tobytes()
        with use_device(run.device):
            check_request("duplicates", ds, request, {"threshold": threshold, "by": by, "stays": named})
            return _find(ds, request, by, threshold, stays)


def what_is_compared(by: str | None, encoder: Any, given: Mapping[str, Any]) -> str:
    """Return what rows are compared by, named or not; a ValueError says what it needs, or does not take."""
    has_embeddings = encoder is not None or "embeddings" in given
    if by is None:
        return EMBEDDINGS if has_embeddings else BYTES
    if by not in (BYTES, PIXELS, EMBEDDINGS):
        raise InputError(f"by={by!r}; give {BYTES!r}, {PIXELS!r} or {EMBEDDINGS!r}")
    if has_embeddings is not (by == EMBEDDINGS):
        way = "leave them out" if has_embeddings else "pass encoder= or inputs={'embeddings': array}"
        raise InputError(f"by={by!r} {'takes no' if has_embeddings else 'needs'} embeddings: {way}")
    return by


def least_similarity(by: str, threshold: Any) -> float:
    """Return the least similarity of duplicates, the default for None; a ValueError says what may be given."""
    if threshold is None:
        return LEAST_SIMILARITY if by == PIXELS else 1.0
    lowest = 0.8 if by == PIXELS else 0
    is_number = isinstance(threshold, int | float | np.floating) and not isinstance(threshold, bool)
    if not is_number or not lowest <= threshold <= 1 or threshold == 0:
        allowed = "similarity by pixels, in [0.8, 1]" if by == PIXELS else "cosine of duplicates, in (0, 1]"
        raise InputError(f"threshold={threshold!r}; give the least {allowed}")
    if threshold < 1 and by == BYTES:
        raise InputError(
            f"threshold={threshold} needs embeddings: pass encoder= or inputs={{'embeddings': array}}, by='pixels' to find "
            "copies without a model, or leave the threshold out to find images with the same bytes"
        )
    return float(threshold)


def _find(ds: Dataset, request: Request, by: str, threshold: float, stays: Any) -> Duplicates:
    labels = labels_of(ds, request)  # found wrong before anything is computed
    images = [name for name, kind in ds.features.items() if isinstance(kind, Image)]
    column = request.image_column or (images[0] if len(images) == 1 else None)
    if by == BYTES:
        group, unscored = _by_bytes(ds, request)
    elif by == PIXELS:
        group, unscored = _by_pixels(ds, request, threshold)
    else:
        group, unscored = _by_embeddings(ds, request, threshold)
    order = preference(stays, ds, column, labels, group)
    duplicate_of, similarity = group_in_order(group, order)
    least = None if by == BYTES else threshold
    return Duplicates(duplicate_of, similarity, least, labels, unscored, ds, by)


def _by_bytes(ds: Dataset, request: Request) -> tuple[Group, dict[int, str]]:
    """Group rows whose images have the same encoded bytes, each process hashing its share."""
    from hf_prune.engine.image_keys import content_keys

    column = find_image_column(ds, request.image_column)
    images = EncodedImages(ds, column)
    keys, unreadable = content_keys(ds, column, images, request.run.store_root, process_state(request.run.device))
    refuse_unreadable(unreadable, column, request.on_error)
    return among(lambda rows: group_equal(keys[rows]), unreadable), unreadable


def _by_pixels(ds: Dataset, request: Request, threshold: float) -> tuple[Group, dict[int, str]]:
    """Group rows whose images look the same."""
    column = find_image_column(ds, request.image_column)
    pictures, unreadable = small_pictures(ds, column)
    refuse_unreadable(unreadable, column, request.on_error)

    def group(rows: NDArray[np.int64]) -> Found:
        return group_pairs(pixel_copies(pictures[rows], least=threshold), len(rows))

    return among(group, unreadable), unreadable


def _by_embeddings(ds: Dataset, request: Request, threshold: float) -> tuple[Group, dict[int, str]]:
    """Group rows whose embeddings are close; every process holds (n, d) of float32 and computes the same."""
    from hf_prune.cleaning.near_duplicates import near_duplicates

    points, unscored = all_embeddings(ds, request)

    def group(rows: NDArray[np.int64]) -> Found:
        in_place = len(rows) == len(points) and bool((np.diff(rows) > 0).all())
        return near_duplicates(points if in_place else points[rows], threshold)

    return among(group, unscored), unscored


def among(group: Group, left_out: Mapping[int, str]) -> Group:
    """Group rows by a function that takes those that can be compared; the others duplicate none."""
    if not left_out:
        return group

    def grouped(order: NDArray[np.int64]) -> Found:
        places = np.flatnonzero(~np.isin(order, list(left_out)))
        found, similar = group(order[places])
        duplicate_of, similarity = np.full(len(order), -1, dtype=np.int64), np.full(len(order), np.nan)
        duplicate_of[places] = np.where(found < 0, -1, places[found])
        similarity[places] = similar
        return duplicate_of, similarity

    return grouped


def refuse_unreadable(unreadable: Mapping[int, str], column: str, on_error: str) -> None:
    """Raise one line where images cannot be read, unless they are to be left out."""
    if unreadable and on_error == "raise":
        row = min(unreadable)
        raise InputError(
            f"row {row}: the image in column {column!r} cannot be read: {unreadable[row]}; repair or drop the row, or "
            "pass on_error='skip' to leave it out"
        )
