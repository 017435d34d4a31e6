"""Exact and near duplicates of a data set: groups of rows, the row that stands for each, and conflicting labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

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

_SHOWN_GROUPS = 10
_SHOWN_ROWS = 8


@dataclass(frozen=True)
class Duplicates:
    """Groups of duplicate rows; printed, it is a summary and the largest groups.

    Attributes:
        duplicate_of: For each row the row that stands for it, the lowest of its group; -1 for rows that duplicate none,
            shape (n,).
        similarity: Cosine with that row, 1.0 where images have the same bytes; NaN for rows that duplicate none, shape
            (n,).
        threshold: The least cosine of duplicates; None where the bytes of the images were compared.
        labels: Classes of the rows, if they have any.
        unscored: Rows that could not be compared, by row number, and why.
        ds: The rows themselves, for pictures.
    """

    duplicate_of: NDArray[np.int64]
    similarity: NDArray[np.float64]
    threshold: float | None
    labels: Labels | None = None
    unscored: Mapping[int, str] = field(default_factory=dict)
    ds: Dataset | None = field(default=None, repr=False, compare=False)

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
        found = table(lines, ["rows", "in the group", "least cosine"]) if lines else ""
        return fragment(*filter(None, [title, bar, conflicts, strip(self.ds, captions), found]))

    def _least(self, group: list[int]) -> str:
        return f"{self.similarity[group[1:]].min():.4f}"

    @cached_property
    def groups(self) -> list[list[int]]:
        """Return the row numbers of each group of two or more, ascending; the first stands for the others."""
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
        """Count the rows that would go if each group kept its first."""
        return int((self.duplicate_of >= 0).sum())

    @property
    def kept(self) -> NDArray[np.int64]:
        """Return the rows that duplicate none, ascending, as ``ds.select`` takes them."""
        return np.flatnonzero(self.duplicate_of < 0)

    def write_csv(self, path: str | Path) -> Path:
        """Write a line per row of every group: group, row, row it duplicates, cosine with four decimals, label."""
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
        same = "have the same bytes" if self.threshold is None else f"have a cosine of at least {self.threshold:g}"
        count = f"{self.num_duplicates} of {len(self.duplicate_of)} rows duplicate an earlier one ({same})"
        if not self.groups:
            return count
        return f"{count}: {len(self.groups)} groups, the largest of {max(map(len, self.groups))} rows"

    def _line(self, group: list[int]) -> str:
        more = f" … ({len(group)} rows)" if len(group) > _SHOWN_ROWS else ""
        line = f"  rows {', '.join(map(str, group[:_SHOWN_ROWS]))}{more}; least cosine {self._least(group)}"
        if self.labels is None:
            return line
        names = dict.fromkeys(self.labels.name(int(code)) for code in self.labels.codes[group])
        return printable(f"{line}; {', '.join(list(names)[:_SHOWN_ROWS])}")


def duplicates(
    ds: Any,
    threshold: float = 1.0,
    *,
    encoder: Any = None,
    inputs: Mapping[str, Any] | None = None,
    label_column: str | None = None,
    image_column: str | None = None,
    run: Run | None = None,
    on_error: str = "raise",
) -> Duplicates:
    """Find rows that duplicate an earlier row.

    Without an encoder, images whose encoded bytes are equal; with one, or with embeddings, rows whose cosine reaches the
    threshold. Rows are taken in order: a row stands for itself unless it is a duplicate of an earlier row that does, and
    then belongs to the most similar of those. So each duplicate is that close to the row that stands for it, and no two
    rows that stay are. Joining chains of close rows into one group would drop rows that are far from any row kept. The
    result is exact. Every process holds all embeddings, (n, d) of float32, and time grows with the square of the rows, see the
    benchmarks.

    Args:
        ds: A ``Dataset`` of n rows, or embeddings, shape (n, d).
        threshold: Least cosine of duplicates, in (0, 1]; what counts as near depends on the encoder. 1.0 takes equal
            embeddings, or without an encoder equal bytes.
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

    References:
        Near duplicates by a threshold on the cosine are those of SemDeDup (Abbas et al. 2023, arXiv:2303.09540), which
        looks within the cells of a clustering only and keeps the row farthest from the centroid.
    """
    run = Run.of(run)
    with in_step("duplicates", run.device):
        ds, given = as_dataset(ds, inputs or {}, "duplicates", ["embeddings", "labels"])
        _check(threshold, encoder, given)
        request = Request(
            encoder=encoder,
            inputs=given,
            label_column=label_column,
            image_column=image_column,
            run=run,
            on_error=on_error,
        )
        with use_device(run.device):
            check_request("duplicates", ds, request, {"threshold": threshold})
            by_content = encoder is None and "embeddings" not in given
            return _same_bytes(ds, request) if by_content else _close_rows(ds, request, float(threshold))


def _check(threshold: Any, encoder: Any, given: Mapping[str, Any]) -> None:
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float, np.floating)) or not 0 < threshold <= 1:
        raise InputError(f"threshold={threshold!r}; give the least cosine of duplicates, in (0, 1]")
    if threshold < 1 and encoder is None and "embeddings" not in given:
        raise InputError(
            f"threshold={threshold} needs embeddings: pass encoder= or inputs={{'embeddings': array}}, or leave the "
            "threshold out to find images with the same bytes"
        )


def _same_bytes(ds: Dataset, request: Request) -> Duplicates:
    """Group rows whose images have the same encoded bytes, each process hashing its share."""
    from hf_prune.engine.image_keys import content_keys

    column = find_image_column(ds, request.image_column)
    images = EncodedImages(ds, column)
    keys, unreadable = content_keys(ds, column, images, request.run.store_root, process_state(request.run.device))
    if unreadable and request.on_error == "raise":
        row = min(unreadable)
        raise InputError(
            f"row {row}: the image in column {column!r} cannot be read: {unreadable[row]}; repair or drop the row, or "
            "pass on_error='skip' to leave it out"
        )
    _, first, image_of = np.unique(keys, return_index=True, return_inverse=True)
    leaders = first[image_of.ravel()]
    is_copy = leaders != np.arange(len(ds))
    is_copy[list(unreadable)] = False
    duplicate_of = np.where(is_copy, leaders, -1)
    return Duplicates(duplicate_of, np.where(is_copy, 1.0, np.nan), None, labels_of(ds, request), unreadable, ds)


def _close_rows(ds: Dataset, request: Request, threshold: float) -> Duplicates:
    """Group rows whose embeddings are close; every process holds (n, d) of float32 and computes the same."""
    from hf_prune.cleaning.near_duplicates import near_duplicates

    labels = labels_of(ds, request)  # found wrong before the encoder runs
    points, unscored = all_embeddings(ds, request)
    rows = np.setdiff1d(np.arange(len(ds)), list(unscored))
    found, cosine = near_duplicates(points if len(rows) == len(ds) else points[rows], threshold)
    duplicate_of, similarity = np.full(len(ds), -1, dtype=np.int64), np.full(len(ds), np.nan)
    duplicate_of[rows] = np.where(found < 0, -1, rows[found])
    similarity[rows] = cosine
    return Duplicates(duplicate_of, similarity, threshold, labels, unscored, ds)
