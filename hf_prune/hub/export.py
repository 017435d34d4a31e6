"""Write a data set as a folder that ``load_dataset`` opens: Parquet shards, pictures, record, Croissant file and card.

The module is not called ``export``, since importing it would put the module in the place of the function
``hf_prune.export``.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from datasets import Dataset, DatasetDict

from hf_prune.foreign import read_bytes
from hf_prune.hub import croissant, manifest
from hf_prune.hub.parts import Describer, compose, describe_parts
from hf_prune.hub.preparation import prepare
from hf_prune.hub.published import Published
from hf_prune.hub.shards import ShardOptions

README = "README.md"
TEXTS = (manifest.FILE_NAME, README, croissant.FILE_NAME)
_STAGE = ".hf_prune-"


def export(
    ds: Dataset | DatasetDict,
    folder: str | Path,
    *,
    source: str | None = None,
    scores: Dataset | DatasetDict | None = None,
    what: str = "split",
    config_name: str | None = None,
    set_default: bool | None = None,
    split: str | None = None,
    max_shard_size: int | str | None = None,
) -> Path:
    """Write a data set with its card and its record to a folder.

    The folder is laid out as ``push_to_hub`` lays out a repository. Its former content stays intact until everything
    new is written, and a repeated export gives the same bytes.

    Args:
        ds: What to write; of a ``DatasetDict`` all splits that have rows.
        folder: A new or empty folder, or one that was exported to before: then text of the card outside our section,
            other configurations, and for a single ``Dataset`` the other splits stay.
        source: Where the data set came from: ``"name@COMMIT"`` on the Hub, ``"local"``, or None to detect it from the
            files that `datasets` loaded.
        scores: The scored data set before it was pruned; adds statistics of its scores to record and card.
        what: ``"split"`` writes the rows; ``"scores"`` also a configuration ``scores`` with a content key, every score,
            whether it was kept and why for every row of ``scores``; ``"rows"`` that alone and the numbers of the kept
            rows, without any column of the source, where its licence forbids copies.
        config_name: Configuration to write; None calls it after the last pruning, such as ``"prototypes-keep0.8"``, and
            ``"default"`` what was not pruned.
        set_default: Whether ``load_dataset(folder)`` opens it; None does so for a pruned data set, unless there is a
            configuration ``default``.
        split: Name of the split of a ``Dataset``; None takes its own, else ``"train"``.
        max_shard_size: Upper limit of a shard before compression; None is the 500 MB of `datasets`.

    Returns:
        The folder.

    Raises:
        ValueError: If a name, the source, ``scores`` or the folder's content does not fit; the message says what does.
        TypeError: If ``ds`` is a stream.
        OSError: If an image cannot be read or the disk is full; the folder is then as it was.

    Example:
        >>> import tempfile
        >>> from datasets import Dataset
        >>> with tempfile.TemporaryDirectory() as place:
        ...     folder = export(Dataset.from_dict({"x": [1, 2]}), place + "/out", source="local")
        ...     sorted(path.name for path in folder.iterdir())
        ['README.md', 'croissant.json', 'data', 'provenance.json']
    """
    folder = Path(folder)
    publication = prepare(ds, what=what, scores=scores, config_name=config_name, set_default=set_default, split=split)
    options = ShardOptions(max_shard_size=max_shard_size)
    published = read_folder(folder)
    publication.check_fits(published)
    describer = Describer(source, token=None)
    parts = describe_parts(publication, what, scores, describer, config_name is None)
    for part in parts:
        part.check_fits(published)
    with _stage(folder) as stage:
        new = stage / "new"
        new.mkdir()
        written = [part.write(new, options) for part in parts]
        composed = compose(parts, written, published)
        write_texts(new, composed.readme, composed.provenance)
        names = [name for files in written for name in files.files]
        _swap(stage, folder, [*names, *TEXTS], composed.stale)
    return folder


def write_texts(folder: Path, readme: str, provenance: str) -> None:
    """Write card, record and Croissant file, with the line ends that the texts have."""
    described = croissant.croissant(manifest.parse(provenance))
    (folder / croissant.FILE_NAME).write_bytes(described.encode())
    (folder / manifest.FILE_NAME).write_bytes(provenance.encode())
    (folder / README).write_bytes(readme.encode())


def read_folder(folder: Path) -> Published:
    """Read what a folder holds.

    Raises:
        ValueError: If it holds something that hf_prune did not export.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{str(folder)!r} is a file: name a folder")
    found = [path for path in folder.iterdir() if not path.name.startswith(_STAGE)] if folder.exists() else []
    if not found:
        return Published()
    if not (folder / manifest.FILE_NAME).is_file():
        raise ValueError(
            f"{str(folder)!r} is not empty and was not exported by hf_prune (no {manifest.FILE_NAME}): "
            "name a new or an empty folder"
        )
    files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    return Published(
        {name: size for name, size in files.items() if not name.startswith(".")},
        read_bytes(folder / README).decode() if README in files else None,
        read_bytes(folder / manifest.FILE_NAME).decode(),
        lambda name: str(manifest.file_entry(folder / name)["sha256"]),
    )


@contextlib.contextmanager
def _stage(folder: Path) -> Iterator[Path]:
    """A folder inside the target, on the same disk, so that what is finished is moved into place and not copied."""
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"{_STAGE}*"):  # of an export that was killed
        shutil.rmtree(leftover)
    stage = Path(tempfile.mkdtemp(prefix=_STAGE, dir=folder))
    try:
        yield stage
    except BaseException:
        shutil.rmtree(stage)
        if is_new:
            folder.rmdir()
        raise
    shutil.rmtree(stage)


def _swap(stage: Path, folder: Path, names: list[str], stale: tuple[str, ...]) -> None:
    """Move new files in and stale ones out; on any failure, an interrupt included, put everything back."""
    former = stage / "former"
    journal: list[tuple[Path, Path]] = []
    try:
        for name in (*stale, *names):
            if (folder / name).exists():
                _move(folder / name, former / name, journal)
        for name in names:
            _move(stage / "new" / name, folder / name, journal)
    except BaseException:
        for origin, place in reversed(journal):
            if place.exists():  # else the failure came between the entry in the journal and the move
                place.replace(origin)
        raise
    for place in {(folder / name).parent for name in stale}:
        with contextlib.suppress(OSError):  # not empty: other files are there
            place.rmdir()


def _move(origin: Path, place: Path, journal: list[tuple[Path, Path]]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    journal.append((origin, place))
    origin.replace(place)
