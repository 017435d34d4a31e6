"""Compare what `hf_prune.estimate` says with what scoring then takes, by the clock, each with an empty cache.

    OMP_NUM_THREADS=1 python recipes/benchmarks/estimates.py --data ../shared/data --csv recipes/benchmarks/estimates.csv

Cases: photographs through EfficientNet-Lite0 at 64 pixels and prototypes; CIFAR-10 as pixels and prototypes; EL2N of CIFAR-10 by
one teacher, a small ResNet with random weights, whose features the evidence is gathered on. Of the disk, it is the growth of
the cache; of the memory, the peak of the process, which only grows from case to case.
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from datasets import Dataset, concatenate_datasets, disable_progress_bars, load_dataset
from machine import machine

import hf_prune
from hf_prune.models.small_resnet import SmallResNetForImageClassification, network_config


def clothing(data: Path, rows: int) -> Dataset:
    """Take photographs."""
    names = ("test", "validation", "train")
    parts = [
        load_dataset("parquet", data_files=str(data / f"clothing/{name}.parquet"), split="train") for name in names
    ]
    return concatenate_datasets(parts).select(range(rows))


def cifar(data: Path, rows: int) -> Dataset:
    """Take images of CIFAR-10."""
    return load_dataset("parquet", data_files=str(data / "cifar10/train.parquet"), split="train").select(range(rows))


def to_tensor(image: Any) -> torch.Tensor:
    """Scale pixels to [-1, 1]."""
    return torch.from_numpy(np.asarray(image)).permute(2, 0, 1).float() / 127.5 - 1


def measure(name: str, ds: Dataset, metric: str, arguments: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Estimate and then score, and return a line of the table."""
    arguments["run"] = hf_prune.Run(cache_dir=folder, device="cpu", image_size=arguments.pop("image_size", None))
    start = time.perf_counter()
    found = hf_prune.estimate(ds, metric, **arguments)
    trial = time.perf_counter() - start
    start, used = time.perf_counter(), time.process_time()
    hf_prune.score_with(ds, metric, **arguments)
    taken = time.perf_counter() - start
    grown = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "case": name,
        "rows": len(ds),
        "estimated_s": round(found.seconds, 1),
        "taken_s": round(taken, 1),
        "ratio": round(found.seconds / taken, 2),
        "cpu_s": round(time.process_time() - used, 1),
        "trial_s": round(trial, 1),
        "parts": "; ".join(f"{part} {seconds:.1f}" for part, seconds in found.parts.items()),
        "memory_ratio": round(found.memory / peak, 2),
        "disk_ratio": round(found.disk / grown, 2),
        "load": round(os.getloadavg()[0], 1),
        "machine": machine(),
    }


def main() -> None:
    """Print a line per case, and write them as CSV where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs=3, default=[3000, 20_000, 5000])
    parser.add_argument("--cases", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--csv", type=Path)
    given = parser.parse_args()
    disable_progress_bars()
    torch.manual_seed(0)
    config = network_config("resnet8")
    config.num_labels = 10
    teacher = SmallResNetForImageClassification(config)
    few, many, some = given.rows
    encoder = {"encoder": str(given.data / "efficientnet-lite0"), "image_size": 64, "evidence": False}
    cases: dict[str, Callable[[], tuple[Dataset, str, dict[str, Any]]]] = {
        "photographs, EfficientNet-Lite0": lambda: (clothing(given.data, few), "prototypes", dict(encoder)),
        "CIFAR-10, pixels": lambda: (cifar(given.data, many), "prototypes", {"encoder": "pixels", "evidence": False}),
        "CIFAR-10, EL2N of a teacher, evidence": lambda: (
            cifar(given.data, some),
            "el2n",
            {"teachers": (teacher, to_tensor)},
        ),
    }
    table = []
    for _ in range(given.repeats):
        for name, make in [list(cases.items())[case] for case in given.cases]:
            with tempfile.TemporaryDirectory() as folder:
                table.append(measure(name, *make(), Path(folder)))
            print(" ".join(f"{key}={value}" for key, value in table[-1].items()), flush=True)
            if given.csv:
                pd.DataFrame(table).to_csv(given.csv, index=False)


if __name__ == "__main__":
    main()
