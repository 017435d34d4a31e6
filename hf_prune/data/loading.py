"""Open a data set by a path or an id of the Hub: a folder of `save_to_disk`, a file, or a folder of files or images."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, ReadInstruction, concatenate_datasets, load_dataset, load_from_disk
from datasets.exceptions import DatasetGenerationError, DatasetsError

from hf_prune.data.source import split_revision
from hf_prune.runtime.arguments import check_path
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.folders import recover
from hf_prune.runtime.integrity import DIGESTS, check_digests

_NUMBERS = re.compile(r"[0-9]{1,18}(,[0-9]{1,18})*")  # of rows
# File suffix → the builder of `datasets` that reads it.
_BUILDERS = {
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
}
MAX_REASON_LENGTH = 300  # `datasets` may list two hundred file suffixes


def open_dataset(
    path: str | Path,
    *,
    name: str | None = None,
    split: str | None = None,
    revision: str | None = None,
    data_files: str | Sequence[str] | None = None,
) -> Dataset | DatasetDict:
    """Open a data set, wherever it lies.

    Args:
        path: A folder written by ``save_to_disk``, a Parquet, Arrow, CSV or JSON file, a folder of such files or of
            images by class, or the id of a data set on the Hub; ``id@revision`` is an id with its ``revision``.
        name: Configuration, where the data set has several.
        split: Such as ``"train"`` or ``"train[:2000]"``; None opens all splits.
        revision: Branch, tag or commit of a data set on the Hub.
        data_files: Files to read among those of a folder or of a data set on the Hub.

    Returns:
        A ``Dataset`` for a single file, a single saved data set or a ``split``; else a ``DatasetDict``.

    Raises:
        ValueError: If the split is not there, an argument does not apply to the kind of ``path``, or a file that a step
            saved was changed.
        OSError: If there is no such file, folder or data set, or it cannot be read.

    Example:
        >>> import tempfile
        >>> from datasets import Dataset
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "numbers.json")
        ...     _ = file.write_text('[{"x": 1}, {"x": 2}]')
        ...     len(open_dataset(file, split="train[:1]"))
        1
    """
    check_path("path", path)
    local = Path(path).expanduser()
    recover(local)
    if not local.exists():
        repo_id, revision = _find_id(str(path), revision)
        shown = f"{str(path)!r} (no file or folder here, so an id of the Hub)"
        return _load(shown, repo_id, name=name, split=split, revision=revision, data_files=data_files)
    if any((local / name).is_file() for name in ("state.json", "dataset_dict.json")):
        _refuse(path, "a saved data set", revision=revision, name=name, data_files=data_files)
        return _open_saved(local, split)
    if local.is_file():
        _refuse(path, "a single file", revision=revision, name=name, data_files=data_files)
        return _open_file(local, split)
    _refuse(path, "a folder on this machine", revision=revision)
    return _load(repr(str(path)), str(local), name=name, split=split, data_files=data_files)


def open_target(source: Any) -> Any:
    """Open target rows named by a path or by the arguments of `open_dataset`; return anything else as it is.

    Args:
        source: A path or Hub id with one split; keyword arguments of `open_dataset`; a ``.npy`` file of embeddings; numbers of
            rows as text, with commas between them, where no file is called so; or rows, an array or their numbers.

    Raises:
        ValueError: If there are several splits, or a file holds no array.

    Example:
        >>> open_target("3,17")
        [3, 17]
    """
    if isinstance(source, str) and _NUMBERS.fullmatch(source) and not Path(source).exists():
        return [int(number) for number in source.split(",")]
    if isinstance(source, str | Path) and Path(source).suffix == ".npy":
        return _read_array(source)
    return _only_split(source, "target")


def open_test_dataset(source: Any) -> Any:
    """Open a test set named by a path or by the arguments of `open_dataset`; return a data set as it is.

    Args:
        source: A path or Hub id, whose ``test`` split or only split is taken; keyword arguments of `open_dataset`; or a
            data set.

    Raises:
        ValueError: If there are several splits and none is called ``test``.
    """
    return _only_split(source, "test_dataset", "test")


def _only_split(source: Any, argument: str, preferred: str = "") -> Any:
    """Open what is named and return the preferred split, or the only one; what is no data set comes back as it is."""
    if isinstance(source, str | Path):
        source = {"path": str(source)}
    ds = open_dataset(**source) if isinstance(source, Mapping) and not isinstance(source, DatasetDict) else source
    if not isinstance(ds, DatasetDict):
        return ds
    if len(ds) != 1 and preferred not in ds:
        raise InputError(f"{argument} has the splits {list(ds)}; name one with split=")
    return ds[preferred] if preferred in ds else next(iter(ds.values()))


def train_split(ds: Dataset | DatasetDict) -> Dataset:
    """Return the ``train`` split of a ``DatasetDict``, a one-line ValueError without one, or a ``Dataset`` as it is."""
    if not isinstance(ds, DatasetDict):
        return ds
    if "train" not in ds:
        raise InputError(f"there is no train split among {list(ds)}; name one with split=")
    return ds["train"]


def read_inputs(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Read the inputs of a metric that are paths of ``.npy`` files; other values are returned as they are.

    Raises:
        ValueError: If a file is no array, or one of pickled objects.
        OSError: If there is no such file.
    """
    return {name: _read_array(value) if isinstance(value, str | Path) else value for name, value in inputs.items()}


def _read_array(path: str | Path) -> Any:
    try:
        found = np.load(Path(path).expanduser(), mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{str(path)!r} is not an array: give a .npy file as written by numpy.save") from error
    if not isinstance(found, np.ndarray):
        raise InputError(f"{str(path)!r} holds several arrays: give a .npy file with one, as written by numpy.save")
    return found


def _open_saved(path: Path, split: str | None) -> Dataset | DatasetDict:
    check_digests(path, [DIGESTS])
    opened = _reading(repr(str(path)), lambda: load_from_disk(str(path)))
    if split is None:
        return opened
    splits = opened if isinstance(opened, DatasetDict) else {str(opened.split or "train").partition("[")[0]: opened}
    try:
        parts = ReadInstruction.from_spec(split).to_absolute({known: len(rows) for known, rows in splits.items()})
    except (ValueError, AssertionError) as error:
        raise InputError(f"no split {split!r} in {str(path)!r}, which holds {', '.join(splits)} ({error})") from error
    found = [splits[part.splitname].select(range(len(splits[part.splitname]))[part.from_ : part.to]) for part in parts]
    joined: Dataset = found[0] if len(found) == 1 else _reading(repr(str(path)), lambda: concatenate_datasets(found))
    return joined


def _refuse(path: str | Path, kind: str, **arguments: Any) -> None:
    for argument, given in arguments.items():
        if given is not None:
            raise InputError(f"{argument}={given!r} does not apply to {str(path)!r}, which is {kind}; leave it out")


def _open_file(path: Path, split: str | None) -> Dataset:
    builder = _BUILDERS.get(path.suffix.lower())
    if builder is None:
        raise InputError(f"{str(path)!r} is none of {', '.join(_BUILDERS)}; give one of these, or a folder")
    # A single file is a single split, whatever its name.
    wanted = split or "train"
    data_files = {wanted.partition("[")[0]: [str(path)]}
    opened: Dataset = _load(repr(str(path)), builder, split=wanted, data_files=data_files)
    return opened


def _find_id(path: str, revision: str | None) -> tuple[str, str | None]:
    """Split ``id@revision``, and refuse what cannot be an id of the Hub."""
    repo_id = split_revision(path)[0]
    if repo_id.count("/") > 1 or repo_id.startswith((".", "~", "/")) or Path(repo_id).suffix in _BUILDERS:
        raise FileNotFoundError(f"no such file or folder: {path!r}")
    return split_revision(path, revision)


def _load(shown: str, path: str, **keywords: Any) -> Any:
    given = {name: value for name, value in keywords.items() if value is not None}
    return _reading(shown, lambda: load_dataset(path, **given))


def _reading(shown: str, read: Callable[[], Any]) -> Any:
    """Read what others wrote; errors of many kinds and lines become a short one that names what was to be opened."""
    try:
        return read()
    except MemoryError:
        raise
    except Exception as error:  # damaged files make parsers raise anything
        # "An error occurred while generating the dataset" says nothing; its cause does.
        cause = error.__cause__ if isinstance(error, DatasetGenerationError) and error.__cause__ else error
        kind = OSError if isinstance(cause, OSError) else InputError
        said = str(cause) if isinstance(cause, (OSError, ValueError, DatasetsError)) else repr(cause)
        raise kind(f"cannot open {shown}: {shorten(said, MAX_REASON_LENGTH, placeholder=' …')}") from error
