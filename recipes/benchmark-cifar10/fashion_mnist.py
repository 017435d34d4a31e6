"""Write Fashion-MNIST as the grid reads it, from the files of Debian's package ``dataset-fashion-mnist``.

apt-get download dataset-fashion-mnist && dpkg -x dataset-fashion-mnist*.deb files
python recipes/benchmark-cifar10/fashion_mnist.py --files files/usr/share/datasets/fashion-mnist --out data/fashion-mnist
"""

import argparse
import gzip
import io
from pathlib import Path

import numpy as np
import PIL.Image
from datasets import ClassLabel, Dataset, Features, Image
from tqdm import tqdm

CLASSES = ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]
SPLITS = {"train": "train", "test": "t10k"}
HEADER = {"images": 16, "labels": 8}  # bytes before the values
SIDE = 28


def values(file: Path, header: int) -> np.ndarray:
    """Return the bytes of a file in the IDX format, without its header."""
    with gzip.open(file) as opened:
        return np.frombuffer(opened.read(), np.uint8, offset=header)


def png(pixels: np.ndarray) -> bytes:
    """Encode a grey image (h, w) without loss."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def main() -> None:
    """Write both splits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    features = Features({"image": Image(), "label": ClassLabel(names=CLASSES)})
    for split, name in SPLITS.items():
        pixels = values(given.files / f"{name}-images-idx3-ubyte.gz", HEADER["images"]).reshape(-1, SIDE, SIDE)
        labels = values(given.files / f"{name}-labels-idx1-ubyte.gz", HEADER["labels"]).astype(np.int64)
        images = [{"bytes": png(image), "path": None} for image in tqdm(pixels, desc=split)]
        Dataset.from_dict({"image": images, "label": labels}, features=features).to_parquet(
            given.out / f"{split}.parquet"
        )


if __name__ == "__main__":
    main()
