"""``score_with``, also in shards, what it will take, and ``prune``: plain functions, two of them bound as methods."""

import inspect
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

from hf_prune.data.splits import AnyDataset, check_dataset, check_one, on_splits
from hf_prune.engine.shards import Shard
from hf_prune.metrics import Metric, get_metric
from hf_prune.metrics.registry import check_option_names
from hf_prune.policy import Recommendation
from hf_prune.policy.estimate import Estimate, estimate_dataset
from hf_prune.policy.gathering import judge_for
from hf_prune.policy.prune_settings import PruneSettings
from hf_prune.pruning.prune import prune_dataset
from hf_prune.runtime.arguments import check_count, check_flag, check_text
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import check_alike, in_step
from hf_prune.scoring import Request, Run
from hf_prune.scoring.from_prototypes import open_prototypes
from hf_prune.scoring.run import check_no_settings
from hf_prune.scoring.score import score_dataset
from hf_prune.scoring.scores import without_scores
from hf_prune.scoring.shards import ShardRun
from hf_prune.selection import Selection
from hf_prune.streams.prune import prune_stream
from hf_prune.streams.score import score_stream


def score_with(
    ds: AnyDataset,
    metric: str | Sequence[str],
    *,
    encoder: Any = None,
    teachers: Any = None,
    student: Any = None,
    dynamics: Any = None,
    prototypes: Any = None,
    inputs: Mapping[str, Any] | None = None,
    test_dataset: Any = None,
    column: str | None = None,
    label_column: str | None = None,
    image_column: str | None = None,
    run: Run | None = None,
    seed: int = 0,
    overwrite: bool = False,
    on_error: str = "raise",
    evidence: bool | str = "auto",
    splits: str | Sequence[str] | None = None,
    **options: Any,
) -> AnyDataset:
    """Add a column with the score of every row; high scores are the hard rows.

    Several metrics at once share every pass of a model and every record.

    Args:
        ds: A ``Dataset``, or a ``DatasetDict`` of which ``splits`` are scored; or a stream, an ``IterableDataset`` or a dict
            of them, which is read once here and again by who reads the result.
        metric: Name of a metric, see `list_metrics`, or several; the names of the paper's score files are aliases.
        encoder: Where embeddings come from: a model id of the Hub, a local folder or checkpoint, ``"tiny"`` (small,
            within the package), ``"pixels"``, a ``(torch module, transform)`` pair, or a function from a list of images to vectors.
        teachers: Where predictions come from: a classifier like those of ``encoder``, or a list of them; ``"heads"``, or
            a `Heads` with settings, trains small heads on the embeddings of ``encoder`` and serves every metric that
            needs teachers, a record or subset runs. A detector scores rows of objects by their boxes.
        student: The model in training, for metrics that compare it with ``teachers``.
        dynamics: Records of trainings: a `TrainingRecord`, its folder, the folder of `train_teachers`, or a list.
        prototypes: Prototypes that were found before, for the metric of that name, which then finds none in these rows: a
            `Prototypes`, its folder, or a repository (``id@revision`` is one with its revision). Their encoder and options
            are taken; the history names the repository and its commit, so that others score by the same ones.
        inputs: Arrays by name in place of those that would be made, such as ``{"embeddings": array}``, in the order of
            the rows, by which alone they are matched.
        test_dataset: A data set like ``ds``, for metrics of the influence on test rows, with heads as teachers.
        column: Name of the new column; None calls it after the metric, as it must be with several.
        label_column: Column with the classes; None takes the only ``ClassLabel`` column.
        image_column: Column with the images; None takes the only ``Image`` column.
        run: How models are opened and run: a `hf_prune.Run`; None takes its defaults.
        seed: Seed of metrics that draw random numbers.
        overwrite: Replace a column of that name.
        on_error: ``"raise"`` stops at a row that cannot be scored, ``"skip"`` leaves its score null and lists it.
        evidence: Whether rules of pruning are weighed against random rows, for ``order="auto"`` of `prune`, where there are
            embeddings and labels of at least 200 rows: ``"auto"`` on a sample of the classes, and of the rows if need be,
            that takes no more work than 50,000 rows of ten classes, about a minute; ``"full"`` on all of up to 100,000
            rows; False not at all. Where a metric has predictions of teachers but no embeddings, what the first
            teacher's last linear layer sees stands in: kept in the same pass, in a cache of its own, and called
            optimistic, since the teacher may have seen all rows. Where it cannot be gathered the scores come without it,
            with a warning.
        splits: Splits of a ``DatasetDict`` to score; None is ``"train"``.
        **options: Options of the metric.

    Returns:
        The data set with a float32 column, null where a row was skipped, and one step more in its history.

    Raises:
        ValueError: If the data set, the models or the arrays do not fit the metric; the message says what would.
        UnknownNameError: If the metric is not known.
        TypeError: If an option is not known, or ``ds`` is no data set.

    Example:
        >>> import numpy as np
        >>> from datasets import Dataset
        >>> ds = Dataset.from_dict({"x": [1, 2, 3]})
        >>> scored = score_with(ds, "prototypes", inputs={"embeddings": np.eye(3)}, num_prototypes=3)
        >>> scored["prototypes"][:]
        [0.0, 0.0, 0.0]

    References:
        Sorscher et al. (2022), arXiv:2206.14486.
    """
    run = Run.of(run)
    check_flag("overwrite", overwrite)
    judge_for(evidence)  # refuses what is none
    with in_step("score_with", run.device):
        chosen, columns, request = _asked(
            metric,
            column,
            options,
            encoder=encoder,
            teachers=teachers,
            student=student,
            dynamics=dynamics,
            prototypes=prototypes,
            inputs=inputs,
            test_dataset=test_dataset,
            label_column=label_column,
            image_column=image_column,
            run=run,
            on_error=on_error,
        )

        def score_split(split: Any, name: str) -> Any:
            check_alike({"split": name, "evidence": str(evidence)})
            own, judge = {**options, "seed": seed}, judge_for(evidence)
            if isinstance(split, IterableDataset):
                return score_stream(split, chosen, request, own, columns, overwrite)
            return score_dataset(split, chosen, request, own, columns, overwrite, judge)

        return on_splits(ds, splits, score_split, "score_with")


def _asked(
    metric: str | Sequence[str], column: str | None, options: Mapping[str, Any], **sources: Any
) -> tuple[list[Metric], list[str], Request]:
    """Return the metrics that were asked for, the names of their columns, and where their inputs come from."""
    named = [metric] if isinstance(metric, str) else metric
    if not isinstance(named, Sequence):
        raise InputError(f"metric={metric!r}; give the name of a metric, or a list of names")
    chosen = [get_metric(name) for name in named]
    columns = _columns(chosen, column)
    check_no_settings(options, {option for metric in chosen for option in metric.options})
    check_option_names(chosen, options)
    return chosen, columns, open_prototypes(Request(**sources), chosen)


def score_shard(
    ds: Dataset,
    metric: str | Sequence[str],
    *,
    shard: str | tuple[int, int],
    folder: str | Path,
    run: Run | None = None,
    **arguments: Any,
) -> Path:
    """Run the models of `score_with` over one shard of the images, and keep what they give for `merge_shards`.

    Shards need nothing of each other: they run at any time, on any machines, each in one process or several. A shard that
    was stopped goes on where it was, and one that is done ends at once. Each has whole batches that follow each other, so
    that a merge gives what one process would.

    Args:
        ds: One ``Dataset``, whole and the same for every shard.
        metric: As of `score_with`.
        shard: Which shard of how many, numbered from 0: ``"3/64"`` or ``(3, 64)``, the last is ``"63/64"``.
        folder: Folder of all shards. Machines without a common disk have one each; put what they hold into one for the merge.
        run: As of `score_with`; results are kept in ``folder``, so its cache is not named.
        **arguments: Further ones as of `score_with`.

    Returns:
        The marker that says that the shard is done.

    Raises:
        ValueError: As of `score_with`; or a shard in ``folder`` was scored with other arguments, or no model is needed.

    Example:
        >>> import tempfile
        >>> from datasets import Dataset, Image
        >>> from PIL import Image as pillow
        >>> images = [pillow.new("RGB", (2, 2), (shade, 0, 9)) for shade in (50, 90, 130, 170)]
        >>> ds = Dataset.from_dict({"image": images}).cast_column("image", Image())
        >>> how = {"encoder": "pixels", "num_prototypes": 1, "run": Run(batch_size=2, image_size=2)}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     done = [score_shard(ds, "prototypes", shard=(i, 2), folder=folder, **how) for i in (0, 1)]
        ...     merged = merge_shards(ds, "prototypes", folder=folder, **how)
        >>> done[1].parent.name, merged.column_names
        ('1-of-2', ['image', 'prototypes'])
    """
    check_one(ds, "score_shard")
    own = ShardRun.made_of(run, folder, Shard.of(shard))
    score_with(ds, metric, run=own, **arguments)
    return own.marker


def merge_shards(
    ds: Dataset, metric: str | Sequence[str], *, folder: str | Path, run: Run | None = None, **arguments: Any
) -> Dataset:
    """Score by what all shards of `score_shard` have kept, as `score_with` does in one process, without running a model.

    What compares all rows is done here: clustering, heads, a test set, evidence. The results go to the cache of ``run``, where
    further calls find them.

    Args:
        ds: The data set of the shards.
        metric: As of the shards.
        folder: Folder of all shards.
        run: As of the shards; its ``cache_dir`` is the cache that the results go to.
        **arguments: As of the shards; ``column`` and ``overwrite`` may differ.

    Returns:
        What `score_with` returns.

    Raises:
        StateError: If shards are missing or have lost results; the message names what to run again.
        ValueError: If a shard was scored with other arguments, rows or models; the message names the first.

    Example:
        >>> import tempfile
        >>> from datasets import Dataset
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     merge_shards(Dataset.from_dict({"x": [1]}), "prototypes", folder=folder, encoder="pixels")
        Traceback (most recent call last):
        ...
        hf_prune.StateError: ... holds no shards: make them first, such as with --shard 0/4
    """
    check_one(ds, "merge_shards")
    merged: Dataset = score_with(ds, metric, run=ShardRun.made_of(run, folder, None), **arguments)
    return merged


def _columns(metrics: Sequence[Metric], column: str | None) -> list[str]:
    names = [metric.name for metric in metrics]
    if not names:
        raise InputError("no metric was named; give one, or a list of some")
    if len(set(names)) < len(names):
        raise InputError(f"the metrics {names} name one twice; give each once")
    if column is not None:
        check_text("column", column, "the name of the new column")
    if column is not None and len(names) > 1:
        raise InputError(f"column={column!r} for {len(names)} metrics; score them one by one, or leave it out")
    return names if column is None else [column]


def estimate(ds: Dataset | DatasetDict, metric: str | Sequence[str], **arguments: Any) -> Estimate:
    """Estimate the seconds, the memory and the disk that `score_with` would take here and now.

    Some 256 rows go through the models, and nothing of them is kept; rows whose results the cache has are not counted.
    Clustering, heads and evidence are foretold from the multiplications that they take and from the speed of some.

    Args:
        ds: A ``Dataset``, or a ``DatasetDict`` of which ``splits`` would be scored.
        metric: As of `score_with`.
        **arguments: Further ones as of `score_with`.

    Returns:
        An `Estimate`. What runs beside it counts, as it will while scoring; where processes work together, it is theirs.

    Raises:
        ValueError: As `score_with`, where the arguments do not fit; or ``ds`` is a stream.

    Example:
        >>> from datasets import Dataset
        >>> estimate(Dataset.from_dict({"x": [1, 2, 3]}), "random").disk
        0
    """
    call = inspect.signature(score_with).bind(ds, metric, **arguments)
    call.apply_defaults()
    given, names = call.arguments, [field.name for field in fields(Request)]
    run, judge = Run.of(given["run"]), judge_for(given["evidence"])
    check_dataset(ds, "estimate")
    found: list[Estimate] = []
    with in_step("estimate", run.device):
        sources = {name: given[name] for name in names if name != "run"}
        chosen, _, request = _asked(metric, given["column"], given["options"], run=run, **sources)
        own = {**given["options"], "seed": given["seed"]}

        def estimate_split(split: Any, _: str) -> Any:
            found.append(estimate_dataset(split, chosen, request, own, judge))
            return split

        on_splits(ds, given["splits"], estimate_split, "estimate")
    return sum(found, Estimate({}, 0, 0))


def prune(
    ds: AnyDataset,
    metric: str,
    *,
    keep: float,
    order: str = "auto",
    class_balance: float | Mapping[Any, int] | None = None,
    quotas: str | None = None,
    class_errors: Mapping[Any, float] | None = None,
    label_column: str | None = None,
    hardest_cutoff: float | str = 0.0,
    drop_duplicates: float | None = None,
    num_clusters: int | None = None,
    target: Any = None,
    evidence: Recommendation | None = None,
    encoder: Any = None,
    inputs: Mapping[str, Any] | None = None,
    image_column: str | None = None,
    run: Run | None = None,
    seed: int = 0,
    return_selection: bool = False,
    keep_scores: bool | None = None,
    splits: str | Sequence[str] | None = None,
    passes: int = 2,
    **options: Any,
) -> Any:
    """Keep the rows that a score column ranks first.

    Duplicates go first, then the hardest rows or the noise suspects; of what is left the classes get their floor or
    quota and the order fills the budget. Where a cut leaves a class less than its floor or quota, rows of it return, the
    least hard first. `explain` gives the reason for every row.

    Args:
        ds: A ``Dataset``, or a ``DatasetDict`` of which ``splits`` are pruned; or a stream, by one of the orders ``"hard"``,
            ``"easy"`` and ``"random"``.
        metric: The score column: any numeric column, whoever made it, or a metric scored under its own name.
        keep: A fraction in (0, 1] as float, or a count of rows as int, over the rows with a score, those that are
            removed before the order included; ``keep=1`` is one row, ``keep=1.0`` all of them.
        order: ``"auto"`` follows the evidence that `score_with` left, or that ``encoder``, ``inputs`` or the model that the
            history names allow to gather: the order and the cutoff that beat random rows, or random rows where none did,
            with a warning. Without evidence it goes by rows per class and kept fraction, of clusters it keeps random rows,
            with a warning. Or the name of an order, see `list_orders`.
        class_balance: Each class keeps at least this share of what equal pruning would leave it; None is the paper's
            0.5 where there is a ``ClassLabel`` column, else 0. Or class → count of rows, exactly so many of each class
            named, the rest from the others.
        quotas: ``"error"`` shares the budget out over the classes in proportion to ``class_errors``.
        class_errors: Class → share of its held-out rows that a model gets wrong, in [0, 1], for ``quotas``; None finds it
            out of fold, on the embeddings.
        label_column: Column with the classes; None takes the only ``ClassLabel`` column. ``"clusters"`` takes clusters
            of the embeddings for classes, where no column is called so.
        hardest_cutoff: Share of all rows with a score that is dropped first, from the hardest, in [0, 0.5]; or
            ``"noise"``, which drops the rows whose label looks wrong by their embedding.
        drop_duplicates: Least cosine of embeddings, in (0, 1], at which a row is dropped as duplicate of an earlier one;
            1.0 without an encoder compares the bytes of the images; None drops none.
        num_clusters: Number of clusters for orders that need them and ``label_column="clusters"``; None finds one from
            the rows.
        target: Rows to be like or unlike, for ``order="like"`` and ``order="unlike"``: a data set, which the same encoder
            embeds, by default that of the history; embeddings of shape (t, d); or numbers of rows of ``ds``.
        evidence: A `Recommendation`, for ``order="auto"`` to follow in place of what is recorded.
        encoder: Where embeddings come from, as for `score_with`; its cache is used.
        inputs: Arrays by name in place of those that would be made: ``embeddings``, ``clusters``, ``similarity`` (of each row
            to the nearest target row), ``confidence`` (the score of that name), ``suspects`` (bool), ``duplicate_of`` (for each
            row -1, or the row it repeats).
        image_column: Column with the images; None takes the only ``Image`` column.
        run: How models are opened and run: a `hf_prune.Run`; None takes its defaults.
        seed: Decides ties and random draws.
        return_selection: Also return the `Selection`, which has the rows dropped and the reason for each.
        keep_scores: Whether the score columns stay; None keeps them in a ``Dataset`` and drops them from a
            ``DatasetDict``, since `datasets` cannot push splits with different columns.
        splits: Splits of a ``DatasetDict`` to prune; None is ``"train"``.
        passes: Of a stream: 2 reads all scores first and cuts exactly; 1 cuts while it reads, by the scores of each shard so
            far, and keeps a share within 1 % of ``keep``.
        **options: Options of the order; those of other orders change nothing.

    Returns:
        The kept rows in their original order, with one step more in their history; with ``return_selection`` a pair
        of that and the `Selection` (of a ``DatasetDict``: a dict of them by split).

    Raises:
        ValueError: If a request cannot be met; the message says what can.
        TypeError: If ``keep`` is not a number, or ``ds`` is no data set.

    Example:
        >>> from datasets import Dataset
        >>> ds = Dataset.from_dict({"difficulty": [0.1, 0.9, 0.5, 0.7]})
        >>> prune(ds, "difficulty", keep=0.5, order="hard")["difficulty"][:]
        [0.9, 0.7]

    References:
        Sorscher et al. (2022), arXiv:2206.14486. hardest_cutoff, Zheng et al. (2023), arXiv:2210.15809; quotas,
        Vysogorets et al. (2025), arXiv:2404.05579; `list_orders` names those of the orders.
    """
    if not isinstance(metric, str):
        raise InputError(f"metric={metric!r}; give the name of one score column")
    _check_passes(ds, passes, return_selection)
    # The label column goes with the classes. Rows that cannot be read have no score as a rule; the others are refused.
    run = Run.of(run)
    request = Request(encoder=encoder, inputs=inputs, image_column=image_column, run=run, on_error="skip")
    settings = PruneSettings(
        keep=keep,
        order=order,
        class_balance=class_balance,
        label_column=label_column,
        hardest_cutoff=hardest_cutoff,
        drop_duplicates=drop_duplicates,
        num_clusters=num_clusters,
        target=target,
        quotas=quotas,
        class_errors=class_errors,
        evidence=evidence,
        seed=seed,
        options=options,
        request=request,
    )
    drop_scores = not keep_scores if keep_scores is not None else isinstance(ds, DatasetDict | IterableDatasetDict)
    selections: dict[str, Selection] = {}

    def prune_split(split: Any, name: str) -> Any:
        pruned, selections[name] = _prune_rows(split, metric, settings, passes)
        return without_scores(pruned) if drop_scores else pruned

    # Only what embeds or hashes images is shared among processes: a column is pruned by each that calls this.
    with in_step("prune", run.device) if settings.is_shared else nullcontext():
        pruned = on_splits(ds, splits, prune_split, "prune")
    return (pruned, selections.get("", selections)) if return_selection else pruned  # "" is a ``Dataset``


def _check_passes(ds: Any, passes: int, return_selection: bool) -> None:
    """Raise one line for what a stream does not hold, and for what is for streams alone."""
    check_flag("return_selection", return_selection)
    check_count("passes", passes, 1, 2)
    if not isinstance(ds, IterableDataset | IterableDatasetDict):
        if passes != 2:
            raise InputError(f"passes={passes} is for a stream, which {type(ds).__name__} is not: leave it out")
    elif return_selection:
        raise InputError(
            "return_selection=True gives a reason for every row, which a stream does not hold: leave it out"
        )


def _prune_rows(rows: Any, metric: str, settings: PruneSettings, passes: int) -> tuple[Any, Any]:
    """Return the rows kept of a data set with the selection, or those of a stream."""
    if isinstance(rows, IterableDataset):
        return prune_stream(rows, metric, settings, passes), None
    return prune_dataset(rows, metric, settings)
