"""Pretrain on a pruned half of one set, fine-tune on another: small ResNets on CIFAR-10, then on photographs.

    OMP_NUM_THREADS=1 python recipes/paper/transfer.py --data data --work work

A half is kept by EL2N of heads on the features of the encoder of the package, or at random; all networks are pretrained for as
many epochs of what they are given, get a new last layer, are fine-tuned on all training photographs alike, and judged on the other
photographs. "none" begins the fine-tuning with random weights. About four minutes of a core for each draw.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset, concatenate_datasets
from paper_draws import (
    DATA,
    Draw,
    Line,
    Selection,
    all_rows,
    arguments,
    cut,
    draws_of,
    line_of,
    measure,
    references,
    shown,
)

from hf_prune.data.loading import open_dataset
from hf_prune.models.small_resnet import SmallResNetForImageClassification, make_processor, network_config
from hf_prune.training.classifier import train_classifier
from hf_prune.training.images import TrainingImages

NETWORK, KEEP, NUM_ROWS = "resnet8-half", 0.5, 10_000
EPOCHS, EPOCHS_AFTER = 8, 6
SETTINGS = {"batch_size": 32, "learning_rate": 5e-3, "lr_scheduler_type": "linear", "augment": True}
LAST_LAYER = "classifier"


def photographs(folder: Path) -> tuple[TrainingImages, TrainingImages]:
    """Photographs to fine-tune on, and those of the other two splits to judge by."""
    train, *rest = (open_dataset(str(folder / f"{name}.parquet")) for name in ("train", "validation", "test"))
    return TrainingImages(train, make_processor()), TrainingImages(concatenate_datasets(rest), make_processor())


def continued(made: torch.nn.Module | None, num_classes: int) -> Callable[[], torch.nn.Module]:
    """Return what builds a network with the weights of another but for its last layer; with new ones where there is none."""

    def build() -> torch.nn.Module:
        config = network_config(NETWORK)
        config.num_labels = num_classes
        model = SmallResNetForImageClassification(config)
        if made is not None:
            held = {name: value for name, value in made.state_dict().items() if not name.startswith(LAST_LAYER)}
            missing = model.load_state_dict(held, strict=False).missing_keys
            assert all(name.startswith(LAST_LAYER) for name in missing), missing
        return model

    return build


def tuned_hits(made: torch.nn.Module | None, tune: TrainingImages, judge: TrainingImages, seed: int) -> np.ndarray:
    """Fine-tune; which photographs the network gets right, shape (m,)."""
    model = train_classifier(
        tune, continued(made, len(tune.names)), num_epochs=EPOCHS_AFTER, seed=seed, **SETTINGS
    ).model
    with torch.inference_mode():
        rows = (judge.__getitems__(part.tolist()) for part in torch.arange(len(judge)).split(200))
        found = [model(pixel_values=torch.stack([row["pixel_values"] for row in part])).logits for part in rows]
    return torch.cat(found).argmax(dim=1).numpy() == judge.labels


def lines_of(draw: Draw, train: Dataset, tune: TrainingImages, judge: TrainingImages) -> list[Line]:
    """Pretrain on each selection and fine-tune."""
    images = TrainingImages(train.select(draw.rows), make_processor())
    chosen = [(1.0, selection) for selection in [Selection({"metric": "none", "rule": "none"}, None), *all_rows(draw)]]
    chosen += [(KEEP, selection) for selection in references(draw, KEEP)]
    for rule in ("hard", "easy"):
        chosen.append((KEEP, Selection({"metric": "el2n", "rule": rule}, cut(draw, draw.scores(), KEEP, rule))))
    lines = []
    for keep, selection in chosen:
        made = None
        if selection.rows is not None:
            made = train_classifier(
                images.subset(selection.rows), network_config(NETWORK), num_epochs=EPOCHS, seed=draw.number, **SETTINGS
            ).model
        hits = tuned_hits(made, tune, judge, draw.number)
        line = line_of(draw, keep, selection, hits, judge.labels)
        lines.append({**line, "data": "photographs", "student": f"{NETWORK}, pretrained on CIFAR-10"})
    return lines


def main() -> None:
    """Measure the draws that are missing, and print the table."""
    given = arguments(__doc__, "transfer", rows=NUM_ROWS)
    train = open_dataset(str(given.data / DATA / "train.parquet"))
    tune, judge = photographs(given.data / "clothing")
    table = measure(given.csv, draws_of(given), partial(lines_of, train=train, tune=tune, judge=judge))
    print(shown(table, ["metric", "rule"]))


if __name__ == "__main__":
    main()
