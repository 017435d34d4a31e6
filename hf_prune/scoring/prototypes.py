"""Prototypes fitted to a data set, or again as the history of a column of scores says."""

from dataclasses import replace
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.data.columns import find_image_column
from hf_prune.data.digests import array_sha256
from hf_prune.data.history import package_versions, provenance
from hf_prune.data.source import locate_source
from hf_prune.metrics import get_metric
from hf_prune.models.recorded import encoder_options
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import broadcast, in_step, use_device
from hf_prune.runtime.row_arrays import gather_rows
from hf_prune.scoring import InputBuilder, Request, Run
from hf_prune.scoring.agreement import check_request
from hf_prune.scoring.from_prototypes import CENTROIDS, FORMAT, METRIC
from hf_prune.scoring.scores import Scores, read_scores

_TOLERANCE = 1e-5  # of a score, where embeddings are made anew on the same hardware
Fitted = tuple[NDArray[np.float64], dict[str, Any], Scores]


def fit_prototypes(ds: Dataset, request: Request, options: dict[str, Any]) -> Fitted:
    """Find prototypes of n rows, by the options of that metric.

    Returned are centroids (k, d), how they were made in plain JSON values, and the scores of all rows (n,).
    """
    with in_step("Prototypes.fit", request.run.device), use_device(request.run.device):
        check_request("Prototypes.fit", ds, request, options)
        return _fit(ds, request, options)


def _fit(ds: Dataset, request: Request, options: dict[str, Any]) -> Fitted:
    from hf_prune.metrics.kmeans import spherical_kmeans

    metric = get_metric(METRIC)
    made = InputBuilder(ds, request, [(metric, options)]).make(metric)
    used = metric.resolve_options(options, len(ds) - len(made.unscored))
    settings = {name: value for name, value in used.items() if name != "num_prototypes"}
    found = spherical_kmeans(made.arrays["embeddings"], made.rows, used["num_prototypes"], **settings)
    centroids = broadcast(found.centroids)
    config = {
        "format": FORMAT,
        "encoder": made.made_from["embeddings"]["encoder"],
        "options": used,
        "rows": len(ds) - len(made.unscored),
        "source": _source_of(ds),
        "image_column": find_image_column(ds, request.image_column),
        "versions": package_versions(),
        "centroids_sha256": array_sha256(centroids),
    }
    scores: Scores = np.ma.MaskedArray(gather_rows(made.rows, found.distances, len(ds), absent=made.unscored))
    scores[list(made.unscored)] = np.ma.masked
    return centroids, config, scores


def fit_as_scored(ds: Dataset, column: str, encoder: Any, image_column: str | None, run: Run) -> tuple[Fitted, Any]:
    """Find the prototypes that a column of scores was made by; return the result of `fit_prototypes`, and the encoder.

    No encoder takes the one that the history names, which says how it is opened.

    Raises:
        ValueError: If the column was made otherwise, or has other scores, or ``run`` says how the encoder is opened.
    """
    if (run.dtype, run.embedding_dtype, run.image_size, run.revision) != ("auto", None, None, None):
        raise InputError(
            "the history says how the encoder is opened: leave dtype, embedding_dtype, image_size and revision out of run="
        )
    step = provenance(ds).score_step(column)
    made_from = {} if step is None else step.inputs.get("embeddings", {})
    if step is None or step.metric != METRIC or "encoder" not in made_from:
        raise InputError(
            f"column {column!r} was not made by score_with({METRIC!r}, encoder=...): use Prototypes.fit(ds, encoder)"
        )
    if CENTROIDS in step.inputs:
        made_by = (step.inputs[CENTROIDS].get("prototypes") or {}).get("id")
        raise InputError(
            f"column {column!r} was made by prototypes that were there before ({made_by or 'not published'}): open "
            "those with Prototypes.from_pretrained"
        )
    options = encoder_options(made_from["encoder"], encoder)
    encoder = options.pop("encoder")
    request = Request(encoder=encoder, image_column=image_column, run=replace(run, **options), on_error="skip")
    fitted = fit_prototypes(ds, request, {**step.options, "seed": step.seed})
    _check_same(fitted[2], read_scores(ds, column), column)
    return fitted, request.encoder


def _check_same(found: Scores, column: Scores, name: str) -> None:
    """Refuse prototypes that give other scores than a column has."""
    masks = np.array_equal(np.ma.getmaskarray(found), np.ma.getmaskarray(column))
    away = np.abs(found.compressed() - column.compressed()).max(initial=0.0) if masks else np.inf
    if away > _TOLERANCE:
        other = f"differ by up to {away:.2g}" if masks else "are null in other rows"
        raise InputError(
            f"the scores of column {name!r} {other} from those of the prototypes found now: the rows or the encoder are "
            "not those that were scored; use Prototypes.fit(ds, encoder)"
        )


def _source_of(ds: Dataset) -> dict[str, Any]:
    """Return where the rows came from; empty where that is not known."""
    try:
        return locate_source(ds).to_dict()
    except ValueError:
        return {}
