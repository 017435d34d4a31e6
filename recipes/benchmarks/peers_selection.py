"""The cells of `auto_cells.py` beside selections of other packages: students on what each keeps, in one table.

    python recipes/benchmarks/peers_selection.py --embeddings embeddings --work work --peers-python peers/bin/python

Beside ``auto``, as `auto_cells.py` left its choices in the work folder: diversity of lightly-mundig on the same features, AUM
and CCS of datacull, and random rows of those that cleanlab calls no label issue. They are made in an environment of their
own; how it is made and what each package is given stands in `peers_inside.py`. ``--no-table`` selects and trains, and says
nothing of what came out.
"""

import argparse
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
from auto_cells import draws_of, measured
from cell_auto import auto_choices
from cell_draws import Draw, Source, cifar10, digits
from cell_table import mean_and_spread, paired
from cell_trainings import KEEPS, NOISES, NUM_SEEDS, RANDOM, Rows, Trainings

from hf_prune.heads.students import default_num_epochs
from hf_prune.selection import count_rows

HERE = Path(__file__).parent
PACKAGES = ("lightly-mundig", "datacull", "cleanlab")


def folder_of(draw: Draw, package: str) -> Path:
    """Where a package leaves its selections; one that sees no labels and draws nothing is asked once for both noises."""
    if package != "lightly-mundig":
        return draw.work / "peers" / draw.name
    number = 0 if draw.size == len(draw.source.labels) else draw.number  # all rows: nothing is drawn
    return draw.work / "peers" / f"{draw.source.name}-{draw.size}-{number}"


def select_with(package: str, draw: Draw, python: Path) -> None:
    """Let a package select, unless it has."""
    folder = folder_of(draw, package)
    if all((folder / f"{package}-{keep}.npy").exists() for keep in KEEPS):
        return
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "points.npy", draw.points)
    np.save(folder / "labels.npy", draw.labels)
    job = {
        "packages": [package],
        "budgets": {str(keep): count_rows(keep, draw.size) for keep in KEEPS},
        "num_epochs": default_num_epochs(draw.size),
        "num_classes": draw.source.num_classes,
        "seed": draw.number,
    }
    (folder / "job.json").write_text(json.dumps(job))
    subprocess.run([python, HERE / "peers_inside.py", folder], check=True)
    for name in ("points.npy", "labels.npy"):
        (folder / name).unlink()


def selected(package: str, draw: Draw, keep: float) -> Rows:
    """Places among the rows of the draw that a package keeps."""
    rows: Rows = np.load(folder_of(draw, package) / f"{package}-{keep}.npy")
    if len(np.unique(rows)) != count_rows(keep, draw.size):
        raise SystemExit(f"{package} kept {len(np.unique(rows))} of {draw.size} rows where {keep:.0%} were asked for")
    return rows


def compared(ours: Trainings, theirs: Trainings, draws: Sequence[Draw], keep: float) -> dict[str, Any]:
    """One line of the table."""
    first = draws[0]
    found = {
        package: measured(theirs, draws, keep, [selected(package, draw, keep) for draw in draws])
        for package in PACKAGES
    }
    auto = measured(ours, draws, keep, [auto_choices(draw, first.work)[keep].rows for draw in draws])
    random = measured(ours, draws, keep, [RANDOM.rows(draw, keep) for draw in draws])
    means = {package: mean_and_spread(values) for package, values in found.items()}
    best = max(means, key=lambda package: means[package][0])
    difference = paired(auto, found[best])
    noise = f"{first.noise:.0%} redrawn" if first.noise else "clean"
    return {
        "cell": f"{first.size:,}, {noise}, {keep:.0%}",
        "random": mean_and_spread(random)[0],
        **{package: means[package][0] for package in PACKAGES},
        "auto": mean_and_spread(auto)[0],
        "best_package": best,
        "best_sd": means[best][1],
        "difference": difference.mean,
        "difference_se": difference.error,
        "reached": bool(difference.mean >= -means[best][1]),
    }


def print_table(lines: Sequence[dict[str, Any]]) -> None:
    """The table, and in how many cells ``auto`` is at or above the best package minus one standard deviation."""
    print(f"| cell | random | {' | '.join(PACKAGES)} | auto | auto - best of them | its sd | reached |")
    print("|" + " --- |" * (len(PACKAGES) + 6))
    for line in lines:
        means = " | ".join(f"{line[package]:.4f}" for package in PACKAGES)
        print(
            f"| {line['cell']} | {line['random']:.4f} | {means} | {line['auto']:.4f} | "
            f"{line['difference']:+.4f} ± {line['difference_se']:.4f} ({line['best_package']}) | {line['best_sd']:.4f} | "
            f"{'yes' if line['reached'] else 'no'} |"
        )
    lost = [line["cell"] for line in lines if not line["reached"]]
    print(f"reached in {len(lines) - len(lost)} of {len(lines)} cells; not in: {'; '.join(lost) or 'none'}")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=("cifar10", "digits"), default="cifar10")
    parser.add_argument("--embeddings", type=Path, help="as for auto_cells.py")
    parser.add_argument("--work", type=Path, required=True, help="the work folder of auto_cells.py")
    parser.add_argument("--peers-python", type=Path, required=True, help="Python of the packages' own environment")
    parser.add_argument("--sizes", type=int, nargs="+")
    parser.add_argument("--seeds", type=int, default=NUM_SEEDS)
    parser.add_argument("--no-table", dest="table", action="store_false")
    parser.add_argument("--csv", type=Path)
    return parser.parse_args()


def main() -> None:
    """Select, train what is missing, then print the table."""
    given = arguments()
    datasets.disable_progress_bars()
    source: Source = cifar10(given.embeddings) if given.data == "cifar10" else digits()
    groups = [
        draws_of(source, "el2n", size, noise, given.work) for size in given.sizes or source.sizes for noise in NOISES
    ]
    theirs = Trainings(given.work / "trainings-peers.csv")
    for draw in (draw for group in groups for draw in group):
        for package in PACKAGES:
            select_with(package, draw, given.peers_python)
            for keep in KEEPS:
                theirs.train(draw, keep, [selected(package, draw, keep)], range(given.seeds))
        print(f"{draw.name}: done", flush=True)
    if given.table:
        ours = Trainings(given.work / "trainings.csv")
        lines = [compared(ours, theirs, draws, keep) for draws in groups for keep in KEEPS]
        print_table(lines)
        if given.csv:
            pd.DataFrame(lines).round(5).to_csv(given.csv, index=False)


if __name__ == "__main__":
    main()
