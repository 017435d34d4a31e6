"""Train an image classifier of `transformers` on rows of a data set, with its Trainer and without its side effects.

Nothing is reported anywhere, no unrequested folder appears, and the random numbers of the program around a training are the
same as without it.
"""

import contextlib
import dataclasses
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
import transformers
from datasets.utils import tqdm
from transformers.trainer_callback import PrinterCallback

from hf_prune.dynamics.forward_pass import restored_generators
from hf_prune.dynamics.training_folder import WEIGHTS
from hf_prune.models.sources import quiet_loading
from hf_prune.runtime.errors import InputError, InputTypeError
from hf_prune.runtime.file_locks import Lock
from hf_prune.runtime.files import PART_PREFIX
from hf_prune.runtime.folders import temporary_folder
from hf_prune.runtime.integrity import write_digests
from hf_prune.runtime.processes import barrier, is_main_process, process_state
from hf_prune.training.augmentation import augmented
from hf_prune.training.batch_norm import batch_size_for, correct_momentum
from hf_prune.training.checkpoints import KEEPING, MarkComplete, RestoreWeights, last_checkpoint, remove_checkpoints
from hf_prune.training.images import TrainingImages

ModelSource: TypeAlias = transformers.PretrainedConfig | Callable[[], transformers.PreTrainedModel]


@dataclasses.dataclass(frozen=True)
class TrainedClassifier:
    """Result of `train_classifier`.

    Attributes:
        model: The model in eval mode, on the CPU.
        train_loss: Mean loss over the steps of this call, 0 where there was none left to make.
        num_steps: Steps of the optimiser, those before an interruption included.
        folder: Where model and image processor were saved, or None.
    """

    model: transformers.PreTrainedModel
    train_loss: float
    num_steps: int
    folder: Path | None


def train_classifier(
    images: "TrainingImages | torch.utils.data.Subset[dict[str, Any]]",
    model: ModelSource,
    *,
    num_epochs: float,
    seed: int,
    folder: str | Path | None = None,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    augment: bool = False,
    resumable: bool = False,
    on_trainer: Callable[[transformers.Trainer], Any] | None = None,
    callbacks: Sequence[transformers.TrainerCallback] = (),
    desc: str = "Training",
    **arguments: Any,
) -> TrainedClassifier:
    """Train one classifier from its first weights.

    Args:
        images: What to train on: all of a `TrainingImages`, or a ``subset`` of it.
        model: A config of an image classifier, whose classes are set to those of the images, or a function that
            builds the model and is called after the seed is set.
        num_epochs: Passes over the images; a fraction stops within a pass.
        seed: Decides first weights, order of the images and dropout.
        folder: Where model and image processor are saved as ``save_pretrained`` does; None saves nothing.
        batch_size: Images per step and process at most: a network with batch norm gets a few less where the last step of a
            pass would have less than half as many.
        learning_rate: Of AdamW; constant unless ``lr_scheduler_type`` says otherwise, so that few epochs are the
            beginning of a longer training and not a short one.
        augment: Whether to shift and mirror the images at random while training, see `hf_prune.training.augmentation`.
        resumable: Whether to keep checkpoints of the last two epochs in ``folder`` until the training is over, and to go on
            from those that an interrupted call with the same arguments left there. The result is the same.
        on_trainer: Called with the Trainer before it trains, such as to `hf_prune.watch` it.
        callbacks: Further callbacks of the Trainer.
        desc: Label of the progress bar, which ``datasets.disable_progress_bars()`` switches off.
        **arguments: Further arguments of ``transformers.TrainingArguments``.

    Returns:
        `TrainedClassifier`. On one machine the same seed gives the same weights.

    Raises:
        ValueError: If ``num_epochs`` is not positive, or a training that cannot be resumed is to be resumable.

    Example:
        >>> import PIL.Image
        >>> from datasets import ClassLabel, Dataset, Features, Image
        >>> rows = {"image": [PIL.Image.new("L", (8, 8), 200), PIL.Image.new("L", (8, 8))], "label": [0, 1]}
        >>> ds = Dataset.from_dict(rows, features=Features({"image": Image(), "label": ClassLabel(num_classes=2)}))
        >>> images = TrainingImages(ds, transformers.ViTImageProcessorPil(size={"height": 8, "width": 8}))
        >>> config = transformers.ResNetConfig(embedding_size=4, hidden_sizes=[4], depths=[1], layer_type="basic")
        >>> train_classifier(images, config, num_epochs=3, seed=0).num_steps
        3
    """
    if not num_epochs > 0:
        raise InputError(f"num_epochs={num_epochs}; give a positive number")
    if resumable and (folder is None or num_epochs != int(num_epochs) or "max_steps" in arguments):
        raise InputError("resumable=True needs folder= to keep checkpoints in, and whole epochs, not max_steps")
    whole = images.dataset if isinstance(images, torch.utils.data.Subset) else images
    if not isinstance(whole, TrainingImages):
        raise InputTypeError(
            f"cannot train on {type(whole).__name__}: give TrainingImages(ds, processor) or a subset of it"
        )
    process_state()  # the Trainer joins these processes instead of starting over
    working_folder = temporary_folder() if folder is None else contextlib.nullcontext(Path(folder))
    with own_random_numbers(), working_folder as place, contextlib.ExitStack() as around:
        transformers.set_seed(seed)
        arguments = {**(KEEPING if resumable else {}), **arguments}
        network = _build(model, whole)
        batch_size = batch_size_for(network, batch_size, len(images))
        trainer = transformers.Trainer(
            model=network,
            args=_arguments(place, num_epochs, seed, batch_size, learning_rate, arguments),
            train_dataset=images,
            data_collator=transformers.default_data_collator,
            callbacks=[_Bar(desc), *callbacks],
        )
        trainer.remove_callback(PrinterCallback)  # it prints to standard output
        if on_trainer is not None:
            on_trainer(trainer)
        if augment:
            around.enter_context(augmented(trainer.model))
        checkpoint = None
        if resumable:
            around.enter_context(quiet_loading())  # a bar of its own for every checkpoint
            checkpoint = _make_resumable(trainer, place)
        outcome = trainer.train(resume_from_checkpoint=checkpoint)
    trained = trainer.model.cpu().eval()
    if folder is not None:
        _finish(trained, whole.processor, Path(folder), resumable)
    return TrainedClassifier(
        trained, float(outcome.training_loss), int(outcome.global_step), None if folder is None else Path(folder)
    )


def _make_resumable(trainer: Any, place: Path) -> Path | None:
    """Let a training keep checkpoints that can be gone on from, and find the one to go on from."""
    checkpoint = last_checkpoint(place)
    if checkpoint is not None:
        trainer.add_callback(RestoreWeights(checkpoint))
    trainer.add_callback(MarkComplete())  # the last, since others may add to a checkpoint
    return checkpoint


class _Bar(transformers.TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """A bar of `datasets`, as for all long work here; the Trainer's own ignores how those are switched off."""

    def __init__(self, desc: str) -> None:
        self._desc = desc

    def on_train_begin(self, *given: Any, **_: Any) -> None:
        state = given[1]
        self._bar = tqdm(total=state.max_steps, desc=self._desc, unit="step", disable=not state.is_world_process_zero)

    def on_step_end(self, *given: Any, **_: Any) -> None:
        self._bar.update(given[1].global_step - self._bar.n)

    def on_train_end(self, *_given: Any, **_: Any) -> None:
        self._bar.close()


def _arguments(
    place: Path, num_epochs: float, seed: int, batch_size: int, learning_rate: float, others: dict[str, Any]
) -> transformers.TrainingArguments:
    chosen: dict[str, Any] = {
        "output_dir": str(place),
        "num_train_epochs": num_epochs,
        "seed": seed,
        "per_device_train_batch_size": batch_size,
        "per_device_eval_batch_size": max(batch_size, 256),
        "learning_rate": learning_rate,
        "lr_scheduler_type": "constant",
        "report_to": "none",
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": process_state().device.type == "cpu",  # the Trainer would take a GPU that the processes do not
        "remove_unused_columns": False,  # there are no columns; the rows are made by TrainingImages
        "dataloader_pin_memory": torch.cuda.is_available(),
        # Else TrainingArguments would reset the state that the engine uses, and with it a running process group.
        "accelerator_config": {"use_configured_state": True},
    }
    settings = transformers.TrainingArguments(**{**chosen, **others})
    if settings.n_gpu > 1:
        settings._n_gpu = 1  # else DataParallel would multiply the batch size by the number of GPUs
    return settings


def _build(model: ModelSource, images: TrainingImages) -> transformers.PreTrainedModel:
    if isinstance(model, transformers.PretrainedConfig):
        config = type(model).from_dict(model.to_dict())  # the caller's stays as it is
        config.id2label, config.label2id = images.id2label, {name: number for number, name in images.id2label.items()}
        built: transformers.PreTrainedModel = transformers.AutoModelForImageClassification.from_config(config)
    else:
        built = model()
    correct_momentum(built)
    return built


def _finish(model: transformers.PreTrainedModel, processor: Any, folder: Path, remove: bool) -> None:
    """Save the model with the digests of its files; its weights get their name last: a folder with weights is complete."""
    if is_main_process():
        part = folder / f"{PART_PREFIX}{uuid.uuid4().hex}"
        part.mkdir(parents=True)
        with Lock(part), quiet_loading():
            model.save_pretrained(part)
            processor.save_pretrained(part)
            write_digests(part)
            for file in sorted(part.iterdir(), key=lambda file: file.name in WEIGHTS):
                file.replace(folder / file.name)
            part.rmdir()
        if remove:
            remove_checkpoints(folder)
    barrier()


@contextlib.contextmanager
def own_random_numbers() -> Iterator[None]:
    """Put the global generators of Python, NumPy and torch back afterwards: the Trainer seeds and draws from all.

    cuDNN is held to kernels that repeat themselves meanwhile: else one seed gives other weights every time.
    """
    cudnn = torch.backends.cudnn
    repeatable = cudnn.flags(enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=cudnn.allow_tf32)
    with restored_generators(range(torch.cuda.device_count())), repeatable:
        yield
