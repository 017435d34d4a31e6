"""What the committed tables of the recipes hold, read as one: arms, and the figures of their trainings by seed."""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

RECIPES = Path(__file__).resolve().parents[1]
GRID = "benchmark-cifar10/results.csv"
LONGER = {
    number: f"benchmark-cifar10/passes-{number}.csv" for number in (15, 30, 60)
}  # passes of the students → table
SCALING = "scaling-cifar10/results.csv"
FINETUNE = "finetune/results.csv"
LAST_BATCH = "benchmark-cifar10/last_batch.csv"
LESS = "benchmarks/train_on_less.csv"
LABEL_FREE = "benchmarks/label_free.csv"
FLOORS, PROBE, NUMBERS = "paper/floors.csv", "paper/probe.csv", "paper/num_prototypes.csv"
LEARNABLE, SHIFTED, TRANSFER = "paper/learnable.csv", "paper/shifted.csv", "paper/transfer.csv"
NONE, FULL, RANDOM, RS2, HARD, EASY, AUTO = "none", "full", "random", "rs2", "hard", "easy", "auto"
AUTO_UNASKED = "auto without evidence"
EPOCHS, ITERATIONS = "epochs", "iterations"
# Columns that tell arms of one experiment apart → how they are named.
SETTINGS = {
    "class_floor": "floor {}",
    "epochs": "{} epochs",
    "num_prototypes": "{} prototypes",
    "noise": "{} of the labels redrawn",
    "corruption": "{}",
}
FIGURES = ("accuracy", "worst_class", "least_share", "images_seen", "train_cpu_s", "score_cpu_s")


class Arm(NamedTuple):
    """What was trained, but for the seed.

    Attributes:
        source: File below ``recipes``.
        data: Name of the data set.
        rows: Training rows before anything is left out.
        student: What was trained.
        table: ``"epochs"`` where what is kept is passed as often as all rows, ``"iterations"`` where for as many steps.
        metric: Score that the rule goes by, or ``"none"``.
        rule: An order, a method that changes the rows with the epochs, or ``"full"``.
        keep: Share of the rows that is kept.
        setting: What else was varied, or nothing.
    """

    source: str
    data: str
    rows: int
    student: str
    table: str
    metric: str
    rule: str
    keep: float
    setting: str = ""

    @property
    def name(self) -> str:
        """Metric and rule, with the setting."""
        name = self.rule if self.metric == NONE else f"{self.metric} {self.rule}"
        return f"{name}, {self.setting}" if self.setting else name


Runs = dict[Arm, dict[int, dict[str, float]]]  # arm → seed → figure → value


def read_all(recipes: Path = RECIPES) -> Runs:
    """Read every table that is there."""
    readers = {
        SCALING: _scaling,
        FINETUNE: _finetune,
        LESS: _less,
        LABEL_FREE: _label_free,
    }
    runs: Runs = {}
    for source in (GRID, *LONGER.values(), FLOORS, PROBE, NUMBERS, LEARNABLE, SHIFTED, TRANSFER, *readers):
        for line in rows_of(recipes / source):
            arm, seed, figures = readers.get(source, _plain)(source, line)
            runs.setdefault(arm, {})[seed] = figures
    return _with_means(runs)


def rows_of(path: Path) -> list[dict[str, str]]:
    """Read the lines of a table; none where it is not there."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


Read = tuple[Arm, int, dict[str, float]]


def _plain(source: str, line: Mapping[str, str]) -> Read:
    """Read a line whose columns have the names of `Arm`."""
    said = [form.format(_short(line[name])) for name, form in SETTINGS.items() if line.get(name)]
    arm = Arm(
        source,
        line["data"],
        int(line["rows"]),
        line["student"],
        line["table"],
        line["metric"],
        line["rule"],
        float(line["keep"]),
        ", ".join(said),
    )
    return arm, int(line["seed"]), {name: float(line[name]) for name in FIGURES if line.get(name)}


def _short(value: str) -> str:
    """Write a number as short as it can be, and leave a word as it is."""
    try:
        return f"{float(value):g}"
    except ValueError:
        return value


def _scaling(source: str, line: Mapping[str, str]) -> Read:
    metric = line["metric"] if line["order"] in (HARD, EASY) else NONE
    arm = Arm(
        source, "cifar10", int(line["size"]), line["student"], EPOCHS, metric, line["order"], float(line["keep"])
    )
    groups = [1 - wrong / total for wrong, total in json.loads(line["groups"]).values()]
    figures = {"accuracy": 1 - int(line["wrong"]) / int(line["total"]), "worst_class": min(groups)}
    return arm, int(line["draw"]), figures


def _finetune(source: str, line: Mapping[str, str]) -> Read:
    rule = FULL if line["rows"] == "all" else line["rows"]
    rows = {"clothing": 3_068, "cifar10": 2_000}[line["data"]]
    metric = "el2n" if rule == AUTO else NONE
    data = line["data"].replace("clothing", "photographs")
    arm = Arm(source, data, rows, "EfficientNet-Lite0, fine-tuned", EPOCHS, metric, rule, float(line["keep"]))
    return arm, int(line["seed"]), {"accuracy": float(line["accuracy"])}


def _less(source: str, line: Mapping[str, str]) -> Read:
    table = ITERATIONS if line["method"] == "full, fewer steps" else EPOCHS
    metric = "el2n" if line["method"] == AUTO else NONE
    arm = Arm(source, "cifar10", 4_000, "resnet8-half", table, metric, line["method"], float(line["keep"]))
    figures = {"accuracy": float(line["accuracy"]), "train_cpu_s": float(line["cpu_seconds"])}
    return arm, int(line["seed"]), figures


def _label_free(source: str, line: Mapping[str, str]) -> Read:
    data = line["data"].replace("clothing", "photographs")
    student = "head on EfficientNet-Lite0"
    arm = Arm(source, data, int(line["rows"]), student, EPOCHS, NONE, line["order"], float(line["keep"]))
    return arm, int(line["draw"]), {"accuracy": float(line["accuracy"])}


def pairs(runs: Runs, arm: Arm, other: Arm, figure: str = "accuracy") -> list[float]:
    """Return a figure of an arm less that of another, in points, for each seed that both have."""
    ours, others = runs.get(arm, {}), runs.get(other, {})
    seeds = [seed for seed in sorted(ours) if figure in ours[seed] and figure in others.get(seed, {})]
    return [100 * (ours[seed][figure] - others[seed][figure]) for seed in seeds]


CORRUPTED = "mean of the corruptions"


def _with_means(runs: Runs) -> Runs:
    """Add, for each arm that was judged on corrupted images, the mean over the corruptions."""
    found = dict(runs)
    for clean in [arm for arm in runs if arm.source == SHIFTED and arm.setting == NONE]:
        others = [arm for arm in runs if arm._replace(setting=NONE) == clean and arm != clean]
        found[clean._replace(setting=CORRUPTED)] = {
            seed: {"accuracy": sum(runs[arm][seed]["accuracy"] for arm in others) / len(others)}
            for seed in runs[clean]
            if others and all(seed in runs[arm] for arm in others)
        }
    return found


def groups(runs: Runs, source: str) -> Iterator[tuple[tuple[str, int, str, str], Runs]]:
    """Yield the arms of one file by data, rows, student and table, the largest first."""
    keys = {arm[1:5] for arm in runs if arm.source == source}
    for key in sorted(keys, key=lambda key: (key[0], -key[1], key[2:])):
        yield key, {arm: found for arm, found in runs.items() if arm.source == source and arm[1:5] == key}
