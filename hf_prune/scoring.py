"""Score one split: make the inputs, call the metric, add the column, write the step."""

from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, is_caching_enabled
from numpy.typing import NDArray

from hf_prune.collectives import gather_rows, join_processes, use_device
from hf_prune.inputs import Inputs, Request, make_inputs
from hf_prune.metrics import Metric
from hf_prune.provenance import Step, check_options, record
from hf_prune.scores import Scores, add_scores
from hf_prune.seeds import check_seed


def store_root(load_from_cache_file: bool | None, cache_dir: str | Path | None) -> Path | None:
    """Where results of models are kept, or None for nowhere."""
    use_cache = is_caching_enabled() if load_from_cache_file is None else load_from_cache_file
    if not use_cache:
        return None
    if cache_dir is not None:
        return Path(cache_dir)
    from hf_prune.engine.store import default_root

    return default_root()


def score_dataset(
    ds: Dataset, metric: Metric, request: Request, options: dict[str, Any], column: str, overwrite: bool
) -> Dataset:
    """Return the data set with a column of scores; the arguments are those of `hf_prune.score_with`."""
    if column in ds.column_names and not overwrite:
        raise ValueError(f"column {column!r} is there already; choose another with column=, or pass overwrite=True")
    if len(ds) == 0:
        raise ValueError("the data set is empty: there is nothing to score")
    check_options({**metric.options, **options})
    check_seed(options.get("seed", 0))
    with use_device(request.device):
        join_processes(request.device)
        made = make_inputs(ds, metric, request)
        num_scored = len(ds) - len(made.unscored)
        if num_scored == 0:
            row, reason = next(iter(sorted(made.unscored.items())))
            raise ValueError(f"none of the {len(ds)} rows can be scored (row {row}: {reason})")
        used = metric.resolve_options(options, num_scored)
        found = _call(metric, made, used)
    mask = np.zeros(len(ds), dtype=bool)
    mask[list(made.unscored)] = True
    scores: Scores = np.ma.MaskedArray(gather_rows(made.rows, found, len(ds), absent=made.unscored), mask=mask)
    step = Step(
        kind="score",
        metric=metric.name,
        column=column,
        options={name: value for name, value in used.items() if name != "seed"},
        inputs=made.made_from,
        seed=int(used.get("seed", 0)),
        unscored=tuple(sorted(made.unscored)),
    )
    return record(ds, add_scores(ds, column, scores), step)


def _call(metric: Metric, made: Inputs, options: dict[str, Any]) -> NDArray[np.float64]:
    """The scores of the rows held here, shape (n_local,); what one process refuses, all refuse."""
    from hf_prune.engine.sharing import together

    found = np.empty(0)

    def call() -> None:
        nonlocal found
        found = np.asarray(metric.function(**made.arrays, **options), dtype=np.float64)
        _check_found(found, metric, made.rows)

    together(call)
    return found


def _check_found(found: NDArray[np.float64], metric: Metric, rows: NDArray[np.int64]) -> None:
    if found.shape != (len(rows),):
        raise ValueError(
            f"metric {metric.name!r} returned shape {found.shape} for {len(rows)} rows; one score per row"
        )
    bad = np.flatnonzero(np.isnan(found) | np.isneginf(found))
    if len(bad):
        raise ValueError(
            f"metric {metric.name!r} gave row {int(rows[bad[0]])} the score {found[bad[0]]} ({len(bad)} such rows): "
            "check its inputs of that row; a score is finite or +inf"
        )
