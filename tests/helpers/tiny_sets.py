"""Tiny image sets, and a model that needs no files: a fixed projection of 4 x 4 pixels to five numbers."""

import io
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from datasets import Dataset, Features, Image

from hf_prune.engine.loop import ModelRows, run_model
from hf_prune.models.loaded_model import LoadedModel
from hf_prune.runtime.processes import process_state

SIDE = 4  # pixels
WEIGHTS = torch.from_numpy(np.random.default_rng(0).normal(size=(SIDE * SIDE * 3, 5)).astype(np.float32))


def to_tensor(images):
    pixels = [np.asarray(image.convert("RGB").resize((SIDE, SIDE)), np.float32).ravel() for image in images]
    return torch.from_numpy(np.stack(pixels)) / 255


def make_model(forward=lambda batch: batch @ WEIGHTS, collate=to_tensor, name="projection", load=None, cacheable=True):
    return LoadedModel({"id": name}, None, cacheable, collate, load or (lambda _: (forward, lambda: None)))


def untouchable(device):
    raise AssertionError("the weights were opened although nothing was to be computed")


def encode(pixels) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def noise(rows: int, seed: int = 0) -> list[bytes]:
    generator = np.random.default_rng(seed)
    return [encode(generator.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)) for _ in range(rows)]


def make_set(encoded: list[bytes | None], **more) -> Dataset:
    images = [None if data is None else {"bytes": data, "path": None} for data in encoded]
    return Dataset.from_dict({"image": images, **more}, features=Features({"image": Image()}) if not more else None)


def expected(encoded: list[bytes]) -> np.ndarray:
    return (to_tensor([PIL.Image.open(io.BytesIO(data)) for data in encoded]) @ WEIGHTS).numpy()


def run(ds, model=None, **options) -> ModelRows:
    options = {"image_column": "image", "batch_size": 4} | options
    return run_model(ds, model or make_model(), state=process_state("cpu"), **options)


def files_under(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def set_of_files(folder: Path, encoded: list[bytes]) -> Dataset:
    for row, data in enumerate(encoded):
        (folder / f"{row}.png").write_bytes(data)
    features = Features({"image": Image()})
    paths = [{"bytes": None, "path": str(folder / f"{row}.png")} for row in range(len(encoded))]
    Dataset.from_dict({"image": paths}, features=features).to_parquet(folder / "table.parquet")
    return Dataset.from_parquet(str(folder / "table.parquet"), features=features, cache_dir=str(folder / "cache"))


def many() -> Dataset:
    """More images than a chunk holds."""
    shades = np.arange(4400)
    pixels = np.stack([shades % 256, shades // 256, shades * 0], axis=1).astype(np.uint8)
    return make_set([encode(pixel[None, None]) for pixel in pixels])


def ragged() -> Dataset:
    """37 rows, 30 different images, one of them unreadable, one row null."""
    encoded = [*noise(28), b"broken"]
    rows = [*range(20), 3, 3, 28, *range(20, 28), 0, 28, 27, 15]
    return make_set([*(encoded[row] for row in rows), None, encoded[1]])
