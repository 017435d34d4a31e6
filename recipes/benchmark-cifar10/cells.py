"""Cells of the grid, the most telling first, and the tables that hold what was measured."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

FULL, RANDOM, NONE = "full", "random", "none"
HARD, EASY, AUTO = "hard", "easy", "auto"
AUTO_UNASKED = "auto without evidence"  # the end that `order="auto"` keeps where no rule was tried
DYNAMIC = ("rs2", "infobatch")
EPOCHS, ITERATIONS = "epochs", "iterations"
PROTOTYPES = ("prototypes", "supervised_prototypes")
METRICS = ("el2n", "forgetting", "aum", *PROTOTYPES, "memorization")
KEEPS = (0.1, 0.3, 0.5, 0.7, 0.9)  # the cheap ones first


class Cell(NamedTuple):
    """One training of the grid.

    Attributes:
        data: Name of the data set.
        rows: Its first so many training rows, of which a part is kept.
        table: Whether a student passes as often over what is kept (``"epochs"``) as over all rows, or makes as many
            steps (``"iterations"``).
        metric: Scores that the rule goes by, ``"none"`` where it needs none.
        rule: An order of `hf_prune.prune`, a method of `hf_prune.prune_while_training`, or ``"full"``.
        keep: Share of the rows that is kept, or seen in an epoch.
        seed: Of the student, and of random draws.
    """

    data: str
    rows: int
    table: str
    metric: str
    rule: str
    keep: float
    seed: int


KEY = Cell._fields
RESULTS = (
    *("data", "rows", "student", "table", "metric", "rule", "keep", "seed", "accuracy", "worst_class", "steps"),
    *("images_seen", "train_cpu_s", "score_cpu_s", "test_rows", "machine", "commit"),
)
PER_CLASS = (*("data", "rows", "student", "table", "metric", "rule", "keep", "seed"), "class", "accuracy")
# Metric, rule, share kept: what trains as well on 70 % as on all rows; and prototypes, which need no labels.
MAIN = (
    (NONE, FULL, 1.0),
    (NONE, RANDOM, 0.7),
    ("el2n", HARD, 0.7),
    ("el2n", AUTO, 0.7),
    (NONE, "rs2", 0.7),
    (NONE, "infobatch", 0.7),
)
WITHOUT_LABELS = ((NONE, RANDOM, 0.8), ("prototypes", AUTO, 0.8))
HARD_PROTOTYPES = (("prototypes", HARD, 0.8),)
EASY_END = (("el2n", EASY, 0.7),)
UNASKED = (*MAIN[:1], *MAIN[2:3], ("el2n", AUTO_UNASKED, 0.7))
# What the claims of the results page compare with the arms above.
CLAIMED = (
    *EASY_END,
    ("forgetting", HARD, 0.7),
    ("prototypes", HARD, 0.7),
    ("memorization", HARD, 0.7),
    ("memorization", HARD, 0.9),
)


def main_cells(rows: int, seeds: Iterable[int], arms: Iterable[tuple[str, str, float]] = MAIN) -> Iterator[Cell]:
    """Yield the arms that the claims are about, on all training rows; all of a seed before the next, so that seeds are whole."""
    for seed in seeds:
        yield from (Cell("cifar10", rows, EPOCHS, *arm, seed) for arm in arms)


def subset_cells(rows: int, seeds: Iterable[int]) -> Iterator[Cell]:
    """Yield every metric, rule and share on a part of the rows."""
    for seed in seeds:
        yield Cell("cifar10", rows, EPOCHS, NONE, FULL, 1.0, seed)
        for keep in KEEPS:
            yield from (Cell("cifar10", rows, EPOCHS, NONE, rule, keep, seed) for rule in (RANDOM, *DYNAMIC))
            for metric in METRICS:
                yield from (Cell("cifar10", rows, EPOCHS, metric, rule, keep, seed) for rule in (HARD, EASY, AUTO))


def iteration_cells(rows: int, seeds: Iterable[int]) -> Iterator[Cell]:
    """Yield random rows and the hard end of EL2N again, each for as many steps as all rows get."""
    for seed in seeds:
        yield from (Cell("cifar10", rows, ITERATIONS, *arm, seed) for arm in MAIN[1:3])


def other_cells(rows: Mapping[str, int], seeds: Iterable[int]) -> Iterator[Cell]:
    """Yield the main arms on other images, and the easy end beside the hard one."""
    arms = MAIN + EASY_END + WITHOUT_LABELS + HARD_PROTOTYPES
    for seed in seeds:
        for data, number in rows.items():
            yield from (Cell(data, number, EPOCHS, *arm, seed) for arm in arms)


def read(path: Path) -> list[dict[str, str]]:
    """Read a table; a line that a kill left unfinished is cut off the file."""
    if not path.exists():
        return []
    held = path.read_bytes()
    whole = held[: held.rfind(b"\n") + 1]
    if whole != held:
        path.write_bytes(whole)
    return list(csv.DictReader(whole.decode().splitlines()))


def append(path: Path, columns: Sequence[str], lines: Iterable[Mapping[str, Any]]) -> None:
    """Add lines at the end of a table, in one piece."""
    begun = path.exists() and path.stat().st_size > 0
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if not begun:
            writer.writeheader()
        writer.writerows(lines)


def cell_of(line: Mapping[str, str]) -> Cell:
    """Return which cell a line of a table is of."""
    kinds = Cell.__annotations__
    return Cell(**{name: kinds[name](line[name]) for name in KEY})
