"""Dynamic pruning in any `transformers.Trainer`."""

from typing import Any

import numpy as np
import transformers
from datasets import Dataset
from numpy.typing import ArrayLike, NDArray

from hf_prune.dynamic_pruning.methods import make_plan
from hf_prune.dynamic_pruning.pruned_trainer import DynamicPruningCallback, PrunedTrainer
from hf_prune.dynamic_pruning.report import PruningReport
from hf_prune.dynamics.numbered_rows import check_map_style, subset_rows, whole_dataset
from hf_prune.runtime.errors import InputError, InputTypeError
from hf_prune.runtime.seeds import check_seed
from hf_prune.scoring.scores import read_scores, score_column


def prune_while_training(
    trainer: transformers.Trainer,
    method: str = "rs2",
    *,
    keep: float | int,
    replacement: bool | None = None,
    delta: float | None = None,
    pool: float | int | None = None,
    weights: str | ArrayLike | None = None,
    loss_weights: str | ArrayLike | None = None,
    seed: int | None = None,
) -> PruningReport:
    """Let a Trainer train on another part of its rows in each epoch.

    Call it once, before ``trainer.train()``. The part of an epoch is drawn when it begins, the same in all processes, and
    what the Trainer's own sampler gives is passed on without the rows that are left out; so batches, shards, workers,
    gradient accumulation and grouping by length work as before. The Trainer counts the steps that are made: its
    schedule of the learning rate ends with the last of them. To train for as many steps as with all rows, raise
    ``num_train_epochs``. Checkpoints hold what a resumed training needs to draw the parts that an undisturbed one draws.
    With ``keep=1.0`` losses and weights are those of plain training, to the last bit on a CPU.

    Args:
        trainer: Any Trainer with a training set that has a length. ``"infobatch"``, ``"orderdp"`` and ``loss_weights`` need a
            model that gives logits (B, classes) for integer labels (B,).
        method: ``"rs2"``: a fresh random part in each epoch. ``"infobatch"``: of the rows below the mean loss some are left
            out at random and the others weighed for them, so that the gradient stays unbiased; the first epoch and the
            last ones see all rows. ``"orderdp"``: of a pool drawn uniformly the rows of largest loss. ``"weighted"``: rows
            drawn by weights.
        keep: Rows of a pruned epoch, as a fraction of all rows or as a count, for every method.
        replacement: Of ``"rs2"``: whether each epoch draws from all rows; by default a row comes again when all others have
            been there. No row is twice in an epoch either way.
        delta: Of ``"infobatch"``: share of the epochs, 0.875 by default, after which all see all rows.
        pool: Of ``"orderdp"``: rows of the pool, a fraction or a count; by default the square root of the fraction ``keep``.
        weights: Of ``"weighted"``: a score column of the training set, or one number per row.
        loss_weights: Factors of the losses of the rows, divided by their mean: a score column, or one number per row. With
            any method.
        seed: What the parts are drawn with; None takes ``data_seed``, or else ``seed``, of the Trainer's arguments.

    Returns:
        `PruningReport`: rows and seconds by epoch. They are in ``trainer.state.log_history``, too, and on the card that
        ``trainer.create_model_card()`` and ``push_to_hub()`` write.

    Raises:
        ValueError: If the method is not known or does not take an option, a value is out of range, or the Trainer's data
            have no rows with numbers. ``trainer.train()`` raises before its first step where its loader cannot be pruned
            or a checkpoint is of a training with other arguments; at its first step where rows are weighed and the loss is
            not the mean cross-entropy of the logits.

    Example:
        >>> import tempfile
        >>> config = transformers.ViTConfig(
        ...     hidden_size=8,
        ...     num_hidden_layers=1,
        ...     num_attention_heads=1,
        ...     intermediate_size=8,
        ...     image_size=4,
        ...     patch_size=4,
        ... )
        >>> rows = [{"pixel_values": np.full((3, 4, 4), row, np.float32), "labels": row % 2} for row in range(8)]
        >>> with tempfile.TemporaryDirectory() as place:
        ...     settings = transformers.TrainingArguments(
        ...         place, num_train_epochs=2, report_to="none", use_cpu=True, disable_tqdm=True, logging_strategy="no"
        ...     )
        ...     trainer = transformers.Trainer(
        ...         transformers.ViTForImageClassification(config), settings, train_dataset=rows
        ...     )
        ...     trainer.remove_callback(transformers.trainer_callback.PrinterCallback)
        ...     report = prune_while_training(trainer, "rs2", keep=0.5)
        ...     done = trainer.train()
        ...     [epoch.rows for epoch in report.epochs], report.share_saved
        ([4, 4], 0.5)
    """
    _check_trainer(trainer)
    rows = trainer.train_dataset
    if seed is None:
        seed = trainer.args.seed if trainer.args.data_seed is None else trainer.args.data_seed
    check_seed(seed)
    given = {"replacement": replacement, "delta": delta, "pool": pool}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if weights is not None:
        options["weights"] = _numbers(rows, weights, "weights")
    plan = make_plan(method, keep, len(rows), seed, options)
    if trainer.args.n_gpu > 1 and (method == "infobatch" or loss_weights is not None):
        raise InputError(
            f"this process trains on {trainer.args.n_gpu} GPUs, which hides the loss that rows are weighed by: launch a process "
            "for each with torchrun or accelerate"
        )
    pruned = PrunedTrainer(trainer, plan, None if loss_weights is None else _factors(rows, loss_weights))
    pruned.install()
    return pruned.report


def _check_trainer(trainer: Any) -> None:
    if not isinstance(trainer, transformers.Trainer):
        raise InputTypeError(f"cannot prune {type(trainer).__name__}: give a transformers.Trainer")
    if any(isinstance(callback, DynamicPruningCallback) for callback in trainer.callback_handler.callbacks):
        raise InputError("this Trainer is pruned already: call prune_while_training(trainer) once")
    if trainer.train_dataset is None:
        raise InputError("the Trainer has no train_dataset: there is nothing to prune")
    check_map_style(trainer.train_dataset, "train_dataset")


def _numbers(rows: Any, given: str | ArrayLike, name: str) -> NDArray[np.float64]:
    """Return one number for each row of the training set, of a column or as they were given."""
    if not isinstance(given, str):
        try:
            return np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"{name}= holds what is no number ({error}); give one number per row") from error
    whole, places = whole_dataset(rows), subset_rows(rows)
    if not isinstance(whole, Dataset):
        raise InputError(
            f"{name}={given!r} is a column, the training set {type(whole).__name__} has none: give an array"
        )
    scores = read_scores(whole, score_column(whole, given))
    values: NDArray[np.float64] = np.ma.filled(scores.astype(np.float64), np.nan)
    return values if places is None else values[places]


def _factors(rows: Any, given: str | ArrayLike) -> NDArray[np.float64]:
    values = _numbers(rows, given, "loss_weights")
    if values.shape != (len(rows),) or not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise InputError(
            f"loss_weights= of shape {values.shape} for {len(rows)} rows; give one number per row, finite, not negative and "
            "not all 0"
        )
    return values / values.mean()
