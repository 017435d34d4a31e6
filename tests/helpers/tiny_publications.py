"""Small image data sets for tests of what is published; images are plain PPM bytes, the same with every library version."""

import json

import numpy as np
from datasets import ClassLabel, Dataset, Features, Image

import hf_prune
from hf_prune.data.history import Step, record

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SOURCE = f"uoft-cs/cifar10@{COMMIT}"
NAMES = ["cat", "dog", "ship"]


def image_bytes(number: int) -> bytes:
    return b"P6 2 2 255\n" + bytes([number % 256, number // 256, *range(10)])


def images(rows: int = 12, names: list[str] | None = None, *, column: str = "image", label: str = "label") -> Dataset:
    """Rows with an image and a class, the classes in turn."""
    names = NAMES if names is None else names
    return Dataset.from_dict(
        {
            column: [{"bytes": image_bytes(row), "path": f"{row}.ppm"} for row in range(rows)],
            label: [row % len(names) for row in range(rows)],
        },
        features=Features({column: Image(), label: ClassLabel(names=names)}),
        split="train",
    )


def scored(ds: Dataset, column: str = "prototypes", factor: int = 7) -> Dataset:
    """With a column of scores and the step that would have made it; scoring for real would import torch."""
    scores = np.float32([(row * factor % 13) / 13 + row / 1000 for row in range(len(ds))])
    step = Step(kind="score", metric=column, column=column, inputs={"embeddings": {"given_sha256": "0" * 64}})
    return record(ds, ds.add_column(column, scores), step)


def pruned(ds: Dataset, keep: float = 0.5, **keywords: object) -> Dataset:
    return hf_prune.prune(scored(ds), "prototypes", keep=keep, order="hard", **keywords)


def publish_cut(ds: Dataset, folder, what: str = "scores", **cut: object):
    """Prune by ``prototypes`` and export the cut; the folder."""
    kept = ds.prune("prototypes", **({"keep": 0.5, "order": "hard"} | cut))
    return hf_prune.export(kept, folder, source="local", scores=None if what == "split" else ds, what=what)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def records(folder):
    return json.loads((folder / "provenance.json").read_text())["configs"]


def entry(folder, config=None, split="train"):
    """What the record says of a split; of the only configuration where none is named."""
    found = records(folder)
    (name,) = found if config is None else [config]
    return found[name]["splits"][split]


def encoded(ds):
    return [row["bytes"] for row in ds.cast_column("image", Image(decode=False))["image"]]


def numbers(ds):
    """What `image_bytes` wrote into each image: its number, below 256."""
    return [content[11] for content in encoded(ds)]
