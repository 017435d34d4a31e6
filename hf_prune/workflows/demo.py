"""The demo: score photographs, cut them by several rules, train students on what is left, export and show the best cut."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from datasets.utils import tqdm
from numpy.typing import NDArray

from hf_prune.api import prune, score_with
from hf_prune.data.columns import read_labels
from hf_prune.hub.publish.export import export
from hf_prune.policy.gathering import recorded_evidence
from hf_prune.policy.recommendation import recommendation
from hf_prune.policy.rules import Rule
from hf_prune.pruning import comparison
from hf_prune.pruning.comparison import Result
from hf_prune.pruning.plots import accuracy_figure
from hf_prune.reports.report import report
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.folders import owned
from hf_prune.runtime.processes import process_state
from hf_prune.scoring import Request, Run
from hf_prune.scoring.from_models import embed
from hf_prune.scoring.plots import extremes_figure
from hf_prune.selection import count_rows
from hf_prune.workflows.demo_data import DemoData, open_data

METRICS = ("prototypes", "el2n")
AUTO_METRIC = METRICS[-1]  # the one that rules are weighed for


@dataclass
class DemoResult:
    """Results of the demo.

    Attributes:
        scored: The training rows with their score columns.
        results: One entry per training of a student; empty without labels.
        exported: The folder with the pruned data set.
        report: The page that shows that cut.
        files: The table and the pictures that were written.
    """

    scored: Dataset
    results: list[Result] = field(default_factory=list)
    exported: Path = Path()
    report: Path = Path()
    files: list[Path] = field(default_factory=list)


def run_demo(
    *,
    dataset: str | None = None,
    encoder: str = "tiny",
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
    """Score images, cut them by several rules and at random, compare students trained on each, export and show the best cut.

    Scores are distances to prototypes and, by small heads on the embeddings, EL2N. Rules are weighed on the training rows as
    ``order="auto"`` weighs them; then all are compared on test rows that neither scores nor rules have seen. Without classes
    there is nothing to compare: then the images are scored by prototypes alone, and the hard end is exported.

    Args:
        dataset: A file, a folder or an id of the Hub; None is 800 photographs of clothes within the package, with 372 to test.
        encoder: Where embeddings come from: a model id of the Hub, a local folder, ``"tiny"`` or ``"pixels"``.
        keeps: Fractions to keep.
        out: Folder for everything the demo writes.
        image_column: Column with the images; None takes the only ``Image`` column.
        label_column: Column with the classes; None takes the only ``ClassLabel`` column.
        image_size: Side in pixels that reaches the encoder; None leaves it to the encoder.
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
    run = Run(image_size=image_size, cache_dir=cache_dir)
    demo = _Demo(data, encoder, run, seed, Path(out), log)
    with owned(out) as own:
        result = demo.score()
        if data.test is not None:
            result.results = demo.compare(result.scored, keeps, num_draws)
        kept, result.exported = demo.export(result, max(keeps))
        stage = own.stage()
        result.files += demo.draw(result, stage)
        result.report = demo.show(result, kept, stage)
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
        """Score by prototypes and, where there are classes, by EL2N, whose rules are weighed."""
        data = self.data
        self.log(
            f"Data: {data.origin}; {len(data.train):,} rows"
            + (f", {len(data.test):,} to test on" if data.test else "")
        )
        options: dict[str, Any] = {"image_column": data.image_column, "seed": self.seed, "overwrite": True}
        options |= {"encoder": self.encoder, "run": self.run}
        scored = score_with(data.train, METRICS[0], evidence=False, **options)
        if data.label_column is None:
            self.log(
                "No classes, so prototypes alone and no students: name a column with --label-column, "
                f"if one of {data.train.column_names} holds them"
            )
            return DemoResult(scored)
        return DemoResult(score_with(scored, AUTO_METRIC, teachers="heads", label_column=data.label_column, **options))

    def advise(self, scored: Dataset, keeps: Sequence[float]) -> dict[tuple[str, float], Rule]:
        """Return the rules that ``order="auto"`` follows by the evidence, and print why; none without evidence."""
        evidence = recorded_evidence(scored, AUTO_METRIC)
        if evidence is None:
            self.log("Too few rows to weigh rules on, so there is no line of auto.")
            return {}
        self.log('\nWhat order="auto" follows, weighed on the training rows:')
        rules = {}
        for keep in sorted(keeps):
            if keep < 1 and evidence.nearest(keep) is not None:
                advice = recommendation(evidence, keep, 0.0, 0.0)
                rules[AUTO_METRIC, keep] = Rule(advice.order, advice.hardest_cutoff)
                self.log(f"  {advice.sentence}")
        return rules

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
            auto=self.advise(scored, keeps),
            rs2=True,
            num_draws=num_draws,
            seed=self.seed,
        )
        self.log(
            f"\nAccuracy in % on {len(data.test):,} test rows of students trained on the rows kept: mean ± standard\n"
            f"deviation of {num_draws} trainings (random: as many draws of rows)\n\n{comparison.table(results)}\n"
        )
        lines = [*comparison.verdict(results), "Intervals are of 90 % and count test rows and trainings."]
        self.log("\n".join(lines) + "\n")
        return results

    def embed(self, ds: Dataset) -> NDArray[np.float32]:
        """Embed the rows by the encoder of the prototypes, (n, d)."""
        return embed(ds, Request(encoder=self.encoder, image_column=self.data.image_column, run=self.run)).values

    def export(self, result: DemoResult, keep: float) -> tuple[Dataset, Path]:
        """Export the cut that the table calls best, without students the hard end of prototypes; return it with its folder."""
        scored, order, metric, why = result.scored, "hard", METRICS[0], "no students compared any"
        if result.results:
            best = comparison.best_cut(result.results)
            metric, order, keep = best.metric, best.order, best.keep
            why = "best in the table above, which saw the test rows"
        if metric == comparison.RANDOM:
            metric = AUTO_METRIC
        pruned = prune(scored, metric, keep=keep, order=order, label_column=self.data.label_column, seed=self.seed)
        folder = self.out / f"{self.data.name}-{metric}-{order}-{100 * keep:g}"
        export(pruned, folder, source=self.data.source, scores=scored, split="train")
        self.log(
            f"Exported {len(pruned):,} of {len(scored):,} rows, {metric} {order} at {keep:.0%} ({why}):\n"
            f"  {folder}  card: {folder / 'README.md'}\n"
            f'  open it: load_dataset({str(folder)!r}, split="train")'
        )
        return pruned, folder

    def show(self, result: DemoResult, kept: Dataset, folder: Path) -> Path:
        """Write the report of the cut to a folder; return the path that it will have."""
        name = "report.html"
        report(
            result.scored,
            kept,
            path=folder / name,
            image_column=self.data.image_column,
            label_column=self.data.label_column,
            run=self.run,
        )
        self.log(f"Look at it: {self.out / name}")
        return self.out / name

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
