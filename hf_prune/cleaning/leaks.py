"""Rows of one split that another split has, too: the same bytes, copies by their pixels, and near duplicates by embeddings."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset, DatasetDict, Features, Image, concatenate_datasets
from numpy.typing import NDArray

from hf_prune.cleaning.duplicates import BYTES, EMBEDDINGS, PIXELS, refuse_unreadable
from hf_prune.cleaning.pixels import pixel_copies, small_pictures
from hf_prune.data.columns import find_image_column
from hf_prune.data.digests import pack_rows, rows_sha256
from hf_prune.data.history import CLEAN, Step, record
from hf_prune.data.images import EncodedImages
from hf_prune.data.thumbnails import strip
from hf_prune.runtime import svg
from hf_prune.runtime.errors import InputError, InputTypeError
from hf_prune.runtime.figures import SUSPECT
from hf_prune.runtime.files import write_csv
from hf_prune.runtime.html import fragment, plain, table
from hf_prune.runtime.messages import printable
from hf_prune.runtime.names import unknown_name
from hf_prune.runtime.processes import in_step, process_state, use_device
from hf_prune.scoring import Request, Run
from hf_prune.scoring.agreement import check_request
from hf_prune.scoring.embeddings import all_embeddings, check_first_axes

Rows = NDArray[np.int64]

LEAST_COSINE = 0.95
TRAIN = "train"
_SHOWN = 10


class Leak(NamedTuple):
    """Two rows of two splits that show the same.

    Attributes:
        split: The split that stands first in the data set.
        row: Its row.
        other_split: The other one.
        other_row: Its row.
        kind: ``"bytes"``, ``"pixels"`` or ``"embeddings"``, the first of these by which they were found.
        distance: 0 for equal bytes, else one less the similarity of the edges or the cosine, in [0, 1].
    """

    split: str
    row: int
    other_split: str
    other_row: int
    kind: str
    distance: float


@dataclass(frozen=True)
class Leaks:
    """Rows that several splits share; printed, it is a summary and the closest pairs.

    Attributes:
        pairs: The pairs, by split and row; each shared row is in one at least, with the most similar row of the other split.
        kinds: What was compared.
        threshold: The least cosine of embeddings; None where none were compared.
        encoder: Name of the encoder, for the history; None without one.
        unscored: Split → rows that could not be compared, and why.
        ds: The splits themselves.
    """

    pairs: tuple[Leak, ...]
    kinds: tuple[str, ...]
    threshold: float | None
    encoder: Mapping[str, Any] | None
    unscored: Mapping[str, Mapping[int, str]]
    ds: DatasetDict = field(repr=False, compare=False)

    def __repr__(self) -> str:
        return f"Leaks({self._summary()})"

    def __str__(self) -> str:
        lines = [self._summary(), *(f"  {words}: {count:,} pairs" for words, count in self._counts())]
        missing = sum(map(len, self.unscored.values()))
        lines += [f"{missing} rows could not be compared"] * bool(missing)
        shown = sorted(self.pairs, key=lambda leak: leak.distance)[:_SHOWN]
        return "\n".join(map(printable, [*lines, *map(_line, shown)]))

    def _repr_html_(self) -> str:
        title = self._summary()
        rows = sum(len(self.ds[split]) for split in self.ds)
        bar = svg.share(sum(map(len, self.rows.values())), rows, title, colour=SUSPECT)
        shown = sorted(self.pairs, key=lambda leak: leak.distance)[:_SHOWN]
        images = [
            strip(self.ds[split], {row: f"{split} {row}"})
            for leak in shown[:4]
            for split, row in (leak[:2], leak[2:4])
        ]
        lines = [(plain(a), b, plain(c), d, kind, f"{distance:.4f}") for a, b, c, d, kind, distance in shown]
        found = table(lines, ["split", "row", "split", "row", "kind", "distance"]) if lines else ""
        return fragment(*filter(None, [title, bar, *images, found]))

    def _summary(self) -> str:
        of = ", ".join(
            f"{len(rows):,} of {len(self.ds[split]):,} of {split}" for split, rows in self.rows.items() if len(rows)
        )
        return (
            f"{len(self.pairs):,} pairs of rows of two splits show the same: {of}"
            if self.pairs
            else (f"no row of {' and '.join(map(str, self.ds))} is in two splits, by {' and '.join(self.kinds)}")
        )

    def _counts(self) -> list[tuple[str, int]]:
        counts = Counter((leak.split, leak.other_split, leak.kind) for leak in self.pairs)
        return [(f"{one} and {other}, by {kind}", count) for (one, other, kind), count in sorted(counts.items())]

    @cached_property
    def rows(self) -> dict[str, Rows]:
        """Return split → rows that another split has, too, ascending."""
        found: dict[str, set[int]] = {split: set() for split in self.ds}
        for leak in self.pairs:
            found[leak.split].add(leak.row)
            found[leak.other_split].add(leak.other_row)
        return {split: np.array(sorted(rows), dtype=np.int64) for split, rows in found.items()}

    def cleaned(self, drop_from: str | None = None) -> DatasetDict:
        """Return the splits without rows that two of them share, with a step in the history of each that lost some.

        Args:
            drop_from: Split that loses its rows of every pair that it has part in. None is ``"train"``, so that what is measured
                on the others stays comparable. Of a pair of two other splits the first one loses its row.

        Raises:
            ValueError: If there is no such split.
        """
        if drop_from is not None and drop_from not in self.ds:
            raise InputError(f"drop_from=: {unknown_name('split', drop_from, self.ds)}")
        first = TRAIN if drop_from is None else drop_from
        gone: dict[str, dict[int, Leak]] = {split: {} for split in self.ds}
        for leak in self.pairs:
            split, row = leak[2:4] if leak.other_split == first else leak[:2]
            gone[split].setdefault(row, leak)
        return DatasetDict({split: self._without(split, gone[split]) for split in self.ds})

    def _without(self, split: str, gone: Mapping[int, Leak]) -> Dataset:
        ds = self.ds[split]
        if not gone:
            return ds
        kept = np.setdiff1d(np.arange(len(ds)), list(gone))
        others = {leak.split if leak.split != split else leak.other_split for leak in gone.values()}
        options: dict[str, Any] = {"kinds": list(self.kinds), "splits": sorted(others)}
        if self.threshold is not None:
            options["threshold"] = self.threshold
        step = Step(
            kind=CLEAN,
            metric="leaks",
            column="",
            options=options,
            inputs={"embeddings": dict(self.encoder)} if self.encoder else {},
            figures={kind: sum(leak.kind == kind for leak in gone.values()) for kind in self.kinds},
            rows=pack_rows(kept, len(ds)),
            rows_sha256=rows_sha256(kept),
        )
        return record(ds, ds.select(kept), step)

    def write_csv(self, path: str | Path) -> Path:
        """Write a line per pair: split, row, other split, other row, kind, distance with four decimals."""
        lines = [[*leak[:5], f"{leak.distance:.4f}"] for leak in self.pairs]
        return write_csv(path, list(Leak._fields), lines)


def _line(leak: Leak) -> str:
    return f"  {leak.split} row {leak.row}, {leak.other_split} row {leak.other_row}: {leak.kind}, distance {leak.distance:.4f}"


def leaks(
    ds: DatasetDict,
    threshold: float | None = None,
    *,
    encoder: Any = None,
    inputs: Mapping[str, Any] | None = None,
    splits: Sequence[str] | None = None,
    image_column: str | None = None,
    run: Run | None = None,
    on_error: str = "raise",
) -> Leaks:
    """Find rows of one split that another split has, too.

    Compared are the encoded bytes of the images, the images themselves by `hf_prune.cleaning.pixels`, without a model, and with
    an encoder or embeddings the cosines of rows of two splits.

    Args:
        ds: The splits.
        threshold: Least cosine of embeddings, in (0, 1]; None is 0.95.
        encoder: Where embeddings come from, as for ``score_with``.
        inputs: ``{"embeddings": {split: array (n, d)}}`` in place of an encoder.
        splits: Splits to compare, two or more; None takes all.
        image_column: Column with the images; None takes the only ``Image`` column. Without one only embeddings are compared.
        run: How models are opened and run: a `hf_prune.Run`; None takes its defaults.
        on_error: ``"raise"`` stops at a row that cannot be compared, ``"skip"`` leaves it out and lists it.

    Returns:
        `Leaks`, the same in every process; ``found.cleaned()`` are the splits without these rows.

    Raises:
        ValueError: If there are fewer than two splits, or a row cannot be compared.
        TypeError: If ``ds`` is no ``DatasetDict``.

    Example:
        >>> ds = DatasetDict({name: Dataset.from_dict({"x": [0, 1]}) for name in ("train", "test")})
        >>> points = {"train": np.array([[1.0, 0.0], [0.0, 1.0]]), "test": np.array([[0.9, 0.1], [-1.0, 0.0]])}
        >>> found = leaks(ds, 0.9, inputs={"embeddings": points})
        >>> found.pairs[0].row, found.pairs[0].other_row, len(found.cleaned()["train"])
        (0, 0, 1)
    """
    run = Run.of(run)
    with in_step("leaks", run.device):
        chosen = _splits(ds, splits)
        column = _image_column(chosen, image_column, encoder is not None or bool(inputs))
        rows, parts = _together(chosen, column)
        given = _given(inputs, chosen)
        least = None if encoder is None and not given else _least_cosine(threshold)
        if least is None and threshold is not None:
            raise InputError(f"threshold={threshold} is for embeddings: pass encoder=, or leave it out")
        request = Request(encoder=encoder, inputs=given, image_column=column, run=run, on_error=on_error)
        with use_device(run.device):
            check_request("leaks", rows, request, {"threshold": least, "splits": list(chosen)})
            return _find(chosen, rows, parts, request, least)


def _find(chosen: DatasetDict, rows: Dataset, parts: Rows, request: Request, least: float | None) -> Leaks:
    kinds: list[tuple[str, Iterator[tuple[int, int, float]]]] = []
    unscored: dict[int, str] = {}
    if request.image_column is not None:
        keys, unreadable = _keys(rows, request)
        pictures, also = small_pictures(rows, request.image_column)
        unscored |= unreadable | also
        refuse_unreadable(unscored, request.image_column, request.on_error)
        kinds += [(BYTES, _equal(keys, parts, unscored)), (PIXELS, _copies(pictures, parts))]
    identity = None
    if least is not None:
        from hf_prune.scoring.from_models import encoder_of

        points, missing = all_embeddings(rows, request)
        unscored |= missing
        kinds.append((EMBEDDINGS, _close(points, parts, missing, least)))
        identity = {"encoder": encoder_of(request).identity} if request.encoder is not None else {"given": True}
    found: dict[tuple[int, int], tuple[str, float]] = {}
    for kind, pairs in kinds:
        for left, right, distance in pairs:
            found.setdefault((left, right), (kind, distance))
    names, starts = list(chosen), np.searchsorted(parts, np.arange(len(chosen)))

    def place(row: int) -> tuple[str, int]:
        return names[parts[row]], int(row - starts[parts[row]])

    leaked = tuple(Leak(*place(left), *place(right), *what) for (left, right), what in sorted(found.items()))
    by_split: dict[str, dict[int, str]] = {}
    for row, why in sorted(unscored.items()):
        by_split.setdefault(place(row)[0], {})[place(row)[1]] = why
    return Leaks(leaked, tuple(kind for kind, _ in kinds), least, identity, by_split, chosen)


def _splits(ds: Any, splits: Sequence[str] | None) -> DatasetDict:
    if not isinstance(ds, DatasetDict):
        raise InputTypeError(
            f"leaks takes a DatasetDict, not {type(ds).__name__}: put the splits into DatasetDict({{name: ds}})"
        )
    wanted = list(ds) if splits is None else list(splits)
    for name in wanted:
        if name not in ds:
            raise InputError(f"splits=: {unknown_name('split', name, ds)}")
    if len(set(wanted)) < 2:
        raise InputError(f"splits={wanted}; give two splits or more of {list(ds)}, to be compared with each other")
    return DatasetDict({name: ds[name] for name in ds if name in wanted})


def _image_column(ds: DatasetDict, image_column: str | None, has_embeddings: bool) -> str | None:
    first = next(iter(ds.values()))
    has_images = any(isinstance(kind, Image) for kind in first.features.values())
    if image_column is None and has_embeddings and not has_images:
        return None
    column = find_image_column(first, image_column)
    for split in ds.values():
        find_image_column(split, column)
    return column


def _together(ds: DatasetDict, column: str | None) -> tuple[Dataset, Rows]:
    """Put the images of all splits under one another, and return the number of the split of each."""
    parts = np.repeat(np.arange(len(ds)), [len(split) for split in ds.values()])
    if len(parts) == 0:
        raise InputError("the splits are empty: leaks has nothing to compare")
    if column is None:
        return Dataset.from_dict({"row": np.arange(len(parts))}), parts
    mode = {split.features[column].mode for split in ds.values()}
    if len(mode) > 1:
        raise InputError(f"column {column!r} is decoded in several modes ({mode}): cast it to one in all splits")
    features = Features({column: Image(mode=mode.pop())})
    return concatenate_datasets([split.select_columns(column).cast(features) for split in ds.values()]), parts


def _given(inputs: Mapping[str, Any] | None, ds: DatasetDict) -> dict[str, Any]:
    """Put given embeddings of the splits under one another."""
    if not inputs:
        return {}
    arrays = inputs.get("embeddings")
    if not isinstance(arrays, Mapping) or len(inputs) > 1 or not set(ds) <= set(arrays):
        raise InputError(
            f"inputs= holds no embeddings of {list(ds)}; give {{'embeddings': {{split: array}}}} with each split"
        )
    for name, split in ds.items():
        check_first_axes({f"embeddings'][{name!r}": arrays[name]}, len(split))
    found = [np.asarray(arrays[name]) for name in ds]
    if len({array.shape[1:] for array in found}) > 1:
        shapes = ", ".join(f"{name!r} {array.shape}" for name, array in zip(ds, found, strict=True))
        raise InputError(f"the embeddings of the splits have several widths ({shapes}): give those of one encoder")
    return {"embeddings": np.concatenate(found)}


def _least_cosine(threshold: Any) -> float:
    if threshold is None:
        return LEAST_COSINE
    if isinstance(threshold, bool) or not isinstance(threshold, int | float | np.floating) or not 0 < threshold <= 1:
        raise InputError(f"threshold={threshold!r}; give the least cosine of embeddings, in (0, 1]")
    return float(threshold)


def _keys(rows: Dataset, request: Request) -> tuple[NDArray[np.void], dict[int, str]]:
    from hf_prune.engine.image_keys import content_keys

    column = str(request.image_column)
    images = EncodedImages(rows, column)
    return content_keys(rows, column, images, request.run.store_root, process_state(request.run.device))


def _equal(keys: NDArray[np.void], parts: Rows, unscored: Mapping[int, str]) -> Iterator[tuple[int, int, float]]:
    """Yield rows of equal keys: each with the first that another split has."""
    _, kind, counts = np.unique(keys, return_inverse=True, return_counts=True)
    kind = kind.ravel()
    repeated = np.flatnonzero(counts[kind] > 1)
    repeated = repeated[~np.isin(repeated, list(unscored))]
    order = repeated[np.argsort(kind[repeated], kind="stable")]
    for rows in np.split(order, np.flatnonzero(np.diff(kind[order])) + 1):
        firsts = {int(parts[row]): int(row) for row in rows[::-1].tolist()}
        for row in rows.tolist():
            for part, first in firsts.items():
                if part != parts[row]:
                    yield min(row, first), max(row, first), 0.0


def _copies(pictures: NDArray[np.uint8], parts: Rows) -> Iterator[tuple[int, int, float]]:
    found = pixel_copies(pictures, parts)
    yield from zip(found.left.tolist(), found.right.tolist(), (1 - found.similarity).tolist(), strict=True)


def _close(
    points: NDArray[np.float32], parts: Rows, missing: Mapping[int, str], least: float
) -> Iterator[tuple[int, int, float]]:
    """Yield each row with the most similar one of every other split, where that is similar enough."""
    from hf_prune.cleaning.near_duplicates import most_similar

    usable = np.setdiff1d(np.arange(len(points)), list(missing))
    for one, other in combinations(np.unique(parts).tolist(), 2):
        left, right = (usable[parts[usable] == part] for part in (one, other))
        for rows, others in ((left, right), (right, left)):
            places, cosine = most_similar(points[rows], points[others], least)
            for place in np.flatnonzero(places >= 0).tolist():
                row, near = int(rows[place]), int(others[places[place]])
                yield min(row, near), max(row, near), float(np.clip(1 - cosine[place], 0, 1))
