"""Rows of published configurations compared with their records, read in pieces."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features
from datasets.table import table_cast
from numpy.typing import NDArray

from hf_prune.data.digests import ImagesDigest, rows_sha256, unpack_rows
from hf_prune.data.history import CHANGED, Step
from hf_prune.data.images import EncodedImages
from hf_prune.data.label_spaces import QUANTILES, read_classes
from hf_prune.data.row_keys import row_keys
from hf_prune.hub.formats import ROW_NUMBERS, ROWS, SCORES_OF_ROWS
from hf_prune.hub.layout import SCORES
from hf_prune.hub.manifest import changed_scores
from hf_prune.hub.read.cut import Cut, read_cut
from hf_prune.hub.read.parquet_files import count_rows, read_batches, read_schema
from hf_prune.hub.read.place import Place
from hf_prune.hub.read.scores import PublishedScores, read_scores_of
from hf_prune.hub.record_fields import read_features, schema_features
from hf_prune.hub.scores_table import KEPT, REASON, keys_sha256
from hf_prune.hub.verify.report import Report
from hf_prune.pruning.reasons import unpack_reasons
from hf_prune.runtime.messages import listed, one_line
from hf_prune.scoring.scores import read_scores

_BATCH_ROWS = 1000


def verify_row_numbers(place: Place, config: str, split: str, report: Report) -> None:
    """Check a split of a cut that is published without its rows; see `verify_rows`."""
    _verify_steps(read_cut(place, config, split), f"{config}/{split}", report)


def verify_rows(place: Place, config: str, split: str, report: Report) -> None:
    """Check a split of a cut: its steps and its files."""
    subject = f"{config}/{split}"
    cut = read_cut(place, config, split)
    paths = place.data_files(config, split)
    features = read_features(place.record(config)["features"])
    if not _verify_features(place, paths, features, subject, report):
        return
    # Counted before the steps are followed: what they claim to have left takes memory.
    count = count_rows([place.fetch(path) for path in paths])
    if not report.compare(subject, f"{cut.entry['rows']:,} rows", cut.entry["rows"], count):
        return
    rows = _verify_steps(cut, subject, report)
    batches = Batches(place, paths, features)
    _verify_images(cut, batches, rows, subject, report)
    _verify_classes(cut, batches, subject, report)
    _verify_against_scores(cut, batches, rows, subject, report)


class Batches:
    """The rows of a split, a thousand at a time."""

    def __init__(self, place: Place, paths: list[str], features: Features) -> None:
        self._place, self._paths, self.features = place, paths, features

    def read(self, columns: list[str]) -> Iterator[Dataset]:
        """Yield some columns of each batch, as a data set."""
        features = Features({name: self.features[name] for name in columns})
        for path in self._paths:
            for batch in read_batches(self._place.fetch(path), _BATCH_ROWS, columns):
                table = table_cast(pa.Table.from_batches([batch]), features.arrow_schema)
                yield Dataset(table)


def _verify_features(place: Place, paths: list[str], features: Features, subject: str, report: Report) -> bool:
    for path in paths:
        try:
            found = schema_features(read_schema(place.fetch(path)))
        except ValueError as error:
            report.differs(path, f"it is no Parquet file of hf_prune ({one_line(error)})")
            return False
        if found != features:
            odd = sorted(name for name in {*found, *features} if found.get(name) != features.get(name))
            named = listed(odd) if odd else "their order"
            report.differs(subject, f"features of {path}: {named} are not those of the record")
            return False
    report.same(subject, f"{len(features)} features")
    return True


def _verify_steps(cut: Cut, subject: str, report: Report) -> NDArray[np.int64] | None:
    """Check that the steps fit each other and what is published; return the row numbers in the source if known."""
    entry, steps = cut.entry, cut.history.steps
    _report_changed_scores(entry, subject, report)
    if entry.get(CHANGED):
        report.unknown(
            subject, "the rows were changed outside hf_prune, so which rows of the source they are is not known"
        )
        return None
    if steps and steps[-1].rows_out != entry["rows"]:
        report.differs(subject, f"{entry['rows']:,} rows are published, the last step left {steps[-1].rows_out:,}")
        return None
    for step in cut.prunings:
        kept = unpack_rows(str(step.rows), step.rows_in, step.rows_out)
        if rows_sha256(kept) != step.rows_sha256:
            report.differs(subject, f"the row numbers of the pruning by {step.column!r} do not have its digest")
            return None
    rows = cut.source_rows()
    if entry.get("rows_sha256") is not None:
        report.compare(subject, "digest of the row numbers", entry["rows_sha256"], rows_sha256(rows))
    if len(rows) != entry["rows"]:
        report.differs(subject, f"{entry['rows']:,} rows are published, its steps keep {len(rows):,}")
        return None
    return rows


def _report_changed_scores(entry: Mapping[str, Any], subject: str, report: Report) -> None:
    for column in changed_scores(entry):
        report.unknown(
            subject, f"the scores {column!r} were changed outside hf_prune, so they are not what a step made"
        )


def _verify_images(cut: Cut, batches: Batches, rows: NDArray[np.int64] | None, subject: str, report: Report) -> None:
    """Compute the digest of the images, which depends on their order as well."""
    column, expected = cut.entry.get("image_column"), cut.entry.get("images_sha256")
    if column is None or expected is None:
        return
    digest = ImagesDigest()
    for batch in batches.read([column]):
        digest.update(EncodedImages(batch, column))
    numbers = np.arange(cut.entry["rows"], dtype=np.int64) if rows is None else rows
    report.compare(subject, "digest of the images in their order", expected, digest.hexdigest(numbers))


def _verify_classes(cut: Cut, batches: Batches, subject: str, report: Report) -> None:
    counted = cut.entry.get("class_counts")
    if not counted:
        return
    found: dict[str, int] = {}
    column, space = counted["label_column"], cut.prunings[0].label_space if cut.prunings else None
    whole = column if column in batches.features else column.partition(".")[0]  # a field of objects
    for batch in batches.read([whole]):
        try:
            labels = read_classes(batch, column, space).labels
        except ValueError as error:  # what was published has no such labels
            report.differs(subject, str(error))
            return
        for name, rows in labels.counts().items():
            found[name] = found.get(name, 0) + rows
    expected = {name: after for name, _, after in counted["classes"] if after}
    report.compare(subject, "rows per class", expected, found)
    before = sum(rows for _, rows, _ in counted["classes"])
    begun = cut.prunings[0].rows_in if cut.prunings else cut.entry["rows_before"]
    several = space is not None and space.get("kind") != QUANTILES  # a row counts for each of its classes
    if before != begun and not several:
        report.differs(subject, f"rows per class before: {before:,} of {begun:,}")


def _verify_against_scores(
    cut: Cut, batches: Batches, rows: NDArray[np.int64] | None, subject: str, report: Report
) -> None:
    """Check that the published scores are those of the published rows."""
    place = cut.place
    if rows is None or cut.split not in place.splits(SCORES):
        return
    try:
        published = read_scores_of(place, None, cut.split)
    except ValueError:  # reported where the scores themselves are checked
        return
    if not cut.is_numbered_as(published):
        report.note(subject, f"the scores are of {len(published.keys):,} rows, other ones than it was cut from")
        return
    if set(published.key_columns) <= set(batches.features):
        keys = [
            key for part in batches.read(published.key_columns) for key in row_keys(part, published.key_columns)[0]
        ]
        expected = [published.keys[row] for row in rows.tolist()]
        wrong = np.flatnonzero([key != other for key, other in zip(keys, expected, strict=True)])
        _compare(report, subject, "content keys of the rows in their order", wrong, f"differ from {SCORES!r}")
    for column in published.columns:
        if cut.holds_scores(published, column) is False or not cut.has_column_as_cut(column):
            report.note(subject, f"the scores {column!r} that are published are other ones than those of its rows")
        elif column in batches.features:
            parts = [read_scores(part, column).filled(np.nan) for part in batches.read([column])]
            expected_scores = published.scores(column)[rows].filled(np.nan)
            equal = np.isclose(np.concatenate(parts), expected_scores, rtol=0, atol=0, equal_nan=True)
            wrong = np.flatnonzero(~equal)
            _compare(report, subject, f"scores {column!r} of the rows", wrong, f"differ from {SCORES!r}")


def _compare(report: Report, subject: str, what: str, wrong: NDArray[np.int64], differ: str) -> None:
    if len(wrong):
        report.differs(subject, f"{what}: {len(wrong):,} {differ} (first: row {wrong[0]})")
    else:
        report.same(subject, what)


def verify_scores(place: Place, config: str, split: str, report: Report) -> None:
    """Check the published scores of a split; see `verify_rows`."""
    subject = f"{config}/{split}"
    entry = place.entry(config, split)
    features = read_features(place.record(config)["features"])
    if not _verify_features(place, place.data_files(config, split), features, subject, report):
        return
    try:
        published = read_scores_of(place, None, split)
    except ValueError as error:
        report.differs(subject, str(error))
        return
    report.compare(subject, f"{entry['rows']:,} rows", entry["rows"], len(published.keys))
    keys = keys_sha256(published.keys)
    report.compare(subject, "digest of the content keys in their order", entry.get("keys_sha256"), keys)
    for column, expected in (entry.get("score_digests") or {}).items():
        report.compare(subject, f"digest of the scores {column!r}", expected, published.digest(column))
    _report_changed_scores(entry, subject, report)
    cut = place.record(config).get("cut")
    if cut is not None and split in (place.record(str(cut)).get("splits") or {}):
        _verify_fates(read_cut(place, str(cut), split), published, subject, report)


def _verify_fates(cut: Cut, published: PublishedScores, subject: str, report: Report) -> None:
    """Check which rows are marked as kept, and the reasons of the others."""
    if cut.num_source_rows != len(published.keys):
        report.note(subject, f"{cut.config!r} was cut from {cut.num_source_rows:,} rows, other ones than these")
        return
    rows = cut.source_rows()
    kept = np.zeros(len(published.keys), dtype=bool)
    kept[rows] = True
    marked = np.asarray(published.table.column(KEPT).to_pylist(), dtype=object)
    differ = "rows differ from the record"
    _compare(report, subject, f"kept rows of {cut.config!r}", np.flatnonzero(marked != kept), differ)
    step: Step = cut.prunings[-1]
    if step.reasons is not None and len(cut.prunings) == 1:
        unscored = np.array(step.unscored, dtype=np.int64)
        reasons: Any = np.asarray(unpack_reasons(step.reasons, kept, unscored), dtype=object)
        marked = np.asarray(published.table.column(REASON).to_pylist(), dtype=object)
        _compare(report, subject, f"reasons of {cut.config!r}", np.flatnonzero(marked != reasons), differ)


# Name of a format → the check of a split that is published in it.
CHECKS: dict[str, Callable[[Place, str, str, Report], None]] = {
    ROWS.name: verify_rows,
    ROW_NUMBERS.name: verify_row_numbers,
    SCORES_OF_ROWS.name: verify_scores,
}
