"""Score a stream: what a metric makes of each block, filed as it comes, and the stream again with its scores."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset, IterableDataset

from hf_prune.data.history import Step, check_options
from hf_prune.data.row_keys import key_columns
from hf_prune.metrics import Metric
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import check_alike, on_own_rows
from hf_prune.runtime.seeds import check_seed
from hf_prune.scoring import InputBuilder, Request
from hf_prune.scoring.calling import call_metric
from hf_prune.scoring.from_heads import heads_of
from hf_prune.scoring.from_models import as_list, encoder_of
from hf_prune.scoring.from_prototypes import METRIC as PROTOTYPES
from hf_prune.scoring.from_prototypes import options_of
from hf_prune.streams.first_pass import first_pass, labels_of_block, stream_label_column
from hf_prune.streams.prototypes import score_by_prototypes
from hf_prune.streams.score_files import EMBEDDINGS, MISSING, SCORE, SCORES, Arrays, ScoreFiles
from hf_prune.streams.source import StreamSource
from hf_prune.streams.stream import ScoredRows, files_root, stream_of

if TYPE_CHECKING:
    from hf_prune.models.loaded_model import LoadedModel

# Inputs that models make of an image, whatever other images there are; and the classes.
_BY_ROW = {"embeddings", "probs", "student_probs", "grad_norms", "labels", "centroids", "rows"}


def score_stream(
    ds: IterableDataset,
    metrics: Sequence[Metric],
    request: Request,
    options: Mapping[str, Any],
    columns: Sequence[str],
    overwrite: bool,
) -> IterableDataset:
    """Return the stream with a column of scores per metric; the arguments are those of `hf_prune.score_with`.

    Raises:
        ValueError: If a metric compares all rows, which a stream does not hold, or an argument is for such metrics.
        StateError: If other processes that read shares of the stream did not come to their end.
    """
    source = StreamSource(ds)
    own = {column: options_of(request, metric, options) for metric, column in zip(metrics, columns, strict=True)}
    chosen = dict(zip(columns, metrics, strict=True))
    _check(source, request, chosen, own, overwrite)
    label_column = stream_label_column(source, request.label_column)
    root = files_root(request)
    with _opened(request, chosen, own) as (request, models):
        identity = _identity(source, request, chosen, own, models) | {"label_column": label_column}
        files = ScoreFiles(root, identity, source.num_shards)
        check_alike({"stream, models and settings": files.folder.name.encode()})
        with on_own_rows(request.run.device):
            keys = key_columns(source.given, columns)
            scorer = _BlockScorer(chosen, own, request, label_column)
            kind = EMBEDDINGS if scorer.fitted else SCORES
            first_pass(source, files, kind, scorer, keys)
            files.wait(lambda: files.is_complete(kind, SCORES), "the first pass")
            if not files.blocks:
                raise InputError("the stream is empty: there is nothing to score")
            used, figures = own, {}
            for column in scorer.fitted:
                used[column], figures[column] = score_by_prototypes(source, files, chosen[column], own[column], column)
            files.wait(lambda: files.is_complete(SCORES), "the scores")
    steps = [_step(files, chosen[column], column, used[column], figures.get(column)) for column in columns]
    return stream_of(source.given, ScoredRows(source, files, keys, tuple(columns)), columns, steps)


def _check(
    source: StreamSource,
    request: Request,
    chosen: Mapping[str, Metric],
    own: Mapping[str, Mapping[str, Any]],
    overwrite: bool,
) -> None:
    """Raise one line for what a stream cannot be scored by, before anything is read."""
    source.check_fixed()
    for name in ("given", "dynamics", "test_dataset"):
        if getattr(request, name):
            shown = "inputs" if name == "given" else name
            raise InputError(f"{shown}= goes by row numbers, which a stream has not: score a Dataset, or leave it out")
    if heads_of(request.teachers) is not None:
        raise InputError("teachers='heads' trains on all rows, which a stream does not hold: give teachers")
    for column, metric in chosen.items():
        if column in source.features and not overwrite:
            raise InputError(
                f"column {column!r} is there already; choose another with column=, or pass overwrite=True"
            )
        needed = set(metric.inputs_for(own[column], request.sources))
        if metric.name != PROTOTYPES and (not metric.row_wise or not needed <= _BY_ROW):
            raise InputError(
                f"metric {metric.name!r} needs all rows at once, which a stream does not hold: take 'prototypes', or a metric of "
                "the predictions of teachers, such as 'el2n'"
            )
        check_options({**metric.options, **own[column]})
        check_seed(own[column].get("seed", 0))


@contextmanager
def _opened(
    request: Request, chosen: Mapping[str, Metric], own: Mapping[str, Mapping[str, Any]]
) -> "Iterator[tuple[Request, list[LoadedModel]]]":
    """Open the models once for all blocks; lend a request that has them in place of their names, and the models."""
    from hf_prune.models.load import load_teacher
    from hf_prune.models.loaded_model import kept_open

    needed = {name for column, metric in chosen.items() for name in metric.inputs_for(own[column], request.sources)}
    loading = {
        name: getattr(request.run, name) for name in ("revision", "dtype", "image_size", "allow_pickle", "device")
    }
    if "grad_norms" in needed and request.run.dtype == "auto":
        loading["dtype"] = "float32"  # half precision loses small gradients
    found: dict[str, list[LoadedModel]] = {"encoder": [], "teachers": [], "student": []}
    if "embeddings" in needed:
        found["encoder"] = [encoder_of(request)]
    for name, inputs in (("teachers", {"probs", "grad_norms"}), ("student", {"student_probs"})):
        if needed & inputs:
            message = f"this metric needs {'predictions of ' if name == 'teachers' else 'a '}{name}: pass {name}="
            found[name] = [load_teacher(model, **loading) for model in as_list(getattr(request, name), message)]
            if any(model.is_detector for model in found[name]):
                raise InputError("a detector scores boxes, which a stream does not read: score a Dataset")
    with ExitStack() as stack:
        opened = {name: [stack.enter_context(kept_open(model)) for model in models] for name, models in found.items()}
        lent: dict[str, Any] = {name: models for name, models in opened.items() if models}
        if opened["encoder"]:
            lent["encoder"] = opened["encoder"][0]
        # Nothing is looked up in the cache of results, whose index grows with the number of images.
        yield (
            replace(request, run=replace(request.run, load_from_cache_file=False), **lent),
            [model for models in opened.values() for model in models],
        )


def _identity(
    source: StreamSource,
    request: Request,
    chosen: Mapping[str, Metric],
    own: Mapping[str, Mapping[str, Any]],
    models: "list[LoadedModel]",
) -> dict[str, Any]:
    """Collect what determines the scores, by which a run that was cut off is found again."""
    identity = source.identity | {
        "image_column": request.image_column,
        "on_error": request.on_error,
        "metrics": {column: [metric.name, dict(own[column])] for column, metric in chosen.items()},
        "models": [model.identity for model in models],
        "prototypes": None if request.prototypes is None else request.prototypes.identity,
    }
    if all(model.cacheable for model in models):
        return identity
    if source.world > 1:
        unknown = next(model for model in models if not model.cacheable).identity
        raise InputError(
            f"the processes cannot tell whether they have the same model {unknown.get('id')!r} ({unknown.get('not_cached')}): "
            "give a model of transformers, or a function without such state"
        )
    return identity | {"run": uuid.uuid4().hex}


class _BlockScorer:
    """Scores the rows of a block by all metrics; of those whose prototypes are still to be found it keeps embeddings.

    Args:
        chosen: Column → metric.
        own: Column → options as given.
        request: Where inputs come from.
        label_column: The classes, which are filed beside the scores.

    Attributes:
        fitted: Columns whose prototypes are found when all blocks are embedded.
    """

    def __init__(
        self,
        chosen: Mapping[str, Metric],
        own: Mapping[str, Mapping[str, Any]],
        request: Request,
        label_column: str | None,
    ) -> None:
        self.chosen, self.own, self.request, self.label_column = chosen, own, request, label_column
        fits = request.prototypes is None
        self.fitted = [column for column, metric in chosen.items() if fits and metric.name == PROTOTYPES]

    def __call__(self, rows: Dataset) -> tuple[Arrays, dict[str, Any]]:
        """Return the arrays of a block and, by column, how they were made."""
        builder = InputBuilder(rows, self.request, [(metric, self.own[name]) for name, metric in self.chosen.items()])
        for metric in self.chosen.values():
            builder.prepare(metric)  # all inputs first: a row that one of them cannot have has no score of any
        arrays, inputs = labels_of_block(rows, self.label_column), {}
        for column, metric in self.chosen.items():
            made = builder.make(metric)
            inputs[column] = made.made_from
            missing = np.zeros(len(rows), bool)
            missing[list(made.unscored)] = True
            if column in self.fitted:
                values = np.zeros((len(rows), made.arrays["embeddings"].shape[1]), np.float32)
                values[made.rows] = made.arrays["embeddings"]
                arrays[EMBEDDINGS] = values
            else:
                used = metric.resolve_options(self.own[column], len(rows))
                scores = call_metric(metric, made, used, len(rows), on_error=self.request.on_error)
                missing |= np.ma.getmaskarray(scores)
                arrays[SCORE + column] = np.ma.getdata(scores).astype(np.float32)
            arrays[MISSING + column] = missing.astype(np.uint8)
        return arrays, inputs


def _step(
    files: ScoreFiles, metric: Metric, column: str, used: Mapping[str, Any], figures: dict[str, float] | None
) -> Step:
    """Record how one column was made; rows without a score are counted, not listed."""
    rows = missing = 0
    for _, mask, _ in files.scores(column):
        rows, missing = rows + len(mask), missing + int(mask.sum())
    if rows == missing:
        raise InputError(f"none of the {rows} rows of the stream can be scored by {metric.name!r}")
    options = metric.resolve_options(used, rows - missing)
    return Step(
        kind="score",
        metric=metric.name,
        column=column,
        options={name: value for name, value in options.items() if name != "seed"},
        inputs=files.inputs[column],
        figures=(figures or {}) | ({"unscored_rows": float(missing)} if missing else {}) or None,
        seed=int(options.get("seed", 0)),
        rows_in=rows,
        rows_out=rows,
        scores={column: files.scores_digest(column)},
    )
