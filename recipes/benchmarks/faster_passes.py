"""Measure what faster ways through a pass save, and whether scores stay within what `rebuild --rescore` allows.

    OMP_NUM_THREADS=1 python recipes/benchmarks/faster_passes.py --data ../shared/data --csv recipes/benchmarks/faster_passes.csv

Each is compared with what the engine does, on the photographs, EfficientNet-Lite0 at 64 pixels and ``prototypes``: processor
seconds of the step that it changes, the share of the rows whose fate is the same when half are kept, and how far from the cut
a row of another fate lies, in standard deviations of the scores. Allowed are 0.999 and 0.01.

- scaled decoding: libjpeg decodes at an eighth, a quarter or half of the size, never below that of the model (``Image.draft``)
- torch resizes: the resizing that torchvision's processors do, of 8-bit tensors with ``antialias=True``
- channels last, and contiguous: the memory format of the weights, of an encoder and of a teacher
- torch.compile: with its seconds of compiling
"""

import argparse
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import torch
from datasets import Image as ImageFeature
from datasets import concatenate_datasets, disable_progress_bars, load_dataset
from machine import machine

from hf_prune.data.images import to_rgb
from hf_prune.metrics.kmeans import distances_to, spherical_kmeans
from hf_prune.metrics.prototypes import default_num_prototypes
from hf_prune.models.load import load_encoder, load_teacher
from hf_prune.selection import select

SIZE, BATCH = 64, 64
SETS = ("test", "validation")


def read(encoded: Sequence[bytes], *, scaled: bool = False) -> list[PIL.Image.Image]:
    """Decode images, scaled down by libjpeg as far as the model's size allows where asked to."""
    images = []
    for content in encoded:
        image = PIL.Image.open(io.BytesIO(content))
        if scaled:
            image.draft("RGB", (SIZE, SIZE))
        image.load()
        images.append(to_rgb(image))
    return images


def resized_by_torch(images: Sequence[PIL.Image.Image], processor: object) -> torch.Tensor:
    """Resize by torch, and rescale and normalise as the processor does."""
    rows = []
    for image in images:
        pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None]
        rows.append(torch.nn.functional.interpolate(pixels, (SIZE, SIZE), mode="bicubic", antialias=True)[0])
    values = torch.stack(rows).float() * processor.rescale_factor
    mean, std = (torch.tensor(given)[:, None, None] for given in (processor.image_mean, processor.image_std))
    return (values - mean) / std


def outputs(forward: Callable[[dict[str, torch.Tensor]], torch.Tensor], batches: Sequence[torch.Tensor]) -> np.ndarray:
    """Send batches through a model."""
    with torch.inference_mode():
        return torch.cat([forward({"pixel_values": batch}) for batch in batches]).float().numpy()


def timed(work: Callable[[], object], runs: int = 3) -> tuple[object, float]:
    """Return what it gives, and the least processor seconds of some runs."""
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        found = work()
        seconds.append(time.process_time() - start)
    return found, min(seconds)


def compare(values: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Compare scores by the same prototypes, those of the reference."""
    units = [(rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32) for rows in (reference, values)]
    found = spherical_kmeans(units[0], np.arange(len(values)), default_num_prototypes(len(values)))
    ours, theirs = (distances_to(found.centroids, rows) for rows in units)
    kept = [np.isin(np.arange(len(ours)), select(scores, order="hard", keep=0.5).kept) for scores in (ours, theirs)]
    differs = kept[0] != kept[1]
    farthest = np.abs(ours - np.sort(ours)[len(ours) // 2])[differs].max(initial=0.0) / ours.std()
    cosine = (values * reference).sum(axis=1) / np.linalg.norm(values, axis=1) / np.linalg.norm(reference, axis=1)
    return {
        "same_fate": round(1 - differs.mean(), 4),
        "farthest_std": round(float(farthest), 4),
        "least_cosine": round(float(cosine.min()), 6),
    }


class Bench:
    """Images, a model of each kind, and the lines of the table so far."""

    def __init__(self, folder: Path, encoded: Sequence[bytes]) -> None:
        self.encoded, self.lines = encoded, list[dict[str, Any]]()
        self.encoder, self.teacher = (
            load(folder, image_size=SIZE, dtype="float32", device="cpu") for load in (load_encoder, load_teacher)
        )
        self.forward = self.encoder.open(torch.device("cpu"))
        self.images, self.decoding = timed(lambda: read(encoded))
        self.batches, self.preparing = timed(lambda: self.collate(self.images))
        self.reference, self.running = timed(lambda: outputs(self.forward, self.batches))

    def collate(self, images: Sequence[PIL.Image.Image]) -> list[torch.Tensor]:
        """Preprocess images in batches."""
        return [self.encoder.collate(images[at : at + BATCH])["pixel_values"] for at in range(0, len(images), BATCH)]

    def note(
        self, what: str, step: str, before: float, after: float, values: np.ndarray, reference: np.ndarray
    ) -> None:
        """Add a line, and print it."""
        row = {"what": what, "step": step, "rows": len(values), "before_cpu_s": round(before, 2)}
        row |= {"after_cpu_s": round(after, 2), "ratio": round(after / before, 2), **compare(values, reference)}
        row["machine"] = machine()
        self.lines.append(row)
        print(" ".join(f"{key}={value}" for key, value in row.items()), flush=True)

    def decode(self) -> None:
        """Measure libjpeg's scaled decoding, and resizing by torch."""
        small, scaled = timed(lambda: read(self.encoded, scaled=True))
        less, resizing = timed(lambda: self.collate(small))
        before, found = self.decoding + self.preparing, outputs(self.forward, less)
        self.note("scaled decoding", "decoding and preprocessing", before, scaled + resizing, found, self.reference)
        starts, processor = range(0, len(self.images), BATCH), self.encoder.collate.processor
        by_torch, resizing = timed(
            lambda: [resized_by_torch(self.images[at : at + BATCH], processor) for at in starts]
        )
        found = outputs(self.forward, by_torch)
        self.note("torch resizes", "preprocessing", self.preparing, resizing, found, self.reference)

    def order_channels(self) -> None:
        """Measure channels last against channels first."""
        self.forward.model.to(memory_format=torch.contiguous_format)
        contiguous, plain = timed(lambda: outputs(self.forward, self.batches))
        self.note("channels last, encoder", "forward", plain, self.running, self.reference, contiguous)
        predict = self.teacher.open(torch.device("cpu"))
        predict.model.to(memory_format=torch.contiguous_format)
        logits, plain = timed(lambda: outputs(predict, self.batches))
        predict.model.to(memory_format=torch.channels_last)
        last, running = timed(lambda: outputs(predict, self.batches))
        self.note("channels last, teacher", "forward", plain, running, last, logits)

    def compile(self) -> None:
        """Measure ``torch.compile``."""
        self.forward.model.to(memory_format=torch.channels_last)
        start = time.process_time()
        self.forward.model = torch.compile(self.forward.model, dynamic=True)
        outputs(self.forward, [*self.batches[:1], *self.batches[-1:]])
        print(f"compiling took {time.process_time() - start:.1f} processor seconds")
        compiled, faster = timed(lambda: outputs(self.forward, self.batches))
        self.note("torch.compile", "forward", self.running, faster, compiled, self.reference)


def main() -> None:
    """Print a line per way, and write them as CSV where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--compile", action="store_true", help="measure torch.compile, which takes minutes")
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    disable_progress_bars()
    parts = [
        load_dataset("parquet", data_files=str(arguments.data / f"clothing/{name}.parquet"), split="train")
        for name in SETS
    ]
    ds = concatenate_datasets(parts).cast_column("image", ImageFeature(decode=False))
    bench = Bench(arguments.data / "efficientnet-lite0", [row["bytes"] for row in ds["image"]][: arguments.rows])
    bench.decode()
    bench.order_channels()
    if arguments.compile:
        bench.compile()
    if arguments.csv:
        pd.DataFrame(bench.lines).to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()
