"""Data of the demo: photographs within the package, or any data set with images, with a part set aside for testing."""

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image
from numpy.typing import ArrayLike, NDArray

from hf_prune.data.columns import find_image_column, find_label_column, read_labels
from hf_prune.data.loading import open_dataset
from hf_prune.data.source import split_revision
from hf_prune.runtime.errors import InputError

PHOTOGRAPHS = Path(__file__).parents[1] / "assets" / "clothing"
HOLDOUT = 0.2
_TEST_SPLITS = ("test", "validation", "valid", "val", "dev")


@dataclass(frozen=True)
class DemoData:
    """A data set for the demo.

    Attributes:
        name: What files and pictures call it.
        train: The split to prune.
        test: Rows to test students on; None where there are no labels.
        origin: What was opened and set aside, in words.
        source: As for ``export``: ``"local"``, or None to detect a source on the Hub.
        image_column: The column with the images.
        label_column: The column with the classes, or None.
    """

    name: str
    train: Dataset
    test: Dataset | None
    origin: str
    source: str | None
    image_column: str
    label_column: str | None


def open_data(dataset: str | None, image_column: str | None, label_column: str | None, seed: int) -> DemoData:
    """Open the demo's data; the arguments are those of `run_demo`.

    The seed decides the rows that are set aside where there is no test split with labels.

    Raises:
        ValueError: If there is no image column, several of a kind, or too few rows.
        OSError: If it cannot be opened.
    """
    if dataset is None:
        train, test = (photographs(split) for split in ("train", "test"))
        return DemoData("clothing", train, test, "photographs of clothes, ten classes", "local", "image", "label")
    opened = open_dataset(dataset)
    splits = opened if isinstance(opened, DatasetDict) else DatasetDict({str(opened.split or "train"): opened})
    split = "train" if "train" in splits else next(iter(splits))
    train = splits[split]
    is_local = Path(dataset).expanduser().exists()
    data = DemoData(
        name=Path(dataset).stem if is_local else split_revision(dataset)[0].rpartition("/")[2],
        train=train,
        test=None,
        origin=f"{dataset}, split {split!r}",
        source="local" if is_local else None,
        image_column=find_image_column(train, image_column),
        label_column=find_label_column(train, label_column),
    )
    data = _with_labels(data)
    if data.label_column is None:
        return data
    for name in _TEST_SPLITS:
        if name != split and _can_test(splits.get(name), data):
            return replace(data, test=splits[name], origin=f"{data.origin}, tested on split {name!r}")
    return _hold_out(data, HOLDOUT, seed)


def photographs(split: str) -> Dataset:
    """Return photographs of clothes from the package, 96 pixels on the shorter side: 800 of ``"train"`` or 372 of ``"test"``.

    Example:
        >>> ds = photographs("test")
        >>> len(ds), ds.features["label"].names[:3]
        (372, ['dress', 'hat', 'longsleeve'])

    References:
        alexeygrigorev/clothing-dataset-small at commit 1196151, CC0 1.0; see the README beside them.
    """
    return cast(Dataset, Dataset.from_parquet(str(PHOTOGRAPHS / f"{split}.parquet")))


def digits_dataset() -> Dataset:
    """Return scikit-learn's 1,797 handwritten digits as a data set of 8x8 grey PNG images and their classes.

    Example:
        >>> ds = digits_dataset()
        >>> len(ds), ds[0]["image"].size, ds.features["label"].names[-1]
        (1797, (8, 8), '9')
    """
    import PIL.Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # grey values from 0 to 16

    def encoded(image: NDArray[np.uint8]) -> bytes:
        buffer = io.BytesIO()
        PIL.Image.fromarray(image).save(buffer, format="PNG")
        return buffer.getvalue()

    rows = {"image": [{"bytes": encoded(image), "path": None} for image in pixels], "label": digits.target.tolist()}
    names = [str(digit) for digit in digits.target_names]
    return Dataset.from_dict(rows, features=Features({"image": Image(), "label": ClassLabel(names=names)}))


def holdout_rows(codes: ArrayLike, fraction: float, seed: int) -> NDArray[np.int64]:
    """Choose rows to set aside, ascending, the same fraction of every class (n,).

    At least one row of each class goes, unless the class has but one.

    Example:
        >>> len(holdout_rows([0] * 10 + [1] * 5 + [2], 0.2, seed=0))
        3
    """
    codes = np.asarray(codes)
    rng = np.random.default_rng(seed)
    chosen: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    for code in np.unique(codes):
        rows = rng.permutation(np.flatnonzero(codes == code))
        chosen.append(rows[: min(len(rows) - 1, max(1, round(fraction * len(rows))))])
    return np.sort(np.concatenate(chosen))


def _with_labels(data: DemoData) -> DemoData:
    """Leave out rows without a label, or the labels altogether where no row has one."""
    if data.label_column is None:
        return data
    labelled = np.flatnonzero(read_labels(data.train, data.label_column).codes >= 0)
    if len(labelled) == len(data.train):
        return data
    if len(labelled) == 0:
        return replace(data, label_column=None)
    origin = f"{data.origin}, {len(data.train) - len(labelled)} rows without a label left out"
    return replace(data, train=data.train.select(labelled), origin=origin)


def _hold_out(data: DemoData, fraction: float, seed: int) -> DemoData:
    assert data.label_column is not None
    held = holdout_rows(read_labels(data.train, data.label_column).codes, fraction, seed)
    if len(held) == 0:
        raise InputError(f"{data.origin} has no class with two rows, so none can be set aside to test on")
    rest = np.setdiff1d(np.arange(len(data.train)), held)
    origin = f"{data.origin}, {fraction:.0%} of each class set aside to test on"
    return replace(data, train=data.train.select(rest), test=data.train.select(held), origin=origin)


def _can_test(split: Dataset | None, data: DemoData) -> bool:
    """Whether a split has labelled rows of the same columns; published test splits often have -1 for every label."""
    if split is None or len(split) == 0 or data.label_column is None:
        return False
    same = all(split.features.get(c) == data.train.features[c] for c in (data.image_column, data.label_column))
    return same and bool((read_labels(split, data.label_column).codes >= 0).all())
