"""Small image data sets for tests of what is published; images are plain PPM bytes, the same with every library version."""

import numpy as np
from datasets import ClassLabel, Dataset, Features, Image

import hf_prune

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


def scored(ds: Dataset, metric: str = "prototypes") -> Dataset:
    """Scored with given embeddings or probabilities that depend on the row alone."""
    rows = np.arange(len(ds))
    angles = 0.1 + rows / len(rows)
    if metric == "el2n":
        probs = np.stack([np.cos(angles) ** 2, np.sin(angles) ** 2], axis=1)
        return ds.score_with("el2n", inputs={"probs": probs[None], "labels": rows % 2})
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return ds.score_with("prototypes", inputs={"embeddings": embeddings}, num_prototypes=2)


def pruned(ds: Dataset, keep: float = 0.5, **keywords: object) -> Dataset:
    return hf_prune.prune(scored(ds), "prototypes", keep=keep, order="hard", **keywords)
