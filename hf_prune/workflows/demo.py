"""The demo: score real images, prune them three ways, train students on what is left, export and draw the result."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from datasets.utils import tqdm
from numpy.typing import NDArray

from hf_prune.api import prune, score_with
from hf_prune.data.columns import read_labels
from hf_prune.dynamics.training_folder import remove_parts
from hf_prune.hub.publish.export import export
from hf_prune.pruning import comparison
from hf_prune.pruning.comparison import Result
from hf_prune.pruning.plots import accuracy_figure
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.folders import owned
from hf_prune.runtime.processes import process_state
from hf_prune.scoring import Request, Run
from hf_prune.scoring.from_models import embed
from hf_prune.scoring.plots import extremes_figure
from hf_prune.selection import count_rows
from hf_prune.workflows.demo_data import DemoData, open_data

# EL2N is read off early in training: a teacher makes one pass at a constant learning rate, more on few rows, less on
# many. After it the digits' teachers are right on some 95 % of the rows they saw; after six passes on all of them.
NUM_TEACHERS = 4
TEACHER_EPOCHS, TEACHER_ROWS_SEEN = 1, (1_000, 64_000)
TEACHER_BATCH_SIZE = 32
TEACHER_IMAGE_SIZE = 32  # but twice the size of images that are known to be small: the network halves it twice at once
TEACHER_NETWORK = {"embedding_size": 16, "hidden_sizes": [32, 64], "depths": [1, 1], "layer_type": "basic"}
METRICS = ("prototypes", "el2n")
TEACHERS = "teachers"
ORDER = "hard"  # of the cut that is exported: mild pruning of plentiful data, where the paper keeps the hard rows


@dataclass
class DemoResult:
    """Results of the demo.

    Attributes:
        scored: The training rows with their score columns.
        results: One entry per training of a student; empty without labels.
        exported: The folder with the pruned data set.
        teachers: Folders of the teachers.
        files: The table and the pictures that were written.
    """

    scored: Dataset
    results: list[Result] = field(default_factory=list)
    exported: Path = Path()
    teachers: list[Path] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)


def run_demo(
    *,
    dataset: str | None = None,
    encoder: str = "pixels",
    keeps: Sequence[float] = (0.2, 0.5, 0.8),
    out: str | Path = "demo",
    image_column: str | None = None,
    label_column: str | None = None,
    image_size: int | None = None,
    num_draws: int = 5,
    seed: int = 0,
    cache_dir: str | Path | None = None,
    log: Callable[[str], None] = tqdm.write,
) -> DemoResult:
    """Score images, prune them by two scores and at random, compare the students trained on each, and export one cut.

    Without classes there is nothing to compare: then the images are scored by prototypes alone, and
    pruned and exported.

    Args:
        dataset: A file, a folder or an id of the Hub; None is scikit-learn's digits.
        encoder: Where embeddings come from: a model id of the Hub, a local folder, ``"tiny"`` or ``"pixels"``.
        keeps: Fractions to keep.
        out: Folder for everything the demo writes.
        image_column: Column with the images; None takes the only ``Image`` column.
        label_column: Column with the classes; None takes the only ``ClassLabel`` column.
        image_size: Side in pixels that reaches the encoder; None leaves it to the encoder, for the digits it is 8.
        num_draws: Students per cut, and draws of random rows; at least 2.
        seed: First of all seeds.
        cache_dir: Folder of the cache; None is ``$HF_HOME/hf_prune``.
        log: Receives what the demo prints, piece by piece.

    Returns:
        `DemoResult`.

    Raises:
        ValueError: If the data or an argument does not fit; the message says what would.
        OSError: If something cannot be opened or written, or another process writes to ``out``.
    """
    started = time.monotonic()
    if num_draws < 2:
        raise InputError(f"num_draws={num_draws} shows no spread; give 2 or more")
    if not keeps:
        raise InputError("no fraction to keep; give one or several in (0, 1]")
    if process_state().num_processes > 1:
        raise InputError("the demo runs in one process: start it without a launcher")
    data = open_data(dataset, image_column, label_column, seed)
    for keep in keeps:
        count_rows(keep, len(data.train))
    if image_size is None and encoder == "pixels":
        image_size = data.image_size
    run = Run(image_size=image_size, cache_dir=cache_dir)
    demo = _Demo(data, encoder, run, seed, Path(out), log)
    with owned(out) as own:
        remove_parts(demo.out / TEACHERS)
        result = demo.score()
        if data.test is not None:
            result.results = demo.compare(result.scored, keeps, num_draws)
        result.exported = demo.export(result.scored, max(keeps))
        result.files += demo.draw(result, own.stage())
        own.commit()
    log(f"Done in {time.monotonic() - started:.0f} s.")
    return result


@dataclass(frozen=True)
class _Demo:
    """The steps of the demo on one data set."""

    data: DemoData
    encoder: str
    run: Run
    seed: int
    out: Path
    log: Callable[[str], None]

    def score(self) -> DemoResult:
        """Score by prototypes and, where there are classes, by EL2N."""
        data = self.data
        self.log(
            f"Data: {data.origin}; {len(data.train):,} rows"
            + (f", {len(data.test):,} to test on" if data.test else "")
        )
        options: dict[str, Any] = {"image_column": data.image_column, "seed": self.seed}
        options["evidence"] = False  # the students below compare the rules, every one of them
        scored = score_with(data.train, "prototypes", encoder=self.encoder, run=self.run, overwrite=True, **options)
        if data.label_column is None:
            self.log(
                "No classes, so prototypes alone and no students: name a column with --label-column, "
                f"if one of {data.train.column_names} holds them"
            )
            return DemoResult(scored)
        from hf_prune.runtime.threads import one_thread

        with one_thread():
            teachers = self.train_teachers()
            folders = [str(folder) for folder in teachers]
            scored = score_with(
                scored,
                "el2n",
                teachers=folders,
                label_column=data.label_column,
                run=replace(self.run, image_size=None),
                overwrite=True,
                **options,
            )
        return DemoResult(scored, teachers=teachers)

    def train_teachers(self) -> list[Path]:
        """Train small ResNets from different seeds for a short time and save each as a folder of transformers."""
        import transformers

        from hf_prune.training.classifier import train_classifier
        from hf_prune.training.images import TrainingImages

        size = TEACHER_IMAGE_SIZE if self.data.image_size is None else 2 * self.data.image_size
        images = TrainingImages(
            self.data.train,
            transformers.ViTImageProcessorPil(size={"height": size, "width": size}),
            image_column=self.data.image_column,
            label_column=self.data.label_column,
        )
        epochs = float(np.clip(TEACHER_EPOCHS * len(images), *TEACHER_ROWS_SEEN)) / len(images)
        folders = []
        for number in range(NUM_TEACHERS):
            folder = self.out / TEACHERS / f"seed-{self.seed + number}"
            train_classifier(
                images,
                transformers.ResNetConfig(**TEACHER_NETWORK),
                num_epochs=epochs,
                seed=self.seed + number,
                folder=folder,
                batch_size=TEACHER_BATCH_SIZE,
                learning_rate=3e-3,
                desc=f"Training teacher {number + 1} of {NUM_TEACHERS}",
            )
            folders.append(folder)
        self.log(
            f"Teachers: {NUM_TEACHERS} small ResNets, {epochs:.2g} epoch{'' if epochs == 1 else 's'} each, in {self.out / TEACHERS}"
        )
        return folders

    def compare(self, scored: Dataset, keeps: Sequence[float], num_draws: int) -> list[Result]:
        """Train students on every cut; print their accuracies and what these show."""
        data = self.data
        assert data.test is not None
        assert data.label_column is not None
        results = comparison.compare(
            scored,
            METRICS,
            keeps,
            self.embed(data.train),
            self.embed(data.test),
            read_labels(data.test, data.label_column).codes,
            label_column=data.label_column,
            rs2=True,
            num_draws=num_draws,
            seed=self.seed,
        )
        self.log(
            f"\nAccuracy in % on {len(data.test):,} test rows of students trained on the rows kept: mean ± standard\n"
            f"deviation of {num_draws} trainings (random: as many draws of rows)\n\n{comparison.table(results)}\n"
        )
        self.log("\n".join(comparison.verdict(results)) + "\n")
        return results

    def embed(self, ds: Dataset) -> NDArray[np.float32]:
        """Embed the rows by the encoder of the prototypes, (n, d)."""
        return embed(ds, Request(encoder=self.encoder, image_column=self.data.image_column, run=self.run)).values

    def export(self, scored: Dataset, keep: float) -> Path:
        """Export one cut, chosen beforehand and not by its accuracy on the test rows."""
        metric = METRICS[-1] if METRICS[-1] in scored.column_names else METRICS[0]
        pruned = prune(scored, metric, keep=keep, order=ORDER, label_column=self.data.label_column, seed=self.seed)
        folder = self.out / f"{self.data.name}-{metric}-{ORDER}-{100 * keep:g}"
        export(pruned, folder, source=self.data.source, scores=scored, split="train")
        self.log(
            f"Exported {len(pruned):,} of {len(scored):,} rows, the {ORDER} end of {metric} at {keep:.0%} (fixed before "
            f"any student was trained):\n"
            f"  {folder}  card: {folder / 'README.md'}\n"
            f'  open it: load_dataset({str(folder)!r}, split="train")'
        )
        return folder

    def draw(self, result: DemoResult, folder: Path) -> list[Path]:
        """Write results and, where matplotlib is installed, pictures to a folder; return the paths they will have."""
        names = []
        if result.results:
            names.append("results.csv")
            comparison.write_results(result.results, folder / names[0])
        columns = [metric for metric in METRICS if metric in result.scored.column_names]
        options = {"image_column": self.data.image_column, "label_column": self.data.label_column}
        pictures: dict[str, Any] = {}
        try:
            if result.results:
                pictures["accuracy.png"] = accuracy_figure(result.results)
            pictures["extremes.png"] = extremes_figure(result.scored, columns, **options)
        except ImportError as error:
            self.log(f"No pictures: {error}")
            pictures = {}
        for name, figure in pictures.items():
            names.append(name)
            figure.savefig(folder / name, dpi=150, bbox_inches="tight")
        files = [self.out / name for name in names]
        self.log("Written: " + ", ".join(map(str, files)) if files else "")
        return files
