"""Students trained on selections: which selections there are, and a cache that trains no set of rows twice."""

import csv
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cell_draws import Draw
from numpy.typing import NDArray

from hf_prune.heads.students import steady_training, student_hits
from hf_prune.selection import select
from hf_prune.selection.orders import get_order

Rows = NDArray[np.int64]
Judge = Callable[[Draw, Sequence[Rows], Sequence[int]], list[float]]

KEEPS = (0.8, 0.5, 0.2, 0.1)
NOISES = (0.0, 0.15)
ORDERS = ("random", "hard", "easy", "stratified")
MORE_ORDERS = ("middle", "graph", "coverage")
CUTOFFS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
CLASS_FLOOR = 0.5
NUM_DRAWS, NUM_SEEDS = 5, 5
FIELDS = ("draw", "keep", "rows_sha256", "seed", "accuracy")


@dataclass(frozen=True, order=True)
class Rule:
    """An order after a cut of the hardest rows."""

    order: str
    cutoff: float = 0.0

    def __str__(self) -> str:
        return f"{self.order} -{self.cutoff:.0%}" if self.cutoff else self.order

    def fits(self, keep: float) -> bool:
        """Whether the cut leaves enough rows."""
        return round(self.cutoff + keep, 9) <= 1

    def rows(self, draw: Draw, keep: float) -> Rows:
        """Places among the rows of the draw that are kept, ascending."""
        needed = {"embeddings": draw.points} if "embeddings" in get_order(self.order).needs else {}
        chosen = select(
            draw.scores(),
            keep=keep,
            order=self.order,
            labels=draw.classes(),
            class_balance=CLASS_FLOOR,
            hardest_cutoff=self.cutoff,
            seed=draw.number,
            **needed,
        )
        return chosen.kept


RANDOM = Rule("random")
ALL_RULES = tuple(Rule(order, cutoff) for order in ORDERS for cutoff in CUTOFFS)
MORE_RULES = tuple(Rule(order, cutoff) for order in MORE_ORDERS for cutoff in CUTOFFS)
PLAIN_RULES = tuple(Rule(order) for order in ORDERS)


def digest(rows: Rows) -> str:
    """Name of a set of rows: selections that keep the same rows share their trainings."""
    return hashlib.sha256(np.sort(rows).astype(np.int64).tobytes()).hexdigest()[:16]


def students(draw: Draw, selections: Sequence[Rows], seeds: Sequence[int]) -> list[float]:
    """Accuracies on the test rows of students with one hidden layer, with the epochs of the whole draw."""
    test = draw.source.test_points, draw.source.test_labels
    settings = steady_training(len(selections[0]))
    hits = student_hits(draw.points, draw.labels, np.stack(selections), seeds, *test, **settings)
    found: list[float] = hits.mean(axis=1, dtype=np.float64).tolist()
    return found


class Trainings:
    """Accuracies of students on the test rows, one line of a CSV file per training.

    Args:
        path: The file; what it holds is not trained again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[tuple[str, float, str, int], float] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text() if path.exists() else ",".join(FIELDS) + "\n"
        whole = text[: text.rfind("\n") + 1]  # a run that was killed may have cut off the last line
        if not path.exists() or whole != text:
            path.write_text(whole)
        for line in csv.DictReader(whole.splitlines()):
            key = (line["draw"], float(line["keep"]), line["rows_sha256"], int(line["seed"]))
            self.found[key] = float(line["accuracy"])

    def accuracies(self, draw: Draw, keep: float, rows: Rows) -> dict[int, float]:
        """Seed → accuracy, as far as it is known."""
        name = digest(rows)
        known = {seed: self.found.get((draw.name, keep, name, seed)) for seed in range(NUM_SEEDS)}
        return {seed: accuracy for seed, accuracy in known.items() if accuracy is not None}

    def train(
        self, draw: Draw, keep: float, selections: Iterable[Rows], seeds: Sequence[int], judge: Judge = students
    ) -> int:
        """Train on each selection with each seed unless the outcome is known; return how many trainings there were.

        Args:
            draw: The rows.
            keep: Share that is kept.
            selections: Places among the rows, all of one number.
            seeds: Numbers of the seeds; a seed has the same first weights on all selections of a draw.
            judge: What trains on selections, each with the seed of its own, and returns accuracies.
        """
        distinct = {digest(rows): rows for rows in selections}
        wanted = [(draw.name, keep, name, seed) for name in distinct for seed in seeds]
        missing = [key for key in wanted if key not in self.found]
        if not missing:
            return 0
        kept = [distinct[name] for _, _, name, _ in missing]
        found = judge(draw, kept, [1_000 * draw.number + seed for *_, seed in missing])
        self._write(dict(zip(missing, found, strict=True)))
        return len(missing)

    def _write(self, made: Mapping[tuple[str, float, str, int], float]) -> None:
        self.found |= made
        with self.path.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows((*key, f"{accuracy:.6f}") for key, accuracy in made.items())


def train_rules(
    trainings: Trainings, draws: Iterable[Draw], rules: Sequence[Rule], seeds: Sequence[int], keeps: Sequence[float]
) -> None:
    """Train students on what rules keep; says what was done and what it cost, not what came out."""
    for draw in draws:
        for keep in keeps:
            cpu = time.process_time()
            selections = [rule.rows(draw, keep) for rule in rules if rule.fits(keep)]
            count = trainings.train(draw, keep, selections, seeds)
            if count:
                cpu = time.process_time() - cpu
                print(f"{draw.name} keep {keep}: {count} trainings, {cpu:.0f} CPU seconds", flush=True)
