"""Several trainings of one network in one folder, all checked before the first begins."""

import contextlib
import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.data.columns import Labels, find_image_column
from hf_prune.data.digests import labels_digest
from hf_prune.data.splits import check_one
from hf_prune.dynamics.content import row_content
from hf_prune.dynamics.files import MODES
from hf_prune.dynamics.record import dataset_name
from hf_prune.dynamics.training_folder import claim, describe_rows, is_finished, place_of, remove_parts
from hf_prune.runtime.arguments import check_count
from hf_prune.runtime.errors import InputError, InputTypeError
from hf_prune.runtime.files import says_when_full
from hf_prune.runtime.folders import owned
from hf_prune.runtime.names import unknown_name
from hf_prune.runtime.processes import (
    apart,
    check_alike,
    in_step,
    is_main_process,
    num_processes,
    process_state,
    together,
)
from hf_prune.runtime.seeds import check_seed, row_uniform
from hf_prune.training.images import TrainingImages, id2label, training_labels

if TYPE_CHECKING:
    import torch

    from hf_prune.training.networks import Trainable

# Arguments of the Trainer that are settled otherwise, and what to do instead.
_SETTLED = {
    "output_dir": "give folder=",
    "num_train_epochs": "give num_epochs=",
    "max_steps": "give num_epochs=",
    "per_device_train_batch_size": "give batch_size=",
    "resume_from_checkpoint": "call again with the same arguments",
    "save_only_model": "leave it out, all checkpoints go when a training is over",
}


@dataclasses.dataclass(frozen=True)
class TrainingRuns:
    """Settings of the trainings in a folder.

    Args:
        kind: ``"teacher"`` or ``"run"``.
        folder: Where they go.
        subset: Share of the rows that each is trained on; None is all.
        options: ``seed`` of the first, ``num_epochs``, ``batch_size``, ``learning_rate`` and ``augment``.
        recording: Options of `hf_prune.watch`.
        columns: ``image_column`` and ``label_column``, or None each.
        arguments: Further arguments of ``transformers.TrainingArguments``.
    """

    kind: str
    folder: Path
    subset: float | None
    options: Mapping[str, Any]
    recording: Mapping[str, Any]
    columns: Mapping[str, Any]
    arguments: Mapping[str, Any]

    def train(
        self,
        ds: Dataset,
        model: Any,
        count: int,
        *,
        test_dataset: Dataset | None,
        processor: Any,
        image_size: int | None,
    ) -> list[Path]:
        """Train what is not trained yet and return the folder of each; the arguments are those of `train_teachers`.

        Raises:
            TypeError: If the data sets or an argument are of no use.
            ValueError: If an argument does not fit, or the folder was begun with other ones.
        """
        from hf_prune.training.networks import open_trainable

        with in_step(self._call):
            self._check(ds, test_dataset, count)
            process_state()
            trainable = open_trainable(model, processor=processor, image_size=image_size)
            column, labels = training_labels(ds, self.columns["label_column"])
            if self.subset is not None:
                draw_subset(len(ds), self.subset, 0)  # raises before anything is written
            begun = self._describe(ds, column, labels, test_dataset, trainable)
            places = [place_of(self.folder, self.kind, number) for number in range(count)]
            self._compare(ds, test_dataset, begun)
            with contextlib.ExitStack() as held:
                # The main process decides: it alone owns the folder.
                missing = together(lambda: self._claim(held, begun, places) if is_main_process() else [])[0]
                if missing:
                    with apart("a training"):
                        self._train(ds, trainable, test_dataset, {number: places[number] for number in missing}, count)
            return places

    @property
    def _call(self) -> str:
        return "train_teachers" if self.kind == "teacher" else "train_subset_runs"

    def _compare(self, ds: Dataset, test_dataset: Dataset | None, begun: Mapping[str, Any]) -> None:
        """Refuse processes that would train on other rows or begin otherwise; the rows are compared by their content."""
        if num_processes() == 1:
            return
        from hf_prune.engine.image_keys import check_rows

        check_alike({"call": self._call} | _by_name(begun))
        for rows in (ds, test_dataset):
            if rows is not None:
                check_rows(rows, find_image_column(rows, self.columns["image_column"]), process_state())
                check_alike({"labels": labels_digest(training_labels(rows, self.columns["label_column"])[1])})

    def _check(self, ds: Any, test_dataset: Any, count: Any) -> None:
        for name, value in ((f"num_{self.kind}s", count), ("num_epochs", self.options["num_epochs"])):
            check_count(name, value, 1)
        if self.recording["mode"] not in MODES:
            raise InputError(f"mode={self.recording['mode']!r}; give one of {', '.join(MODES)}")
        check_seed(self.options["seed"])
        check_seed(self.options["seed"] + count - 1)
        for name, rows in (("ds", ds), ("test_dataset", test_dataset)):
            if rows is not None or name == "ds":
                check_one(rows, f"{name}= of a training")
        self._check_arguments()

    def _check_arguments(self) -> None:
        import transformers

        check_count("batch_size", self.options["batch_size"], 1)
        rate = self.options["learning_rate"]
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < float("inf"):
            raise InputError(f"learning_rate={rate!r}; give a number above 0")
        known = {field.name for field in dataclasses.fields(transformers.TrainingArguments)}
        for name in self.arguments:
            if name in _SETTLED:
                raise InputTypeError(f"{name!r} of TrainingArguments cannot be set here: {_SETTLED[name]}")
            if name not in known:
                raise InputTypeError(unknown_name("training argument", name, known).partition(" Known: ")[0])

    def _describe(
        self, ds: Dataset, column: str, labels: Labels, test_dataset: Dataset | None, trainable: "Trainable"
    ) -> dict[str, Any]:
        """Describe what the trainings start from, as values for JSON."""
        import transformers

        from hf_prune.models.preprocessing import describe
        from hf_prune.training.classifier import own_random_numbers

        tested = None
        if test_dataset is not None:
            test_column, test_labels = training_labels(test_dataset, self.columns["label_column"])
            _check_classes(labels, test_labels)
            tested = describe_rows(test_dataset, self.columns["image_column"], test_column)
        with own_random_numbers():
            transformers.set_seed(self.options["seed"])
            model = trainable.describe(id2label(labels))
        return {
            "dataset": describe_rows(ds, self.columns["image_column"], column),
            "test_dataset": tested,
            "kind": self.kind,
            "model": model,
            "processor": describe(trainable.processor),
            "subset": self.subset,
            **self.options,
            **self.recording,
            **self.columns,
            "training_args": dict(self.arguments),
        }

    def _claim(self, held: contextlib.ExitStack, begun: Mapping[str, Any], places: list[Path]) -> list[int]:
        """Take the folder, write or compare the settings, and return which trainings are missing; in the main process."""
        if all(map(is_finished, places)):  # also while another process trains more of them
            claim(self.folder, begun, num_processes=None)
            with contextlib.suppress(OSError), owned(self.folder):  # else it is in use, or nobody may write there
                self._tidy(places)
            return []
        held.enter_context(owned(self.folder))
        missing = [number for number, place in enumerate(places) if not is_finished(place)]
        claim(self.folder, begun, num_processes=num_processes() if missing else None)
        self._tidy(places)
        return missing

    def _tidy(self, places: list[Path]) -> None:
        """Remove what a kill left half written, or in trainings that are finished."""
        from hf_prune.training.checkpoints import remove_checkpoints

        remove_parts(self.folder)
        for place in filter(is_finished, places):
            remove_checkpoints(place)

    def _train(
        self,
        ds: Dataset,
        trainable: "Trainable",
        test_dataset: Dataset | None,
        missing: Mapping[int, Path],
        count: int,
    ) -> None:
        from hf_prune.dynamics.callback import watch
        from hf_prune.training.classifier import train_classifier

        images = TrainingImages(ds, trainable.processor, **self.columns)
        content = row_content(ds, [find_image_column(ds, self.columns["image_column"])])
        recording = {**self.recording, "dataset": dataset_name(ds), "rows": content}
        if test_dataset is not None:
            recording["test_dataset"] = TrainingImages(test_dataset, trainable.processor, **self.columns)
        for number, place in missing.items():
            seed = self.options["seed"] + number
            # With no checkpoint to go on from, what there is of a record is begun anew.
            record = functools.partial(watch, folder=place / "dynamics", overwrite=True, **recording)
            with says_when_full(place, "the training", "make room and run the same training again to go on"):
                train_classifier(
                    self._rows(images, seed),
                    functools.partial(trainable.build, images.id2label),
                    **{**self.options, **self.arguments, "seed": seed},
                    folder=place,
                    resumable=True,
                    on_trainer=record,
                    desc=f"Training {self.kind} {number + 1} of {count}",
                )

    def _rows(self, images: TrainingImages, seed: int) -> "TrainingImages | torch.utils.data.Subset[dict[str, Any]]":
        return images if self.subset is None else images.subset(draw_subset(len(images), self.subset, seed))


def _by_name(begun: Mapping[str, Any]) -> dict[str, Any]:
    """Return what trainings start from, in the order in which differences are named, with digests for rows."""
    described = {name: begun[name] for name in ("dataset", "test_dataset")}
    rows = {name: rows and {"rows": rows["rows"], "images": rows["images"]} for name, rows in described.items()}
    found: dict[str, Any] = {"rows": repr(rows).encode(), "labels": repr(described).encode()}
    return found | {name: value for name, value in begun.items() if name not in described}


def draw_subset(num_rows: int, subset: float, seed: int) -> NDArray[np.int64]:
    """Draw the rows, ascending, that one run is trained on: a share in (0, 1) of n.

    They are ``round(subset * n)``, all such sets being equally likely.

    Raises:
        ValueError: If that is no row or every row.

    Example:
        >>> len(draw_subset(10, 0.7, seed=0))
        7
    """
    size = round(subset * num_rows) if 0 < subset < 1 else 0
    if not 0 < size < num_rows:
        raise InputError(
            f"subset={subset} of {num_rows} rows; give a share in (0, 1) that takes some rows and not all"
        )
    return np.sort(np.argsort(row_uniform(np.arange(num_rows), seed), kind="stable")[:size])


def _check_classes(labels: Labels, tested: Labels) -> None:
    """Refuse a test set whose class numbers may mean something else."""
    if labels.names != tested.names:
        raise InputError(
            f"test_dataset has the classes {list(tested.names or ())}, the data set {list(labels.names or ())}: "
            "cast its label column to the data set's feature"
        )
