"""Rows that a model was trained on, as its record names them: a published cut, or a data set with its history."""

from typing import Any

import numpy as np
from datasets import Dataset

from hf_prune.data.digests import images_sha256
from hf_prune.data.history import CHANGED, CHANGED_SCORES, provenance
from hf_prune.data.images import EncodedImages
from hf_prune.data.source import locate_source
from hf_prune.hub.formats import format_of
from hf_prune.hub.manifest import Entry, images_digest
from hf_prune.hub.publish.configurations import describer
from hf_prune.hub.read.cut import Cut, choose_cut, choose_cut_split
from hf_prune.hub.read.place import DamagedError, open_published
from hf_prune.hub.read.scores import origin
from hf_prune.hub.split import Split
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.plain_values import without_paths

# Fields of a split's record about its rows; the others are about files that do not lie beside a model.
ROW_FIELDS = (
    *("source", "rows", "rows_before", "loaded", CHANGED, CHANGED_SCORES, "damaged_steps"),
    *("row_numbers", "rows_sha256", "images_sha256"),
    *("class_counts", "references", "steps", "published_by", "versions"),
)


def describe_trained_rows(ds: Dataset, cut: str | None, source: str | None, token: str | None) -> dict[str, Any]:
    """Describe the rows that a model was trained on.

    Args:
        ds: The rows.
        cut: Where they were published, ``"name:configuration"``; None finds that where `datasets` loaded them from there.
        source: Where they came from, as for `hf_prune.push_to_hub`.
        token: Token for private repositories.

    Returns:
        ``split``, ``entry`` (as in ``provenance.json``) and ``published`` (repository, commit, configuration and digest of
        the record, or None).

    Raises:
        ValueError: If the cut holds other rows, or no source is found.
        OSError: If the cut cannot be read.
    """
    found = _named_cut(ds, cut, token) if cut is not None else _detected_cut(ds, token) if source is None else None
    if found is None:
        split = str(ds.split or "train").partition("[")[0]
        rows = Split.read(ds)
        entry = describer(source, token)(rows)
        return _description(split, entry | {"images_sha256": images_digest(rows, entry)}, None)
    _check_same(found, ds)
    holds = format_of(found.place.record(found.config)).name
    published = without_paths(origin(found.place, found.config, found.split)) | {"holds": holds}
    return _description(found.split, found.entry, published)


def _description(split: str, entry: Entry, published: Entry | None) -> dict[str, Any]:
    fields = {name: entry[name] for name in ROW_FIELDS if name in entry}
    return {"split": split, "entry": fields, "published": published}


def _named_cut(ds: Dataset, cut: str, token: str | None) -> Cut:
    name, _, config = cut.partition(":")
    place = open_published(name, token=token)
    return choose_cut_split(place, choose_cut(place, config or None), ds, None)


def _detected_cut(ds: Dataset, token: str | None) -> Cut | None:
    """Return the cut that a data set without a history was loaded from, if any."""
    if provenance(ds).steps:
        return None
    source = locate_source(ds)
    try:
        place = open_published(f"{source.repo_id}@{source.commit}", token=token)
    except DamagedError:
        raise
    except ValueError:  # a repository that hf_prune did not publish
        return None
    config = source.config_name if source.config_name in place.records else None
    return choose_cut_split(place, choose_cut(place, config), ds, None)


def _check_same(cut: Cut, ds: Dataset) -> None:
    """Raise a one-line ValueError unless rows are those of a cut."""
    where = f"configuration {cut.config!r} of {cut.place.shown}"
    column, digest = cut.entry.get("image_column"), cut.entry.get("images_sha256")
    if not column or not digest:
        raise InputError(f"{where} has no digest of its images to compare with: leave out cut= and name source=")
    published = int(cut.entry.get("rows") or 0)
    if column not in ds.column_names or len(ds) != published:
        raise InputError(
            f"trained_on has {len(ds):,} rows and the columns {ds.column_names}, {where} has {published:,} rows with "
            f"images in {column!r}: give the rows that it holds, or source= instead of cut="
        )
    by_position = str(cut.entry.get("row_numbers", "")).startswith("position")
    rows = np.arange(published, dtype=np.int64) if by_position else cut.source_rows()
    if images_sha256(EncodedImages(ds, column), rows) != digest:
        raise InputError(
            f"trained_on holds other images, or in another order, than {where}: give the rows that it holds"
        )
