"""A small ResNet trained on CIFAR-10 by less: fixed parts of the rows beside parts that change with the epochs.

    python recipes/benchmarks/train_on_less.py --train train.parquet --test test.parquet --encoder efficientnet-lite0 \
        --auto work/auto.npz --csv recipes/benchmarks/train_on_less.csv

The first 4,000 training images, 16 epochs, ResNet-8 of half the widths, shifted and mirrored images, batches of 32, AdamW at
0.005 with a linear schedule over the steps that are made, judged on the first 5,000 test images, five seeds. Every method
sees the same share of the rows in an epoch and trains for the same number of epochs. A curriculum goes through the rows by
their EL2N: each epoch sees as many that follow each other, or of a growing part of the easiest. All rows are trained on
for as many steps as ``infobatch`` makes, too. A training that the CSV file holds is not
made again; ``--seeds`` lets several processes share the work, each with a file of its own, and ``--auto`` the rows that
``order="auto"`` chooses.
"""

import argparse
import csv
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune import Run, provenance, prune_while_training
from hf_prune.data.loading import open_dataset
from hf_prune.models.small_resnet import make_processor, network_config
from hf_prune.scoring.scores import read_scores
from hf_prune.training.classifier import train_classifier
from hf_prune.training.images import TrainingImages

NUM_ROWS, NUM_TEST_ROWS, NUM_EPOCHS, SEEDS = 4_000, 5_000, 16, range(5)
NETWORK, BATCH_SIZE, LEARNING_RATE = "resnet8-half", 32, 5e-3
FULL, FEWER_STEPS, RANDOM, AUTO = "full", "full, fewer steps", "random", "auto"
DYNAMIC = ("rs2", "infobatch", "orderdp")
CURRICULA = ("easy to hard", "hard to easy", "there and back", "easy to all")
KEEPS = (0.1, 0.3, 0.5)
OWN_SAVING = 0.7  # of InfoBatch: about what r = 0.5 of its authors keeps
OWN_STEPS = 1_519  # that it makes so
NAMES = {
    FULL: "all rows",
    FEWER_STEPS: f"all rows, {OWN_STEPS:,} steps",
    RANDOM: "static, random",
    AUTO: 'static, EL2N with `order="auto"`',
    "rs2": "`rs2`",
    "infobatch": "`infobatch`",
    "orderdp": "`orderdp`",
    **{name: f"curriculum, {name}" for name in CURRICULA},
}


class Training(NamedTuple):
    """One training: what it was, how good it became and what it took."""

    method: str
    keep: float
    seed: int
    accuracy: float
    rows_seen: int
    steps: int
    cpu_seconds: float


def cells() -> Iterator[tuple[str, float]]:
    """Methods and shares, the cheap ones first."""
    for number, keep in enumerate(KEEPS):
        yield from ((method, keep) for method in (RANDOM, AUTO, *DYNAMIC))
        if number == 0:
            yield FULL, 1.0
            yield FEWER_STEPS, 1.0
            yield "infobatch", OWN_SAVING
    yield from ((name, KEEPS[0]) for name in CURRICULA)


def curriculum(name: str, keep: float, scores: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
    """Rows of all epochs, one after the other: as many of each, by scores (n,) of which high ones are hard."""
    order, budget = np.argsort(scores, kind="stable"), round(keep * NUM_ROWS)
    generator, parts = np.random.default_rng(seed), []
    for way in np.linspace(0, 1, NUM_EPOCHS):
        if name == "easy to all":
            first, last = 0, budget + round(way * (NUM_ROWS - budget))
        else:
            place = {"easy to hard": way, "hard to easy": 1 - way, "there and back": 1 - abs(2 * way - 1)}[name]
            first = round(place * (NUM_ROWS - budget))
            last = first + budget
        parts.append(generator.permutation(order[first:last])[:budget])
    return np.concatenate(parts)


class Judge:
    """Trains networks on the rows of a data set."""

    def __init__(self, train: Dataset, test: Dataset, auto: dict[str, Any]) -> None:
        self.auto = auto
        self.images, self.test = (TrainingImages(rows, make_processor()) for rows in (train, test))
        self.tested = torch.stack([image["pixel_values"] for image in self.test.__getitems__(range(len(test)))])

    def run(self, method: str, keep: float, seed: int) -> Training:
        """Train once."""
        images, settings = self.images, {"num_epochs": NUM_EPOCHS}
        reports: list[Any] = []
        if method == RANDOM:
            images = self.images.subset(np.random.default_rng(seed).permutation(NUM_ROWS)[: round(keep * NUM_ROWS)])
        elif method == AUTO:
            images = self.images.subset(self.auto[f"{keep:g}"])
        elif method in CURRICULA:  # one pass over all parts, in their order
            images = self.images.subset(curriculum(method, keep, self.auto["scores"], seed))
            settings = {"num_epochs": 1, "train_sampling_strategy": "sequential"}
        elif method == FEWER_STEPS:
            settings["max_steps"] = OWN_STEPS
        elif method in DYNAMIC:
            settings["on_trainer"] = lambda trainer: reports.append(prune_while_training(trainer, method, keep=keep))
        start = time.process_time()
        made = train_classifier(
            images,
            network_config(NETWORK),
            seed=seed,
            batch_size=BATCH_SIZE,
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="linear",
            augment=True,
            **settings,
        )
        seconds = time.process_time() - start
        with torch.inference_mode():
            logits = torch.cat([made.model(pixel_values=part).logits for part in torch.split(self.tested, 500)])
        accuracy = float(np.mean(logits.argmax(dim=1).numpy() == self.test.labels))
        seen = reports[0].rows_seen if reports else len(images) * settings["num_epochs"]
        if method == FEWER_STEPS:
            seen = OWN_STEPS * BATCH_SIZE
        return Training(method, keep, seed, accuracy, seen, made.num_steps, round(seconds, 2))


def auto_rows(train: Dataset, encoder: str) -> dict[str, Any]:
    """Share → row numbers that ``order="auto"`` keeps, and the scores: EL2N of heads, which need no network trained on pixels."""
    start = time.process_time()
    scored = train.score_with("el2n", teachers="heads", encoder=encoder, run=Run(image_size=64))
    found = {"scores": np.ma.filled(read_scores(scored, "el2n"), np.nan)}
    for keep in KEEPS:
        kept, chosen = scored.prune("el2n", keep=keep, return_selection=True)
        print(f"auto at {keep:.0%}: {chosen.order}, {provenance(kept).steps[-1].decided}", flush=True)
        found[f"{keep:g}"] = chosen.kept
    print(f"scored and judged in {time.process_time() - start:.0f} CPU seconds", flush=True)
    return found


def read(path: Path) -> dict[tuple[str, float, int], Training]:
    """What was trained before."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        lines = [Training(**{name: kind(line[name]) for name, kind in KINDS.items()}) for line in csv.DictReader(file)]
    return {line[:3]: line for line in lines}


KINDS = Training.__annotations__


def write(path: Path, known: dict[tuple[str, float, int], Training]) -> None:
    """Write all trainings, in the order of the cells."""
    order = list(cells())
    lines = sorted(known.values(), key=lambda line: (order.index(line[:2]), line.seed))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Training._fields)
        writer.writerows(lines)


def mean_and_spread(values: list[float]) -> str:
    """Give percentages as mean ± standard deviation."""
    return f"{100 * statistics.mean(values):.1f} ± {100 * statistics.stdev(values) if len(values) > 1 else 0:.1f}"


def table(known: dict[tuple[str, float, int], Training]) -> Iterator[str]:
    """Lines of a Markdown table, and the differences that matter."""
    yield "| rows of an epoch | method | accuracy, % | rows seen | CPU seconds |"
    yield "| --- | --- | --- | --- | --- |"
    by_cell = {cell: [line for line in known.values() if line[:2] == cell] for cell in cells()}
    for (method, keep), lines in sorted(by_cell.items(), key=lambda item: -item[0][1]):
        if lines:
            seconds = statistics.median(line.cpu_seconds for line in lines)
            accuracy = mean_and_spread([line.accuracy for line in lines])
            yield f"| {keep:.0%} | {NAMES[method]} | {accuracy} | {lines[0].rows_seen:,} | {seconds:.0f} |"
    pairs = [(("rs2", keep), (RANDOM, keep)) for keep in KEEPS] + [(("infobatch", OWN_SAVING), (FULL, 1.0))]
    pairs += [(("infobatch", OWN_SAVING), (FEWER_STEPS, 1.0))]
    pairs += [((name, KEEPS[0]), ("rs2", KEEPS[0])) for name in CURRICULA]
    for ours, other in pairs:
        gains = [
            100 * (known[*ours, seed].accuracy - known[*other, seed].accuracy)
            for seed in SEEDS
            if (*ours, seed) in known and (*other, seed) in known
        ]
        if len(gains) > 1:
            error = statistics.stdev(gains) / len(gains) ** 0.5
            yield f"{ours[0]} at {ours[1]:.0%} - {other[0]}: {statistics.mean(gains):+.2f} ± {error:.2f} ({len(gains)} pairs)"


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--encoder", required=True, help="for the scores that order=auto judges")
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--auto", type=Path, required=True, help="an .npz file, made where it is missing")
    parser.add_argument("--seeds", type=int, nargs="*", default=list(SEEDS))
    parser.add_argument("--join", type=Path, nargs="*", default=[], help="files of processes that shared the work")
    given = parser.parse_args()
    datasets.disable_progress_bars()
    known = {key: line for path in (given.csv, *given.join) for key, line in read(path).items()}
    missing = [(*cell, seed) for cell in cells() for seed in given.seeds if (*cell, seed) not in known]
    if missing:
        train, test = (open_dataset(path) for path in (given.train, given.test))
        train, test = train.select(range(NUM_ROWS)), test.select(range(NUM_TEST_ROWS))
        if not given.auto.exists():
            np.savez(given.auto, **auto_rows(train, given.encoder))
        judge = Judge(train, test, dict(np.load(given.auto)))
    for method, keep, seed in missing:
        line = judge.run(method, keep, seed)
        known[line[:3]] = line
        write(given.csv, known)
        print(*line, flush=True)
    write(given.csv, known)
    print(*table(known), sep="\n")


if __name__ == "__main__":
    main()
