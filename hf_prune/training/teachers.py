"""Teachers and subset runs: one network trained several times, in one folder that a kill does not spoil."""

import dataclasses
from pathlib import Path
from typing import Any

from datasets import Dataset

from hf_prune.dynamics.record import TrainingRecord
from hf_prune.dynamics.training_folder import finished
from hf_prune.training.runs import TrainingRuns


@dataclasses.dataclass(frozen=True)
class Teachers:
    """Finished trainings in one folder.

    Attributes:
        folder: The folder.
        folders: Folder of each, in the order of their seeds, usable as ``teachers=``.
    """

    folder: Path
    folders: list[str]

    @property
    def records(self) -> list[TrainingRecord]:
        """The record of each training, usable as ``dynamics=``."""
        return [TrainingRecord.load(Path(place) / "dynamics") for place in self.folders]

    @classmethod
    def load(cls, folder: str | Path) -> "Teachers":
        """Open those that are finished, also while later ones are being trained.

        Raises:
            FileNotFoundError: If the folder was not made by `train_teachers` or `train_subset_runs`.
        """
        return cls(Path(folder), [str(place) for place in finished(Path(folder))])


def train_teachers(
    ds: Dataset,
    model: Any,
    *,
    num_teachers: int,
    num_epochs: int,
    folder: str | Path,
    seed: int = 0,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    image_size: int | None = None,
    processor: Any = None,
    label_column: str | None = None,
    image_column: str | None = None,
    mode: str = "online",
    epoch_probs: bool = False,
    test_dataset: Dataset | None = None,
    augment: bool = False,
    **training_args: Any,
) -> Teachers:
    """Train a classifier several times from different seeds, with a record of what each training did to each row.

    Each teacher is a folder of `transformers` that ``teachers=`` takes as soon as it is there. A call that was
    interrupted, at whatever moment, is taken up by the same call: finished teachers are kept, the unfinished one goes on
    from its last whole epoch, and the weights are those of an undisturbed call. More teachers are added by a larger
    ``num_teachers``.

    Args:
        ds: Images with labels, n rows.
        model: A name such as ``"resnet8"`` or ``"resnet20"`` (``hf_prune.models.small_resnet.NETWORKS``), a config of
            `transformers`, or a function that builds a new model for each training; a Hub id or the folder of a
            checkpoint is trained on from there.
        num_teachers: How many.
        num_epochs: Whole passes over the rows.
        folder: Where they go: ``teacher-00`` and so on.
        seed: Of the first; the others have the numbers after it. Decides first weights, order of the rows, dropout and
            augmentation.
        batch_size: Images per step and process at most: a network with batch norm gets a few less where the last step of a
            pass would have less than half as many.
        learning_rate: Of AdamW; constant unless ``lr_scheduler_type`` says otherwise.
        image_size: Side in pixels of the square that reaches the model; None takes the model's (``"resnet8"``: 32).
        processor: An image processor of `transformers`; None takes the model's own, or plain resizing to [-1, 1].
        label_column: Column with the classes; None takes the only ``ClassLabel`` column.
        image_column: Column with the images; None takes the only ``Image`` column.
        mode: When the record is taken, see `hf_prune.watch`: ``"online"``, ``"epoch"`` or ``"end"``.
        epoch_probs: Whether to record all class probabilities of each epoch.
        test_dataset: Images with the same classes, m rows, of which is recorded which are right after each epoch.
        augment: Whether to shift the images by up to an eighth of the side and mirror half of them while training.
        **training_args: Further arguments of ``transformers.TrainingArguments``.

    Returns:
        `Teachers` with all ``num_teachers``.

    Raises:
        OSError: If a checkpoint to start from cannot be opened, or another process trains in the folder.
        TypeError: If the model or an argument is of no use here.
        ValueError: If an argument does not fit the data, or the folder was begun with other settings or another data
            set, which are named.

    Example:
        >>> import tempfile, PIL.Image
        >>> from datasets import ClassLabel, Features, Image
        >>> rows = {"image": [PIL.Image.new("L", (8, 8), 200), PIL.Image.new("L", (8, 8))], "label": [0, 1]}
        >>> ds = Dataset.from_dict(rows, features=Features({"image": Image(), "label": ClassLabel(num_classes=2)}))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     teachers = train_teachers(
        ...         ds, "resnet8-half", num_teachers=2, num_epochs=3, folder=folder, image_size=8
        ...     )
        ...     len(teachers.folders), teachers.records[0].read("correct").shape
        (2, (3, 2))
    """
    recording = {"mode": mode, "epoch_probs": epoch_probs}
    options: dict[str, Any] = {"seed": seed, "num_epochs": num_epochs, "batch_size": batch_size}
    options |= {"learning_rate": learning_rate, "augment": augment}
    columns = {"image_column": image_column, "label_column": label_column}
    runs = TrainingRuns("teacher", Path(folder), None, options, recording, columns, training_args)
    places = runs.train(ds, model, num_teachers, test_dataset=test_dataset, processor=processor, image_size=image_size)
    return Teachers(Path(folder), [str(place) for place in places])


def train_subset_runs(
    ds: Dataset,
    model: Any,
    *,
    num_runs: int,
    num_epochs: int,
    folder: str | Path,
    subset: float = 0.7,
    seed: int = 0,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    image_size: int | None = None,
    processor: Any = None,
    label_column: str | None = None,
    image_column: str | None = None,
    test_dataset: Dataset | None = None,
    augment: bool = False,
    **training_args: Any,
) -> Teachers:
    """Train a classifier many times, each time on other rows, and record which of all rows it gets right at the end.

    The runs behind memorization and influence: each draws its rows without regard to class, and its record holds the
    hits on all n rows, which of them it was trained on, and the hits on a test set. Otherwise as `train_teachers`, which
    says what an interrupted call leaves and how it is taken up.

    Args:
        ds: Images with labels, n rows.
        model: As in `train_teachers`.
        num_runs: How many.
        num_epochs: Whole passes over the rows of the run.
        folder: Where they go: ``run-00`` and so on.
        subset: Share of the rows that each run is trained on, in (0, 1); exactly ``round(subset * n)`` rows.
        seed: Of the first run; the others have the numbers after it. Decides the rows too.
        batch_size: Images per step and process at most: a network with batch norm gets a few less where the last step of a
            pass would have less than half as many.
        learning_rate: Of AdamW; constant unless ``lr_scheduler_type`` says otherwise.
        image_size: Side in pixels of the square that reaches the model; None takes the model's (``"resnet8"``: 32).
        processor: An image processor of `transformers`; None takes the model's own, or plain resizing to [-1, 1].
        label_column: Column with the classes; None takes the only ``ClassLabel`` column.
        image_column: Column with the images; None takes the only ``Image`` column.
        test_dataset: Images with the same classes, m rows, for `influence_max` and `influence_sum_abs`.
        augment: Whether to shift and mirror the images while training.
        **training_args: Further arguments of ``transformers.TrainingArguments``.

    Returns:
        `Teachers` with all ``num_runs``; ``.records`` is what ``dynamics=`` takes.

    Raises:
        OSError: If a checkpoint to start from cannot be opened, or another process trains in the folder.
        TypeError: If the model or an argument is of no use here.
        ValueError: As `train_teachers`, or if ``subset`` leaves no row or takes all.

    References:
        Feldman and Zhang, What Neural Networks Memorize and Why (arXiv:2008.03703): 70 % of the rows.
    """
    recording: dict[str, Any] = {"mode": "end", "epoch_probs": False}
    options: dict[str, Any] = {"seed": seed, "num_epochs": num_epochs, "batch_size": batch_size}
    options |= {"learning_rate": learning_rate, "augment": augment}
    columns = {"image_column": image_column, "label_column": label_column}
    runs = TrainingRuns("run", Path(folder), subset, options, recording, columns, training_args)
    places = runs.train(ds, model, num_runs, test_dataset=test_dataset, processor=processor, image_size=image_size)
    return Teachers(Path(folder), [str(place) for place in places])
