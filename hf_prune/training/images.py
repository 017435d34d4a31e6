"""Images and classes of a data set, as the Trainer of `transformers` and its DataLoader ask for them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset, Image
from datasets.utils import tqdm
from numpy.typing import ArrayLike, NDArray

from hf_prune.data.columns import Labels, find_image_column, find_label_column, read_labels
from hf_prune.data.images import EncodedImages
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.slices import slices

if TYPE_CHECKING:
    import torch

MEMORY_LIMIT = 2**30  # bytes of preprocessed images that are kept, so that later epochs decode nothing
_PREPARE_ROWS = 256  # images preprocessed at once


def training_labels(ds: Dataset, label_column: str | None = None) -> tuple[str, Labels]:
    """Find and read the labels that a classifier is to learn, one for each row; return their column's name and them."""
    column = find_label_column(ds, label_column)
    if column is None:
        raise InputError(
            f"training needs labels and there is no ClassLabel column among {ds.column_names}: "
            "name one with label_column="
        )
    labels = read_labels(ds, column)
    missing = np.flatnonzero(labels.codes < 0)
    if len(missing):
        raise InputError(
            f"{len(missing)} rows have no label in column {column!r} (first: row {missing[0]}): filter them out"
        )
    if len(ds) == 0:
        raise InputError("the data set is empty: there is nothing to train on")
    return column, labels


def id2label(labels: Labels) -> dict[int, str]:
    """Map class numbers to names, as a config of `transformers` does; placeholders where classes have no names.

    Example:
        >>> id2label(Labels(np.array([0, 1]), None, complete=False))
        {0: 'LABEL_0', 1: 'LABEL_1'}
    """
    names = labels.names or tuple(f"LABEL_{number}" for number in range(labels.num_classes))
    return dict(enumerate(names))


class TrainingImages:
    """Images and classes of a data set as a classifier is trained on them.

    Preprocessed images are kept in memory where they fit (1 GiB), so that epochs and models after the first read them
    from there; otherwise every row is decoded when it is asked for.

    Args:
        ds: The data set, n rows; its format and transform are not used.
        processor: An image processor of `transformers` that gives all images one size.
        image_column: Column with the images; None takes the only ``Image`` column.
        label_column: Column with the classes; None takes the only ``ClassLabel`` column.
        in_memory: Whether to keep the preprocessed images; None decides by their size.

    Raises:
        ValueError: If a column is not there, a row has no label, or an image cannot be read.

    Example:
        >>> import PIL.Image, transformers
        >>> from datasets import ClassLabel, Features
        >>> rows = {"image": [PIL.Image.new("L", (4, 4))], "label": [0]}
        >>> ds = Dataset.from_dict(rows, features=Features({"image": Image(), "label": ClassLabel(names=["zero"])}))
        >>> images = TrainingImages(ds, transformers.ViTImageProcessorPil(size={"height": 8, "width": 8}))
        >>> images[0]["pixel_values"].shape, images.names
        (torch.Size([3, 8, 8]), ('zero',))
    """

    def __init__(
        self,
        ds: Dataset,
        processor: Any,
        *,
        image_column: str | None = None,
        label_column: str | None = None,
        in_memory: bool | None = None,
    ) -> None:
        _, labels = training_labels(ds, label_column)
        from hf_prune.models.preprocessing import ProcessorCollate

        self.processor = processor
        self.labels: NDArray[np.int64] = labels.codes
        self.names = labels.names
        self.id2label = id2label(labels)
        self.num_classes = len(self.id2label)
        self._images = EncodedImages(ds, find_image_column(ds, image_column))
        self._feature = Image(mode=self._images.decode_mode)
        self._collate = ProcessorCollate(processor)
        first = self._preprocess([0])
        fits = first.nbytes * len(ds) <= MEMORY_LIMIT
        self._kept = self._preprocess_all() if (fits if in_memory is None else in_memory) else None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return self.__getitems__([row])[0]

    def __getitems__(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Return the rows of one batch; a DataLoader asks for them together."""
        pixels = self._preprocess(rows) if self._kept is None else self._kept[list(rows)]
        return [
            {"pixel_values": image, "labels": int(self.labels[row])} for row, image in zip(rows, pixels, strict=True)
        ]

    def subset(self, rows: ArrayLike) -> "torch.utils.data.Subset[dict[str, Any]]":
        """Select some rows, for a training on a part; preprocessed images are shared, not copied."""
        import torch

        return torch.utils.data.Subset(self, np.asarray(rows, dtype=np.int64).tolist())  # type: ignore[arg-type]  # any object with __getitem__ will do

    def _preprocess(self, rows: Sequence[int]) -> "torch.Tensor":
        """Return pixel values (B, 3, h, w), float32."""
        pixels: torch.Tensor = self._collate([self._decode(row) for row in rows])["pixel_values"]
        return pixels

    def _preprocess_all(self) -> "torch.Tensor":
        import torch

        rows = range(len(self))
        parts = [rows[part] for part in slices(len(self), _PREPARE_ROWS)]
        return torch.cat([self._preprocess(part) for part in tqdm(parts, desc="Preparing images", leave=False)])

    def _decode(self, row: int) -> Any:
        data = self._images[row]
        try:
            return self._feature.decode_example({"path": None, "bytes": data})
        except Exception as error:  # decoders fail with errors of many types, all of which mean the same here
            raise InputError(f"row {row}: the image cannot be read ({type(error).__name__}); drop the row") from error
