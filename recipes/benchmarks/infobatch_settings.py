"""InfoBatch beside all rows under other settings than those of `train_on_less.py`: why it is not lossless there.

    python recipes/benchmarks/infobatch_settings.py --train train.parquet --test test.parquet \
        --csv recipes/benchmarks/infobatch_settings.csv

Everything is as in that table but for what a setting names. All rows are also trained on for as many steps as ``infobatch``
makes, with a schedule that ends with the last of them. A training that the CSV file or that table's holds is not made again.
"""

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
from train_on_less import NUM_ROWS, NUM_TEST_ROWS, Judge, read

from hf_prune.data.loading import open_dataset

SGD = {"optim": "sgd", "optim_args": "momentum=0.9,nesterov=true", "learning_rate": 0.05, "weight_decay": 5e-4}
AS_IN_TABLE = "AdamW, 16 epochs"
SETTINGS: dict[str, dict[str, Any]] = {
    AS_IN_TABLE: {},
    "SGD, 16 epochs": SGD,
    "AdamW, 48 epochs": {"num_epochs": 48},
}
FULL, FEWER_STEPS, INFOBATCH = "full", "full, as many steps", "infobatch"
NUM_STEPS = 1_519  # of `infobatch` at 70 % in 16 epochs
CELLS = (
    (AS_IN_TABLE, FULL, 1.0),
    (AS_IN_TABLE, FEWER_STEPS, 1.0),
    (AS_IN_TABLE, INFOBATCH, 0.7),
    (AS_IN_TABLE, INFOBATCH, 0.75),
    ("SGD, 16 epochs", FULL, 1.0),
    ("SGD, 16 epochs", INFOBATCH, 0.7),
    ("AdamW, 48 epochs", FULL, 1.0),
    ("AdamW, 48 epochs", INFOBATCH, 0.7),
)
KEY = ["setting", "method", "keep", "seed"]
TABLE = Path(__file__).with_name("train_on_less.csv")


def measure(judge: Judge, setting: str, method: str, keep: float, seed: int) -> dict[str, Any]:
    """Train once."""
    settings = SETTINGS[setting] | ({"max_steps": NUM_STEPS} if method == FEWER_STEPS else {})
    found = judge.train(judge.images, method, keep, seed, **settings)
    names = ("accuracy", "rows_seen", "steps", "cpu_seconds")
    return dict(zip(KEY, (setting, method, keep, seed), strict=True)) | dict(zip(names, found, strict=True))


def table(found: pd.DataFrame) -> Iterator[str]:
    """Lines of a Markdown table: accuracies, and what each training gains over all rows, paired over the seeds."""
    yield "| training | method | accuracy, % | against all rows | rows seen | CPU seconds |"
    yield "| --- | --- | --- | --- | --- | --- |"
    full = found[found.method == FULL].set_index(["setting", "seed"]).accuracy
    for (setting, method, keep), rows in found.groupby(KEY[:3], sort=False):
        by_seed = 100 * rows.set_index(["setting", "seed"]).accuracy
        gains = by_seed - 100 * full.reindex(by_seed.index)
        gain = "" if method == FULL else f"{gains.mean():+.1f} ± {gains.sem():.1f}"
        name = f"`infobatch`, {keep:.0%}" if method == INFOBATCH else method.replace("full", "all rows")
        seen, seconds = int(rows.rows_seen.iloc[0]), rows.cpu_seconds.median()
        yield f"| {setting} | {name} | {by_seed.mean():.1f} ± {by_seed.std():.1f} | {gain} | {seen:,} | {seconds:.0f} |"


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="*", default=range(5))
    parser.add_argument("--settings", nargs="*", choices=list(SETTINGS), default=list(SETTINGS))
    given = parser.parse_args()
    datasets.disable_progress_bars()
    lines = pd.read_csv(given.csv).to_dict("records") if given.csv.exists() else []
    known = {tuple(line[name] for name in KEY) for line in lines}
    for line in read(TABLE).values():
        cell = (AS_IN_TABLE, line.method, line.keep, line.seed)
        if cell[:3] in CELLS and cell not in known:
            lines.append({"setting": AS_IN_TABLE, **line._asdict()})
            known.add(cell)
    wanted = [(*cell, seed) for seed, cell in itertools.product(given.seeds, CELLS) if cell[0] in given.settings]
    if missing := [cell for cell in wanted if cell not in known]:
        train, test = (open_dataset(path) for path in (given.train, given.test))
        judge = Judge(train.select(range(NUM_ROWS)), test.select(range(NUM_TEST_ROWS)), {})
    for cell in missing:
        lines.append(measure(judge, *cell))
        print(lines[-1], flush=True)
        pd.DataFrame(lines).to_csv(given.csv, index=False)
    order = {cell: place for place, cell in enumerate(CELLS)}
    lines.sort(key=lambda line: (order[tuple(line[name] for name in KEY[:3])], line["seed"]))
    pd.DataFrame(lines).to_csv(given.csv, index=False)
    print(*table(pd.DataFrame(lines)), sep="\n")


if __name__ == "__main__":
    main()
