"""Facility location by ``order="coverage"``: objective and cost beside exact greedy, other packages and a million rows.

    OMP_NUM_THREADS=1 python recipes/benchmarks/facility_location.py exact --csv recipes/benchmarks/facility_location.csv
    OMP_NUM_THREADS=1 python recipes/benchmarks/facility_location.py peers --csv recipes/benchmarks/facility_location.csv
    OMP_NUM_THREADS=1 python recipes/benchmarks/facility_location.py million --csv recipes/benchmarks/facility_location.csv

Rows are unit vectors of 384 numbers around 1,000 centres, or ``--embeddings``, a file of NumPy of shape (n, d). The
objective is the sum over all rows, of more than 50,000 over so many that are drawn, of the cosine to the nearest kept row.
``peers`` needs the packages named in ``PEERS``, where they can be imported; each keeps the same number of the same rows.
"""

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from machine import machine
from numpy.typing import NDArray

from hf_prune.selection import select

SIZE, CENTRES, SPREAD = 384, 1_000, 0.8
BLOCK = 2_048
JUDGED = 50_000  # rows that the objective is summed over, at most

KEY = ["task", "rows", "selection"]  # of a line: one that is measured again takes its place

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]


def synthetic(num_rows: int, seed: int) -> Vectors:
    """Draw unit vectors around centres, a block at a time."""
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((CENTRES, SIZE)).astype(np.float32)
    vectors = np.empty((num_rows, SIZE), np.float32)
    for start in range(0, num_rows, BLOCK):
        block = vectors[start : start + BLOCK]
        block[:] = centres[generator.integers(0, CENTRES, len(block))]
        block += SPREAD * generator.standard_normal(block.shape, dtype=np.float32)
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return vectors


def objective(vectors: Vectors, kept: Rows) -> float:
    """Sum over all rows, divided by their number, of the cosine to the nearest kept row."""
    chosen = vectors[kept]
    if len(vectors) > JUDGED:
        vectors = vectors[np.random.default_rng(1).permutation(len(vectors))[:JUDGED]]
    total = 0.0
    for start in range(0, len(vectors), BLOCK):
        nearest = np.full(len(vectors[start : start + BLOCK]), -1, np.float32)
        for at in range(0, len(chosen), 16_384):
            np.maximum(nearest, (vectors[start : start + BLOCK] @ chosen[at : at + 16_384].T).max(axis=1), out=nearest)
        total += float(np.maximum(nearest, 0).sum(dtype=np.float64))
    return total / len(vectors)


def exact(vectors: Vectors, budget: int) -> Rows:
    """Choose rows by exact greedy over all pairs: the gains of all rows are kept, and lowered by what a choice takes of them.

    A row that comes nearer to the chosen ones, from ``old`` to ``new``, takes of the gain of each row that part of their
    similarity that lies between the two.
    """
    nearest, gains = np.zeros(len(vectors), np.float32), np.zeros(len(vectors))
    for start in range(0, len(vectors), BLOCK):
        gains += np.maximum(vectors[start : start + BLOCK] @ vectors.T, 0).sum(axis=0)
    chosen = []
    for _ in range(budget):
        chosen.append(int(gains.argmax()))
        similarity = vectors @ vectors[chosen[-1]]
        nearer = np.flatnonzero(similarity > nearest)
        for start in range(0, len(nearer), BLOCK):
            rows = nearer[start : start + BLOCK]
            old, new = nearest[rows, None], similarity[rows, None]
            between = vectors[rows] @ vectors.T
            np.clip(between, old, new, out=between)
            gains -= between.sum(axis=0) - old.sum()
        nearest[nearer] = similarity[nearer]
        gains[chosen[-1]] = -np.inf
    return np.array(chosen)


def ours(order: str) -> Callable[[Vectors, int], Rows]:
    """Select by an order of the package."""
    return lambda vectors, budget: select(np.zeros(len(vectors)), keep=budget, order=order, embeddings=vectors).kept


def apricot(vectors: Vectors, budget: int) -> Rows:
    """apricot-select 0.6.1, which wants a matrix of all similarities."""
    from apricot import FacilityLocationSelection

    found = FacilityLocationSelection(budget, metric="precomputed", optimizer="lazy").fit(
        np.maximum(vectors @ vectors.T, 0).astype(np.float64)
    )
    return np.asarray(found.ranking)


def submodlib(vectors: Vectors, budget: int) -> Rows:
    """submodlib-py 0.0.3, dense."""
    from submodlib import FacilityLocationFunction

    similar = np.maximum(vectors @ vectors.T, 0)
    function = FacilityLocationFunction(n=len(vectors), mode="dense", sijs=similar, separate_rep=False)
    return np.array([row for row, _ in function.maximize(budget=budget, optimizer="LazyGreedy", show_progress=False)])


def mundig(vectors: Vectors, budget: int) -> Rows:
    """lightly-mundig 0.1.16: rows far from each other."""
    import lightly_mundig

    selection = lightly_mundig.Selection()
    selection.add_diversifying_strategy(embeddings=vectors, strength=1.0, stopping_condition_minimum_distance=None)
    return np.array(
        selection.run_selection(preselected_indices=[], n_total_samples=len(vectors), n_samples_to_select=budget)
    )


PEERS = {"apricot-select": apricot, "submodlib-py": submodlib, "lightly-mundig": mundig}
OURS = {f"hf_prune {order}": ours(order) for order in ("coverage", "medoids", "diverse", "random")}
TASKS: dict[str, tuple[int, int, dict[str, Callable[[Vectors, int], Rows]]]] = {
    "exact": (50_000, 5_000, {"exact greedy": exact, **OURS}),
    "peers": (8_000, 800, {**PEERS, **OURS}),
    "million": (1_000_000, 100_000, {"hf_prune coverage": ours("coverage"), "hf_prune random": ours("random")}),
}


def measured(name: str, choose: Callable[[Vectors, int], Rows], vectors: Vectors, budget: int) -> dict[str, Any]:
    """Run one selection; memory is the largest that the process has had, above that before."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    clock, processor = time.perf_counter(), time.process_time()
    try:
        kept = np.unique(choose(vectors, budget))
    except Exception as error:
        return {
            "selection": name,
            "failed": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
        }
    seconds, cpu = time.perf_counter() - clock, time.process_time() - processor
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
    assert len(kept) == budget, f"{name} kept {len(kept)}"
    found = {"seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1), "gib_above": round(grown, 2)}
    return {"selection": name, "objective": round(objective(vectors, kept), 5), **found, "failed": ""}


def main() -> None:
    """Run the selections of a task and add their lines to the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--embeddings", type=Path)
    parser.add_argument("--rows", type=int, help="another number, of which the same share is kept")
    parser.add_argument("--only", nargs="+", help="names of some selections of the task; the lines of the others stay")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", type=Path)
    given = parser.parse_args()
    num_rows, budget, selections = TASKS[given.task]
    if given.rows:
        num_rows, budget = given.rows, given.rows * budget // num_rows
    vectors = np.load(given.embeddings)[:num_rows] if given.embeddings else synthetic(num_rows, given.seed)
    lines = []
    for name, choose in selections.items():
        if given.only and name not in given.only:
            continue
        lines.append(
            {"task": given.task, "rows": len(vectors), "size": vectors.shape[1], "kept": budget, "seed": given.seed}
        )
        lines[-1] |= measured(name, choose, vectors, budget) | {"machine": machine()}
        print(lines[-1], flush=True)
    if given.csv:
        table = pd.DataFrame(lines)
        if given.csv.exists():
            earlier = pd.read_csv(given.csv, keep_default_na=False)
            again = earlier.set_index(KEY).index.isin(table.set_index(KEY).index)
            table = pd.concat([earlier[~again], table])
        table.to_csv(given.csv, index=False)


if __name__ == "__main__":
    main()
