"""What the recipes that were not run would take: `hf_prune.estimate` on rows of the same number and kind.

    OMP_NUM_THREADS=1 python recipes/paper/expected.py --data data --csv recipes/paper/expected.csv

The models are random weights of the same architecture and the rows repeat images of other sets, CIFAR-10 for SVHN (both 32 x 32
pixels) and 713 photographs of about 400 x 533 for ImageNet (about 400 x 350 in the mean); `estimate` tries some 256 different ones. It
speaks of the clock, with what runs beside it; the share of a core that this process got turns that into hours of one free core.
Training is foretold from one epoch of one network on 2,000 rows.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import transformers
import yaml
from datasets import Dataset, concatenate_datasets, disable_progress_bars

import hf_prune
from hf_prune.data.loading import open_dataset
from hf_prune.models.small_resnet import SmallResNetForImageClassification, make_processor, network_config
from hf_prune.policy.estimate import trial_rows
from hf_prune.scoring import Request

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
from machine import machine

RECIPES = Path(__file__).resolve().parents[1]
TRIED_ROWS = 2_000


class Case(NamedTuple):
    """A recipe that was not run: its rows, and what stands in for its data and models."""

    rows: int
    images: Callable[[Path], Dataset]
    models: Callable[[Path], dict[str, Any]]


def photographs(data: Path) -> Dataset:
    """Photographs at the size at which they were published."""
    return concatenate_datasets(
        [open_dataset(str(data / f"clothing/{name}.parquet")) for name in ("validation", "test")]
    )


def small_images(data: Path) -> Dataset:
    """Images of CIFAR-10."""
    return open_dataset(str(data / "cifar10/train.parquet"))


def dinov2_small(folder: Path) -> dict[str, Any]:
    """An encoder of the architecture of facebook/dinov2-small, which sees 224 pixels."""
    config = transformers.Dinov2Config(
        hidden_size=384, num_hidden_layers=12, num_attention_heads=6, image_size=518, patch_size=14
    )
    transformers.Dinov2Model(config).save_pretrained(folder)
    transformers.BitImageProcessorPil(
        size={"shortest_edge": 256}, crop_size={"height": 224, "width": 224}
    ).save_pretrained(folder)
    return {"encoder": str(folder)}


def teachers(folder: Path) -> dict[str, Any]:
    """Ten networks of the package."""
    config = network_config("resnet8-half")
    config.num_labels = 10
    for number in range(10):
        SmallResNetForImageClassification(config).save_pretrained(folder / str(number))
        make_processor().save_pretrained(folder / str(number))
    return {"teachers": [str(folder / str(number)) for number in range(10)]}


CASES = {
    "svhn-el2n": Case(73_257, small_images, teachers),
    "imagenet-prototypes": Case(1_281_167, photographs, dinov2_small),
}


def stand_in(case: Case, images: Dataset, settings: dict[str, Any]) -> Dataset:
    """As many rows as the recipe has; those that are tried are different images. Nothing is written: it is a selection."""
    places = np.arange(case.rows) % len(images)
    tried = trial_rows(images.select(places), Request(**settings))
    places[tried] = np.arange(len(tried)) % len(images)
    return images.select(places)


def training_seconds(recipe: dict[str, Any], ds: Dataset, folder: Path) -> float:
    """Processor seconds of all trainings of the recipe, from one epoch of one of them on few rows."""
    given = dict(recipe["train_teachers"])
    all_epochs = given.pop("num_teachers") * given.pop("num_epochs")
    start = time.process_time()
    hf_prune.train_teachers(
        ds.select(range(TRIED_ROWS)), **{**given, "folder": folder}, num_teachers=1, num_epochs=1, mode="end"
    )
    return (time.process_time() - start) * all_epochs * len(ds) / TRIED_ROWS


def line_of(name: str, data: Path, folder: Path) -> dict[str, Any]:
    """Estimate one recipe."""
    case, recipe = CASES[name], yaml.safe_load((RECIPES / name / "config.yaml").read_text())
    score = dict(recipe["score"][0])
    own = {key: value for key, value in score.items() if key in ("num_prototypes", "seed", "evidence")}
    models = case.models(folder / "models")
    ds = stand_in(case, case.images(data), models)
    clock, used = time.perf_counter(), time.process_time()
    run = hf_prune.Run(cache_dir=folder / "cache", device="cpu")
    found = hf_prune.estimate(ds, score["metric"], **models, **own, run=run)
    got = (time.process_time() - used) / (time.perf_counter() - clock)
    training = training_seconds(recipe, ds, folder / "training") if "train_teachers" in recipe else 0.0
    return {
        "recipe": name,
        "rows": case.rows,
        "estimated_h": round(found.seconds / 3600, 2),
        "core_share": round(got, 2),
        "scoring_core_h": round(found.seconds * got / 3600, 2),
        "training_core_h": round(training / 3600, 2),
        "memory_gb": round(found.memory / 1e9, 1),
        "cache_gb": round(found.disk / 1e9, 2),
        "parts": "; ".join(f"{part} {seconds:.0f} s" for part, seconds in found.parts.items()),
        "load": round(os.getloadavg()[0], 1),
        "machine": machine(),
    }


def main() -> None:
    """Print a line per recipe that the table lacks, and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--csv", type=Path, default=Path(__file__).parent / "expected.csv")
    given = parser.parse_args()
    disable_progress_bars()
    torch.manual_seed(0)
    lines = pd.read_csv(given.csv).to_dict("records") if given.csv.exists() else []
    for name in [name for name in CASES if name not in {line["recipe"] for line in lines}]:
        with tempfile.TemporaryDirectory() as folder:
            lines.append(line_of(name, given.data, Path(folder)))
        print(lines[-1], flush=True)
        pd.DataFrame(lines).to_csv(given.csv, index=False)


if __name__ == "__main__":
    main()
