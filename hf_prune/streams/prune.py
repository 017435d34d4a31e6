"""Prune a stream: by the exact cut after a pass over the scores, or by a sketch in a single pass."""

from dataclasses import replace
from hashlib import blake2b
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, IterableDataset

from hf_prune.data.columns import Labels, find_label_column
from hf_prune.data.history import Step
from hf_prune.data.label_spaces import columns_of_several
from hf_prune.data.row_keys import key_columns
from hf_prune.policy.prune_settings import PruneSettings
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.messages import warn
from hf_prune.scoring.scores import find_score_column, read_scores
from hf_prune.selection.budget import count_rows
from hf_prune.selection.classes import PAPER_CLASS_BALANCE
from hf_prune.selection.in_blocks import ORDERS
from hf_prune.streams.first_pass import first_pass, labels_of_block, stream_label_column
from hf_prune.streams.one_pass import SHARE_WITHIN, KeptShare
from hf_prune.streams.score_files import MISSING, SCORE, SCORES, Arrays, ScoreFiles
from hf_prune.streams.selection import Outcome, StreamSelection
from hf_prune.streams.source import StreamSource
from hf_prune.streams.stream import ScoredRows, files_root, rows_of, stream_of

# Arguments that ask for what only all rows tell.
_REFUSED = ("drop_duplicates", "num_clusters", "quotas", "class_errors", "evidence")


def prune_stream(ds: IterableDataset, metric: str, settings: PruneSettings, passes: int) -> IterableDataset:
    """Return the kept rows as a stream; the arguments are those of `hf_prune.prune`.

    Args:
        ds: The stream.
        metric: The score column, or the metric that made it.
        settings: What was asked for.
        passes: 2 reads the scores first and cuts exactly, as a data set in memory is; 1 cuts while it reads.

    Raises:
        ValueError: If the request cannot be met by a stream.
    """
    settings.check()
    _check(settings)
    source = StreamSource(ds)
    source.check_fixed()
    column = find_score_column(source.given, metric)
    if passes == 1:
        return _in_one_pass(source, metric, column, settings)
    floor, label_column = _classes(source, settings)
    rows = _rows_by_score(source, column, settings, label_column)
    rows.files.wait(lambda: rows.files.is_complete(SCORES), "the scores")
    selection = StreamSelection(
        rows.files,
        column,
        keep=settings.keep,
        order=settings.order,
        floor=floor or 0.0,
        hardest_cutoff=float(settings.hardest_cutoff),
        seed=settings.seed,
    )
    asked = [column, settings.keep, settings.order, floor, label_column, settings.hardest_cutoff, settings.seed]
    kept = f"kept-{blake2b(repr(asked).encode(), digest_size=8).hexdigest()}"
    outcome = selection.write(kept)
    unscored = outcome.rows_in - selection.num_scored
    step = replace(
        _step(metric, column, settings, floor, label_column),
        rows_in=outcome.rows_in,
        rows_out=outcome.rows_out,
        floor_rows=outcome.floor_rows,
        rows=outcome.rows,
        rows_sha256=outcome.rows_sha256,
        scores_before=rows.files.scores_digest(column),
        class_counts=None if label_column is None else _class_counts(source, label_column, outcome),
        figures={"unscored_rows": float(unscored)} if unscored else None,
    )
    return stream_of(source.given, replace(rows, kept=kept), rows.columns, [step])


def _check(settings: PruneSettings) -> None:
    """Raise one line for what only all rows tell."""
    if settings.order not in ORDERS:
        raise InputError(
            f"order={settings.order!r} compares all rows, which a stream does not hold: give one of {', '.join(map(repr, ORDERS))}"
        )
    asked = [name for name in _REFUSED if getattr(settings, name) is not None]
    asked += [
        name for name, value in (("encoder", settings.request.encoder), ("inputs", settings.request.given)) if value
    ]
    if isinstance(settings.hardest_cutoff, str):
        asked.append("hardest_cutoff")
    if settings.class_balance is not None and not isinstance(settings.class_balance, int | float):
        asked.append("class_balance")
    if asked:
        raise InputError(
            f"{asked[0]}={_shown(settings, asked[0])} needs all rows at once, which a stream does not hold: leave it out"
        )


def _shown(settings: PruneSettings, name: str) -> str:
    return repr(getattr(settings, name, "…"))


def _classes(source: StreamSource, settings: PruneSettings) -> tuple[float | None, str | None]:
    """Find the floor, and the column of the classes where they count."""
    wanted, ds = settings.class_balance, source.given
    if wanted == 0 and settings.label_column is None:
        return 0.0, None
    column = stream_label_column(source, find_label_column(ds, settings.label_column))
    if column is None:
        if wanted:
            raise InputError(
                f"class_balance={wanted} needs classes and there is no ClassLabel column among {ds.column_names}: name one with "
                "label_column=, or pass class_balance=0"
            )
        several = columns_of_several(source.features)
        if several and wanted is None:
            warn(
                f"no class keeps a floor: column {several[0]!r} has several classes per row, which are balanced only where all rows "
                "are held; class_balance=0 says that this is meant"
            )
        return 0.0, None
    return PAPER_CLASS_BALANCE if wanted is None else float(wanted), column  # type: ignore[arg-type]  # no mapping


def _rows_by_score(source: StreamSource, column: str, settings: PruneSettings, label_column: str | None) -> ScoredRows:
    """Return the rows with the files of their scores: those of `score_stream`, else of a pass over the column."""
    rows = rows_of(source.given)
    if rows is not None and column in rows.columns and label_column in (None, rows.files.identity["label_column"]):
        return rows
    identity = source.identity | {"column": column, "label_column": label_column}
    files = ScoreFiles(files_root(settings.request), identity, source.num_shards)

    def scorer(block: Dataset) -> tuple[Arrays, dict[str, Any]]:
        scores = read_scores(block, column)
        missing = np.ma.getmaskarray(scores).astype(np.uint8)
        return labels_of_block(block, label_column) | {
            SCORE + column: np.ma.getdata(scores),
            MISSING + column: missing,
        }, {}

    keys = key_columns(source.given, [column]) or [column]  # of a stream of scores alone
    first_pass(source, files, SCORES, scorer, keys)
    return ScoredRows(source, files, keys, compared=column)


def _in_one_pass(source: StreamSource, metric: str, column: str, settings: PruneSettings) -> IterableDataset:
    """Keep a share of each shard while it is read."""
    if settings.class_balance or settings.hardest_cutoff:
        name = "class_balance" if settings.class_balance else "hardest_cutoff"
        raise InputError(f"{name}= needs all scores before the first row is kept: pass passes=2, or leave it out")
    if not isinstance(settings.keep, float):
        raise InputError(
            f"keep={settings.keep} rows of a stream whose length one pass does not know: give a fraction in (0, 1]"
        )
    count_rows(settings.keep, 1)  # raises for what is no fraction
    step = _step(metric, column, settings, 0.0, None)
    step = replace(step, options=step.options | {"passes": 1, "share_within": SHARE_WITHIN})
    return stream_of(source.given, KeptShare(source, column, settings.keep, settings.order, settings.seed), (), [step])


def _step(metric: str, column: str, settings: PruneSettings, floor: float | None, label_column: str | None) -> Step:
    """Record what was asked."""
    return Step(
        kind="prune",
        metric=metric,
        column=column,
        options={"hardest_cutoff": settings.hardest_cutoff} if settings.hardest_cutoff else {},
        seed=settings.seed,
        keep=settings.keep,
        order=settings.order,
        class_balance=floor,
        label_column=label_column,
    )


def _class_counts(source: StreamSource, label_column: str, outcome: Outcome) -> dict[str, list[int]]:
    """Count by class name [rows before, rows after], in the order of the classes."""
    feature = source.features[label_column]
    labels = Labels(
        np.empty(0, np.int64), tuple(feature.names) if isinstance(feature, ClassLabel) else None, complete=False
    )
    return {labels.name(code): [outcome.before[code], outcome.after[code]] for code in sorted(outcome.before)}
