"""Streams of tiny images from files on this disk, and the same rows as a data set in memory."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, IterableDataset, Value, load_dataset

from tests.helpers.tiny_sets import noise

FEATURES = Features(
    {"image": Image(), "label": ClassLabel(names=["a", "b", "c"]), "score": Value("float32"), "text": Value("string")}
)


def rows(count: int = 60, seed: int = 0) -> list[dict]:
    """Rows with images of which some repeat, uneven classes and scores of which many are equal."""
    generator = np.random.default_rng(seed)
    images = noise(count, seed)
    return [
        {
            "image": {"bytes": images[row if row % 7 else 0], "path": None},
            "label": int(generator.choice(3, p=[0.7, 0.25, 0.05])),
            "score": None if row % 13 == 5 else float(generator.integers(0, 6)),
            "text": f"row {row}",
        }
        for row in range(count)
    ]


def parquet_stream(folder: Path, shards: int = 3, count: int = 60, *, make: bool = True) -> IterableDataset:
    """A stream of Parquet files with unequal numbers of rows, which are made unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    if make and not any(folder.iterdir()):
        whole = Dataset.from_list(rows(count), features=FEATURES)
        ends = [0, *np.sort(np.random.default_rng(1).choice(np.arange(1, count), shards - 1, replace=False)), count]
        for shard in range(shards):
            whole.select(range(ends[shard], ends[shard + 1])).to_parquet(folder / f"{shard}.parquet")
    return load_dataset("parquet", data_files=str(folder / "*.parquet"), split="train", streaming=True)


def tar_stream(folder: Path, shards: int = 2, count: int = 20) -> IterableDataset:
    """A stream of WebDataset archives; classes are plain numbers there."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        with tarfile.open(folder / f"{shard}.tar", "w") as tar:
            for row in rows(count, seed=shard):
                for end, content in (("png", row["image"]["bytes"]), ("cls", str(row["label"]).encode())):
                    entry = tarfile.TarInfo(f"{row['text'].replace(' ', '')}.{end}")
                    entry.size = len(content)
                    tar.addfile(entry, io.BytesIO(content))
    return load_dataset("webdataset", data_files=str(folder / "*.tar"), split="train", streaming=True)


def folder_stream(folder: Path, count: int = 20) -> IterableDataset:
    """A stream of image files in a folder for each class."""
    for number, row in enumerate(rows(count)):
        place = folder / FEATURES["label"].names[row["label"]]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:02d}.png").write_bytes(row["image"]["bytes"])
    return load_dataset("imagefolder", data_dir=str(folder), split="train", streaming=True)


def in_memory(stream: IterableDataset) -> Dataset:
    """The rows of a stream as a data set."""
    return Dataset.from_list(list(stream.decode(False)), features=stream.features)


def column(rows, name: str = "prototypes") -> list:
    """The values of a column of a stream."""
    return [row[name] for row in rows]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Let twenty rows be several blocks."""
    monkeypatch.setattr("hf_prune.streams.source.BLOCK_ROWS", 8)
    monkeypatch.setattr("hf_prune.streams.source._PIECE_ROWS", 4)
