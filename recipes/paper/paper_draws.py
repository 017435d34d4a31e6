"""What the experiments of this folder share: draws of CIFAR-10 as ``encoder="tiny"`` sees it, students, and a table that goes on.

Rows, redrawn labels and scores are those of ``../benchmarks/cell_draws.py``. A draw takes other rows, heads, random rows and a
student with other first weights; within a draw all rules share them, so that draws can be paired.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
import pandas as pd
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
from cell_auto import auto_choices
from cell_draws import Draw, Source, embed
from machine import machine

from hf_prune.heads.students import steady_training, student_hits
from hf_prune.scoring.pool import unit
from hf_prune.selection import select

HERE = Path(__file__).parent
DATA, ENCODER = "cifar10", "tiny"
NUM_ROWS, NUM_DRAWS = 20_000, 5  # of 50,000
STUDENT = "head on tiny"
CLASS_FLOOR = 0.5
Rows = NDArray[np.int64]
Line = dict[str, Any]


class Selection(NamedTuple):
    """Rows that a rule keeps of a draw, None for none, with the cells of its line that say which rule it is."""

    said: Mapping[str, Any]
    rows: Rows | None


def source(data: Path, work: Path) -> Source:
    """CIFAR-10 by the encoder of the package, as unit rows; embedded where the work folder has it not yet."""
    folder = work / "features"
    if not (folder / "labels_test.npy").exists():
        train, test = (str(data / DATA / f"{split}.parquet") for split in ("train", "test"))
        embed(ENCODER, train, test, folder, image_size=None)
    points, test_points = (unit(np.load(folder / name))[0] for name in ("emb.npy", "emb_test.npy"))
    labels, test_labels = (np.load(folder / name).astype(np.int64) for name in ("labels.npy", "labels_test.npy"))
    return Source(f"{DATA}-{ENCODER}", points, labels, test_points, test_labels, (NUM_ROWS,))


def cut(draw: Draw, scores: NDArray[Any], keep: float, rule: str, floor: float = CLASS_FLOOR) -> Rows:
    """Places among the rows of the draw that a rule keeps, ascending."""
    kept: Rows = select(scores, keep=keep, order=rule, labels=draw.labels, class_balance=floor, seed=draw.number).kept
    return kept


def references(draw: Draw, keep: float) -> list[Selection]:
    """Random rows of the draw."""
    none = np.zeros(draw.size)
    return [Selection({"metric": "none", "rule": "random"}, cut(draw, none, keep, "random"))]


def all_rows(draw: Draw) -> list[Selection]:
    """The draw as it is."""
    return [Selection({"metric": "none", "rule": "full"}, np.arange(draw.size))]


def auto_rows(draw: Draw, keep: float) -> Selection:
    """What ``order="auto"`` keeps by EL2N with its defaults, asked once."""
    said = {"metric": "el2n", "rule": "auto", "class_floor": CLASS_FLOOR}
    return Selection(said, auto_choices(draw, draw.work)[keep].rows)


def hits_of(
    draw: Draw, chosen: Sequence[Selection], test_points: NDArray[np.float32], labels: Rows
) -> NDArray[np.bool_]:
    """Train a student on each selection, all of one number of rows; which test rows it gets right, shape (selections, m)."""
    rows = np.stack([selection.rows for selection in chosen])
    seeds = [1_000 * draw.number] * len(rows)
    return student_hits(
        draw.points, draw.labels, rows, seeds, test_points, labels, **steady_training(rows.shape[1]), desc=None
    )


def line_of(draw: Draw, keep: float, selection: Selection, hits: NDArray[np.bool_], labels: Rows) -> Line:
    """One training: accuracy on the test rows (m,), in all and of the class that fares worst."""
    by_class = [float(hits[labels == code].mean()) for code in np.unique(labels)]
    return {
        "data": DATA,
        "rows": draw.size,
        "student": STUDENT,
        "table": "epochs",
        "metric": "",
        "rule": "",
        "keep": keep,
        "seed": draw.number,
        "accuracy": round(float(hits.mean()), 5),
        "worst_class": round(min(by_class), 5),
        "test_rows": len(labels),
        **selection.said,
    }


def judged(draw: Draw, keep: float, chosen: Sequence[Selection]) -> list[Line]:
    """Train on each selection and give its line, judged on all test rows."""
    labels = draw.source.test_labels
    found = hits_of(draw, chosen, draw.source.test_points, labels)
    return [line_of(draw, keep, selection, hits, labels) for selection, hits in zip(chosen, found, strict=True)]


def measure(path: Path, draws: Sequence[Draw], lines_of: Callable[[Draw], list[Line]]) -> pd.DataFrame:
    """Measure every draw that the CSV file does not hold, and write each as it ends, so that a stopped run goes on."""
    table = pd.read_csv(path) if path.exists() else pd.DataFrame()
    done = set() if table.empty else set(zip(table["seed"], table.get("noise", [0.0] * len(table)), strict=True))
    for draw in draws:
        if (draw.number, draw.noise) in done:
            continue
        start = time.process_time()
        lines = lines_of(draw)
        if any(found.noise for found in draws):
            lines = [{**line, "noise": draw.noise} for line in lines]
        seconds = time.process_time() - start
        named = {"cpu_s": round(seconds / len(lines), 2), "machine": machine()}
        table = pd.concat([table, pd.DataFrame(lines).assign(**named)], ignore_index=True)
        table.to_csv(path, index=False)
        print(f"{draw.name}: {len(lines)} trainings, {seconds:.0f} CPU seconds", flush=True)
    return table


def draws_of(given: argparse.Namespace, column: str = "el2n", noises: Sequence[float] = (0.0,)) -> list[Draw]:
    """The draws that the command line asks for."""
    found = source(given.data, given.work)
    return [
        Draw(found, column, given.rows, noise, number, given.work) for noise in noises for number in range(given.draws)
    ]


def arguments(about: str, name: str, *parts: str, rows: int = NUM_ROWS) -> argparse.Namespace:
    """The command line that all experiments have, and ``--no-…`` for parts that may be left out."""
    datasets.disable_progress_bars()
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with cifar10/train.parquet and test.parquet")
    parser.add_argument("--work", type=Path, required=True, help="folder for embeddings and scores")
    parser.add_argument("--csv", type=Path, default=HERE / f"{name}.csv")
    parser.add_argument("--draws", type=int, default=NUM_DRAWS)
    parser.add_argument("--rows", type=int, default=rows, help="of each draw")
    for part in parts:
        parser.add_argument(f"--no-{part}", dest=part, action="store_false")
    return parser.parse_args()


def shown(table: pd.DataFrame, by: Sequence[str]) -> str:
    """Mean and standard deviation of the accuracy over the draws, in %, as a table with a column for each share kept."""
    wide = 100 * table.groupby([*by, "keep"])["accuracy"].agg(["mean", "std"]).unstack("keep")
    cells = wide["mean"].map("{:.2f}".format) + " ± " + wide["std"].map("{:.2f}".format)
    return cells.sort_index(axis=1, ascending=False).to_string()
