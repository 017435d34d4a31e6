"""Time the embedding stage against a bare DataLoader loop over the same batches.

Both sides decode the same PNG or JPEG bytes, use the same module, dtype, batch size and collate, and end with all
outputs as one float32 array in memory. Ours adds what the stage is for: hashing every image, checking every output,
writing the store (cold, in a fresh folder) and reading the rows back. Runs are interleaved, since other work on the
machine then hits both sides alike; the ratio is that of the medians. CPU seconds stand beside the wall clock: they say
what a difference is made of when the machine is busy.

    python recipes/benchmarks/embedding_overhead.py --dataset cifar10/train.parquet --encoder DIR --image-size 64

Without --dataset and --encoder it makes 5,000 noise PNGs and a small Dinov2 from a config.
"""

import argparse
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset, Features, Image, disable_progress_bars, load_dataset

from hf_prune.data.columns import find_image_column
from hf_prune.data.images import EncodedImages
from hf_prune.engine.image_keys import image_keys
from hf_prune.engine.loop import run_model
from hf_prune.models.load import load_encoder
from hf_prune.models.loaded_model import LoadedModel
from hf_prune.runtime.processes import process_state

LIMIT = 1.05


class BareRows(torch.utils.data.Dataset):
    """Images decoded by `datasets` from the stored bytes.

    It reads the bytes as the engine does: ``ds[row]`` spends half as much again on a row, which would flatter the ratio.
    """

    def __init__(self, ds: Dataset, column: str) -> None:
        self.images, self.feature = EncodedImages(ds, column), ds.features[column]

    def __len__(self) -> int:
        """Give the number of rows."""
        return len(self.images)

    def __getitem__(self, row: int) -> object:
        """Give one decoded image."""
        return self.feature.decode_example({"path": None, "bytes": self.images[row]})


def bare_loop(ds: Dataset, column: str, model: LoadedModel, batch_size: int, device: torch.device) -> int:
    """Run the plain loop, opening of the model included as it is on the other side."""
    loader = torch.utils.data.DataLoader(BareRows(ds, column), batch_size=batch_size, collate_fn=model.collate)
    with model:
        forward = model.open(device)
        with torch.inference_mode():
            outputs = torch.cat([forward(batch) for batch in loader]).float().cpu().numpy()
    return len(outputs)


def embedding_stage(ds: Dataset, column: str, model: LoadedModel, batch_size: int, state: object) -> int:
    """Run ours with an empty store."""
    with tempfile.TemporaryDirectory() as folder:
        result = run_model(
            ds,
            model,
            image_column=column,
            state=state,
            batch_size=batch_size,
            store_root=Path(folder),
            desc="Embedding",
        )
    return len(result.rows)


def timed(side: Callable[[], int], rows: int) -> tuple[float, float]:
    """Run one side; give its wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    done = side()
    seconds = time.perf_counter() - wall, time.process_time() - cpu
    if done != rows:
        raise RuntimeError(f"{done} of {rows} rows came out")
    return seconds


def make_images(rows: int) -> Dataset:
    """Make distinct 32 x 32 noise PNGs."""
    import PIL.Image

    generator = np.random.default_rng(0)
    encoded = []
    for _ in range(rows):
        buffer = io.BytesIO()
        PIL.Image.fromarray(generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(buffer, "PNG")
        encoded.append({"bytes": buffer.getvalue(), "path": None})
    return Dataset.from_dict({"image": encoded}, features=Features({"image": Image()}))


def make_encoder(folder: Path) -> Path:
    """Write a small Dinov2 with random weights."""
    from transformers import BitImageProcessorPil, Dinov2Config, Dinov2Model

    config = Dinov2Config(hidden_size=192, num_hidden_layers=4, num_attention_heads=3, image_size=56, patch_size=14)
    torch.manual_seed(0)
    Dinov2Model(config).save_pretrained(folder)
    BitImageProcessorPil(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}).save_pretrained(folder)
    return folder


def distinct_rows(ds: Dataset, rows: int) -> Dataset:
    """Take the first rows, refusing equal images: ours would compute those once and win for the wrong reason."""
    ds = ds.select(range(min(rows, len(ds))))
    keys, _ = image_keys(EncodedImages(ds, find_image_column(ds)))
    _, first = np.unique(keys, return_index=True)
    return ds.select(np.sort(first))


def report(seconds: dict[str, list[tuple[float, float]]], rows: int) -> float:
    """Print the table and return the ratio of median wall times."""
    print(f"{'':18}{'median s':>10}{'images/s':>10}{'CPU-s':>8}   runs, wall s")
    medians = {}
    for name, runs in seconds.items():
        wall, cpu = (statistics.median(values) for values in zip(*runs, strict=True))
        medians[name] = wall, cpu
        print(f"{name:18}{wall:10.2f}{rows / wall:10.0f}{cpu:8.2f}   {' '.join(f'{run[0]:.2f}' for run in runs)}")
    (bare_wall, bare_cpu), (our_wall, our_cpu) = medians["bare loop"], medians["embedding stage"]
    print(f"ratio {our_wall / bare_wall:.3f} (limit {LIMIT}), of CPU seconds {our_cpu / bare_cpu:.3f}")
    return our_wall / bare_wall


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", help="a Parquet file of images")
    parser.add_argument("--encoder", help="a local folder of a model")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--runs", type=int, default=5)
    return parser.parse_args()


def main() -> None:
    """Run both sides in turn and print the ratio."""
    arguments = parse()
    disable_progress_bars()
    state = process_state()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.dataset:
            ds = load_dataset("parquet", data_files=arguments.dataset, split="train")
        else:
            ds = make_images(arguments.rows)
        ds = distinct_rows(ds, arguments.rows)
        column = find_image_column(ds)
        encoder = arguments.encoder or make_encoder(Path(folder))
        model = load_encoder(encoder, dtype=arguments.dtype, image_size=arguments.image_size, device=state.device)
        sides: dict[str, Callable[[], int]] = {
            "bare loop": lambda: bare_loop(ds, column, model, arguments.batch_size, state.device),
            "embedding stage": lambda: embedding_stage(ds, column, model, arguments.batch_size, state),
        }
        sides["bare loop"]()  # the first run warms libraries and the page cache, and counts for nobody
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
        for run in range(arguments.runs):
            for name in sorted(sides, reverse=bool(run % 2)):  # neither side is always first
                seconds[name].append(timed(sides[name], len(ds)))
                print(f"run {run + 1} {name}: {seconds[name][-1][0]:.2f} s", file=sys.stderr, flush=True)
    print(f"{len(ds)} distinct images, batch {arguments.batch_size}, {model.identity['dtype']}, {state.device}")
    raise SystemExit(report(seconds, len(ds)) > LIMIT)


if __name__ == "__main__":
    main()
