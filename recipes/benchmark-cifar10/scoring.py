"""Scores of the training rows of one data set, and what the rules keep by them; kept in a folder, with what they took."""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from cells import AUTO, AUTO_UNASKED, NONE, RANDOM, Cell
from datasets import Dataset
from numpy.typing import NDArray
from student import Budget, early_networks, subset_runs, whole_trainings

import hf_prune
from hf_prune.data.columns import find_label_column

SEEDS = range(10)  # of draws that differ from student to student
ENCODER = "tiny"
LABEL_FREE = ("prototypes",)  # they and their rules see no labels
NETWORKS = {
    "el2n": early_networks,
    "forgetting": whole_trainings,
    "aum": whole_trainings,
    "memorization": subset_runs,
}  # metric → what leaves the records that it needs


class ScoredRows:
    """Rows with the scores that were asked for so far.

    Args:
        ds: The training rows, n.
        folder: Where networks, selections and their cost are kept.
        budget: Of the trainings on these rows.
    """

    def __init__(self, ds: Dataset, folder: Path, budget: Budget) -> None:
        self.ds, self.folder, self.budget = ds, folder, budget
        self._scored: dict[str, Dataset] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def kept(self, cell: Cell) -> NDArray[np.int64]:
        """Return the rows, ascending, that a rule keeps for the student of one seed."""
        file = self.folder / f"{cell.metric}-{cell.rule}-{cell.keep:g}.npz"
        if not file.exists():
            found = self._select(cell)
            part = file.with_suffix(".part.npz")
            np.savez(part, **{str(seed): rows for seed, rows in found.items()})
            part.replace(file)
        with np.load(file) as held:
            return held[str(cell.seed) if str(cell.seed) in held else "0"]

    def cpu_seconds(self, cell: Cell) -> float:
        """Return the CPU seconds of the scores and the selection of a cell, once for all students."""
        spent, stages = self._spent(), [cell.metric, f"{cell.metric}-{cell.rule}-{cell.keep:g}"]
        if cell.metric in NETWORKS:
            stages.append(NETWORKS[cell.metric].__name__)
        return sum(spent.get(stage, 0.0) for stage in stages)

    def networks(self, metric: str) -> Any:
        """Return the networks whose records a metric reads; those that are trained already are not trained again."""
        train = NETWORKS[metric]
        with self._charged(train.__name__):
            return train(self.ds, self.folder, self.budget)

    def scored(self, metric: str) -> Dataset:
        """Return the rows with a column of a metric."""
        if metric not in self._scored:
            networks = self.networks(metric) if metric in NETWORKS else None
            with self._charged(metric):
                self._scored[metric] = self._score(metric, networks)
        return self._scored[metric]

    def _score(self, metric: str, networks: Any) -> Dataset:
        if metric == NONE:  # a rule that goes by no scores needs a column all the same
            return self.ds.score_with("random", column=NONE)
        if networks is not None:
            # Of few runs, rows may have been in all or in none: they have no memorization, and go first.
            return self.ds.score_with(metric, dynamics=networks, evidence=False, on_error="skip")
        rows = self.ds
        if metric in LABEL_FREE:
            rows = rows.remove_columns(find_label_column(rows) or "label")
        return rows.score_with(metric, encoder=ENCODER, evidence=False)

    def _select(self, cell: Cell) -> dict[int, NDArray[np.int64]]:
        """Return the rows by seed; those that no draw decides are the same for all and have the seed 0."""
        scored = self.scored(cell.metric)
        order = AUTO if cell.rule == AUTO_UNASKED else cell.rule
        how: dict[str, Any] = {"keep": cell.keep, "order": order, "return_selection": True}
        name = f"{cell.metric}-{cell.rule}-{cell.keep:g}"
        with self._charged(name):
            if cell.rule == AUTO and cell.metric not in LABEL_FREE:
                how["evidence"] = advice = hf_prune.recommend(scored, cell.metric, keep=cell.keep, encoder=ENCODER)
                (self.folder / f"{name}.txt").write_text(f"{advice}\n", encoding="utf-8")
            found = {0: scored.prune(cell.metric, seed=0, **how)[1].kept}
        if cell.rule in (AUTO, RANDOM):
            found |= {seed: scored.prune(cell.metric, seed=seed, **how)[1].kept for seed in SEEDS[1:]}
        return found

    def _spent(self) -> dict[str, float]:
        file = self.folder / "cpu_seconds.json"
        return json.loads(file.read_text()) if file.exists() else {}

    @contextlib.contextmanager
    def _charged(self, name: str) -> Iterator[None]:
        """Note the CPU seconds of a stage, those of a stage that was stopped included, and none of one that was done before."""
        begun, spent, done = time.process_time(), self._spent(), f"{name}, done"
        if done in spent:
            yield
            return
        try:
            yield
            spent[done] = 1.0
        finally:
            spent[name] = spent.get(name, 0.0) + time.process_time() - begun
            (self.folder / "cpu_seconds.json").write_text(json.dumps(spent), encoding="utf-8")
