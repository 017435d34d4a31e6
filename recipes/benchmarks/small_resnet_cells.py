"""A small ResNet trained from pixels on what ``auto`` kept, beside random rows and two fixed rules.

    python recipes/benchmarks/small_resnet_cells.py --embeddings embeddings --train train.parquet --test test.parquet --work work

The rows, labels, scores and choices are those of `auto_cells.py`, whose work folder is given; the network sees the images
alone: half the widths, shifted and mirrored images, as many steps in every cell, one training per draw, judged on the
first 5,000 test images. ``--no-auto`` trains on the fixed rules and says nothing of what came out.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import torch
from auto_cells import draws_of, fixed_rules, measured
from cell_auto import auto_choices
from cell_draws import Draw, cifar10
from cell_table import Cell, mean_and_spread, summary
from cell_trainings import RANDOM, Judge, Rows, Rule, Trainings
from datasets import Dataset

from hf_prune.data.columns import find_label_column, read_labels
from hf_prune.data.loading import open_dataset
from hf_prune.models.small_resnet import make_processor, network_config
from hf_prune.training.classifier import train_classifier
from hf_prune.training.images import TrainingImages

NETWORK, LEARNING_RATE, BATCH_SIZE = "resnet8-half", 3e-3, 16
IMAGES_SEEN = 6_400  # by each training: epochs times rows
NUM_TEST_ROWS = 5_000
# Rows, noise, share kept.
CELLS = [
    (1_000, 0.0, 0.5),
    (1_000, 0.0, 0.2),
    (1_000, 0.15, 0.5),
    (1_000, 0.15, 0.2),
    (5_000, 0.0, 0.2),
    (5_000, 0.15, 0.2),
]
RULES = (RANDOM, Rule("easy"), Rule("stratified", 0.2))


def network_judge(train: Dataset, test: TrainingImages) -> Judge:
    """What trains a network on each selection and returns accuracies on the test images."""
    column = find_label_column(train) or "label"
    feature, plain = train.features[column], train.remove_columns(column)
    tested = torch.stack([image["pixel_values"] for image in test.__getitems__(range(len(test)))])

    def judge(draw: Draw, selections: Sequence[Rows], seeds: Sequence[int]) -> list[float]:
        needed = np.unique(np.concatenate(selections))
        rows = plain.select(draw.rows[needed]).add_column(column, draw.labels[needed], feature=feature)
        images, found = TrainingImages(rows, make_processor()), []
        for kept, seed in zip(selections, seeds, strict=True):
            made = train_classifier(
                images.subset(np.searchsorted(needed, kept)),
                network_config(NETWORK),
                num_epochs=IMAGES_SEEN / len(kept),
                seed=seed,
                batch_size=BATCH_SIZE,
                learning_rate=LEARNING_RATE,
                lr_scheduler_type="linear",
                augment=True,
            )
            with torch.inference_mode():
                logits = torch.cat([made.model(pixel_values=part).logits for part in torch.split(tested, 500)])
            found.append(float(np.mean(logits.argmax(dim=1).numpy() == test.labels)))
        return found

    return judge


def cell_of(
    trainings: Trainings, draws: Sequence[Draw], keep: float, judge: Judge, work: Path, with_auto: bool
) -> Cell | None:
    """Train what is missing in one cell."""
    choices = [auto_choices(draw, work)[keep] for draw in draws] if with_auto else []
    for number, draw in enumerate(draws):
        selections = [rule.rows(draw, keep) for rule in RULES] + [
            choice.rows for choice in choices[number : number + 1]
        ]
        count = trainings.train(draw, keep, selections, [0], judge)
        print(f"{draw.name} keep {keep}: {count} trainings", flush=True)
    if not with_auto:
        return None
    noise = f"{draws[0].noise:.0%} redrawn" if draws[0].noise else "clean"
    auto = measured(trainings, draws, keep, [choice.rows for choice in choices])
    fixed = fixed_rules(trainings, draws, keep, RULES)
    return Cell(f"{draws[0].size:,}, {noise}, {keep:.0%}", fixed, auto, auto, [choice.rule for choice in choices])


def write_table(cells: Sequence[Cell], path: Path | None) -> None:
    """Print one line per cell, and write it as CSV where asked to."""
    lines = []
    for cell in cells:
        means = {str(rule): mean_and_spread(values) for rule, values in cell.fixed.items()}
        line = {"cell": cell.name, "random_sd": means["random"][1]} | {rule: mean for rule, (mean, _) in means.items()}
        chosen = " ".join(str(rule).replace(" ", "") for rule in cell.choices)
        line |= {"auto": float(np.nanmean(cell.auto)), "auto_chose": chosen}
        line |= {"difference": cell.gain.mean, "difference_se": cell.gain.error, "p": cell.gain.below}
        lines.append(line | {"best": str(cell.best), "regret": cell.gap.mean, "regret_se": cell.gap.error})
        print(
            " ".join(
                f"{key}={value:.4f}" if isinstance(value, float) else f"{key}={value}"
                for key, value in lines[-1].items()
            )
        )
    print(*[said for said in summary(cells) if "same cut" not in said], sep="\n")
    if path is not None:
        pd.DataFrame(lines).round(5).to_csv(path, index=False)


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--embeddings", type=Path, required=True, help="as for auto_cells.py")
    parser.add_argument("--work", type=Path, required=True, help="the work folder of auto_cells.py")
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--no-auto", dest="auto", action="store_false")
    parser.add_argument("--csv", type=Path)
    given = parser.parse_args()
    datasets.disable_progress_bars()
    source, train = cifar10(given.embeddings), open_dataset(given.train)
    if not np.array_equal(read_labels(train, find_label_column(train) or "label").codes, source.labels):
        raise SystemExit("the images are in another order than the embeddings")
    test = TrainingImages(open_dataset(given.test).select(range(NUM_TEST_ROWS)), make_processor())
    judge, trainings = network_judge(train, test), Trainings(given.work / "trainings-resnet.csv")
    cells = [
        cell_of(trainings, draws_of(source, "el2n", size, noise, given.work), keep, judge, given.work, given.auto)
        for size, noise, keep in CELLS
    ]
    judged = [cell for cell in cells if cell is not None]
    if judged:
        write_table(judged, given.csv)


if __name__ == "__main__":
    main()
