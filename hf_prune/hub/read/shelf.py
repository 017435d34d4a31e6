"""Scores of known data sets that were released as CSV files, a file name and a score in each row.

The files of Sorscher et al. (2022) cover the training images of ImageNet-1K; they are read from where the authors
published them, under the Apache License 2.0, and high scores mean: keep.
"""

import csv
import http.client
import re
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Image
from huggingface_hub import constants
from numpy.typing import NDArray

from hf_prune.data.columns import find_image_column, read_column
from hf_prune.data.images import EncodedImages
from hf_prune.data.row_keys import match_keys
from hf_prune.engine.store import default_root
from hf_prune.runtime.cache import touch
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.file_locks import lock
from hf_prune.runtime.files import PART_PREFIX, discard, remove_stale_parts
from hf_prune.runtime.integrity import file_sha256
from hf_prune.runtime.messages import one_line

PREFIX = "sorscher2022/"
ADDRESS = (
    "https://raw.githubusercontent.com/rgeirhos/dataset-pruning-metrics/master/metric-scores/ImageNet-1K_{name}.csv"
)
# Released file → the metric of this package that it holds; another file is a metric of its own name.
RELEASED = {
    "self-supervised-prototypes": "prototypes",
    "supervised-prototypes": "supervised_prototypes",
    "EL2N-1-model": "el2n",
    "EL2N-20-models": "el2n",
    "forgetting": "forgetting",
    "memorization": "memorization",
    "influence-max": "influence_max",
    "influence-sum-abs": "influence_sum_abs",
    "DDD": "ddd",
    "active-learning": "active_learning",
    **{f"random-{seed}": "random" for seed in range(100, 105)},
}
_TIMEOUT_S = 60.0
_CHUNK, _MAX_BYTES = 1 << 20, 1 << 28  # the released files have some 60 MB
_FILE_PREFIX = "ImageNet-1K_"
# ImageNet's own name of an image; copies add folders, class names and suffixes to it.
_IMAGENET = re.compile(r"n\d{8}_\d+")


@dataclass(frozen=True)
class Shelved:
    """One file of scores.

    Attributes:
        name: The name under which the reader opened it.
        origin: Its entry in a step.
        names: Names of the images, as `image_name` gives them.
        scores: Their scores, shape (m,).
    """

    name: str
    column: str
    metric: str
    origin: dict[str, Any]
    names: list[str]
    scores: NDArray[np.float64]

    def find(self, ds: Dataset, columns: Sequence[str] | None) -> NDArray[np.int64]:
        """Find the line of each row of a data set of n rows, or -1, shape (n,).

        ``columns`` names its text column with the file names; None takes the names of the image files. A ValueError says
        where the rows have no names, or none of them is found.
        """
        own = _image_names(ds, columns)
        found = match_keys(self.names, own)
        if len(found) and not (found >= 0).any():
            raise InputError(
                f"none of the {len(ds):,} rows is among the {len(self.names):,} images of {self.name} "
                f"(the first is called {own[0]!r} here and {self.names[0]!r} there)"
            )
        return found


def is_shelved(name: str | Path) -> bool:
    """Whether a name is that of released scores, or of a CSV file."""
    return (str(name).startswith(PREFIX) and not Path(name).exists()) or Path(name).suffix.lower() == ".csv"


def open_shelved(name: str | Path) -> Shelved:
    """Read a released file, downloaded once, or one of the same layout.

    Args:
        name: ``"sorscher2022/NAME"``, or the path of a CSV file.

    Raises:
        ValueError: If no scores of that name were released, or the file is laid out otherwise.
        OSError: If it cannot be read or downloaded.
    """
    if Path(name).suffix.lower() == ".csv":
        path = Path(name).expanduser()
        released, where = path.stem.removeprefix(_FILE_PREFIX), {"file": path.name}
    else:
        released = str(name).removeprefix(PREFIX)
        if released not in RELEASED:
            raise InputError(f"no scores called {released!r} on the shelf {PREFIX!r}. Known: {', '.join(RELEASED)}")
        path, where = _download(released), {"shelf": str(name), "url": ADDRESS.format(name=released)}
    names, scores = _read_csv(path)
    column = re.sub(r"\W+", "_", released).lower()
    origin = {**where, "sha256": file_sha256(path)}
    return Shelved(str(name), column, RELEASED.get(released, column), origin, names, scores)


def _read_csv(path: Path) -> tuple[list[str], NDArray[np.float64]]:
    """Read a CSV file with a head line: the first column of texts are names of images, the last of numbers scores."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        try:
            next(lines, None)
            names, scores = _split(lines, path)
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(f"{path.name} is no CSV file ({one_line(error)})") from error
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]  # None is meant
        raise InputError(f"{path.name} names the image {twice!r} twice")
    return names, np.array(scores, dtype=np.float64)


def _split(lines: Iterator[list[str]], path: Path) -> tuple[list[str], list[float]]:
    names: list[str] = []
    scores: list[float] = []
    places: tuple[int, int] | None = None
    for number, cells in enumerate(lines, start=2):
        places = places or _places(cells)
        try:
            if places is None:
                raise ValueError
            names.append(image_name(cells[places[0]]))
            scores.append(float(cells[places[1]]))
        except (ValueError, IndexError):
            raise InputError(
                f"{path.name}, line {number}: no file name and score; give a CSV file with a head line and both"
            ) from None
    if not names:
        raise InputError(f"{path.name} holds no scores: give a CSV file with a head line, file names and scores")
    return names, scores


def _places(cells: list[str]) -> tuple[int, int] | None:
    """Find file name and score, which comes later, in a line; a first column of line numbers is neither."""
    numbers = [place for place, cell in enumerate(cells) if _is_number(cell)]
    texts = [place for place in range(len(cells)) if place not in numbers]
    return (texts[0], numbers[-1]) if texts and numbers and numbers[-1] > texts[0] else None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def image_name(path: str) -> str:
    """Return the name of an image without the folder, suffix or class that a copy adds to it.

    Example:
        >>> image_name("train/n01440764/n01440764_10026.JPEG"), image_name("n01440764_10026_n01440764.JPEG")
        ('n01440764_10026', 'n01440764_10026')
        >>> image_name("photos/cat.1.png")
        'cat.1'
    """
    base = re.split(r"[/\\]", path)[-1]
    found = _IMAGENET.match(base)
    return found[0] if found else Path(base).stem


def _image_names(ds: Dataset, columns: Sequence[str] | None) -> list[str]:
    if columns is not None and len(columns) != 1:
        raise InputError(f"key_columns={list(columns)}: name the one column with the file names")
    if columns is None or isinstance(ds.features.get(columns[0]), Image):
        column = find_image_column(ds, None if columns is None else columns[0])
        images = EncodedImages(ds, column)
        paths: list[Any] = [images.path(row) for row in range(len(ds))]
    else:
        column = columns[0]
        paths = read_column(ds, column).to_pylist()
    if not any(isinstance(path, str) and path for path in paths):
        raise InputError(f"column {column!r} keeps no file names: name a text column with the names, key_columns='…'")
    return [image_name(path) if isinstance(path, str) else "" for path in paths]


def _download(name: str) -> Path:
    """Return the path of a released file, kept in the cache of hf_prune under a name that has its digest."""
    folder, stem = default_root() / "shelf", f"{_FILE_PREFIX}{name}"
    for path in sorted(folder.glob(f"{stem}.*.csv")):
        if path.name == _kept_as(stem, path):
            touch(path)
            return path
        discard(path)  # it was damaged after the download
    if (folder / f"{stem}.csv").is_file():  # of a version that kept no digest
        return folder / f"{stem}.csv"
    url = ADDRESS.format(name=name)
    part = folder / f"{PART_PREFIX}{uuid.uuid4().hex}"
    try:
        if constants.HF_HUB_OFFLINE:
            raise OSError("HF_HUB_OFFLINE is set")
        folder.mkdir(parents=True, exist_ok=True)
        remove_stale_parts(folder)
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer, part.open("wb") as file:
            lock(file.fileno())
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                if file.tell() > _MAX_BYTES:
                    raise OSError(f"more than {_MAX_BYTES:,} bytes")
            file.flush()
            path = folder / _kept_as(stem, part)
            part.replace(path)
    except (OSError, http.client.HTTPException) as error:
        part.unlink(missing_ok=True)
        raise OSError(
            f"{url} cannot be downloaded ({one_line(error)}): download it by hand and give the path of the file"
        ) from error
    return path


def _kept_as(stem: str, path: Path) -> str:
    return f"{stem}.{file_sha256(path)[:16]}.csv"
