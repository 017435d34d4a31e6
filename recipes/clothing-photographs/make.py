"""Make the photographs of the demo, hf_prune/assets/clothing, from the data set that they are a copy of.

python recipes/clothing-photographs/make.py FOLDER hf_prune/assets/clothing

FOLDER holds train.parquet and test.parquet of alexeygrigorev/clothing-dataset-small at commit 1196151 (CC0 1.0): columns ``image``
and ``label``.
"""

import io
import sys
from pathlib import Path

import datasets
import numpy as np
import PIL.Image

SIDE, QUALITY = 96, 70  # pixels of the shorter side; of the JPEG
ROWS = {"train": 800, "test": 372}  # drawn at random from the 3,068 of train; all of test
SEED = 0


def small(image: PIL.Image.Image) -> dict[str, object]:
    """Encode a photograph anew, without what its file says beside the pixels."""
    image = image.convert("RGB")
    scale = SIDE / min(image.size)
    image = image.resize([max(round(side * scale), 1) for side in image.size], PIL.Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return {"bytes": buffer.getvalue(), "path": None}


def main(source: Path, target: Path) -> None:
    """Write train.parquet and test.parquet."""
    target.mkdir(parents=True, exist_ok=True)
    for split, count in ROWS.items():
        ds = datasets.Dataset.from_parquet(str(source / f"{split}.parquet"))
        rows = np.sort(np.random.default_rng(SEED).permutation(len(ds))[:count])
        ds = ds.select(rows).select_columns(["image", "label"])
        data = {"image": [small(row["image"]) for row in ds], "label": ds["label"][:]}
        made = datasets.Dataset.from_dict(data, features=ds.features)
        made.to_parquet(str(target / f"{split}.parquet"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
