"""Write a data set as a folder that ``load_dataset`` opens: Parquet shards, pictures, record, Croissant file and card.

The module is not called ``export``, since importing it would put the module in the place of the function
``hf_prune.export``.
"""

from pathlib import Path

from datasets import Dataset, DatasetDict

from hf_prune.hub import manifest
from hf_prune.hub.card import croissant
from hf_prune.hub.layout import CROISSANT_FILE, README, RECORD_FILE, Published
from hf_prune.hub.publish.bundle import Bundle
from hf_prune.hub.publish.configurations import describe_configurations, describer, read_configuration
from hf_prune.hub.publish.shards import ShardOptions
from hf_prune.hub.publish.target import put_all
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.folders import is_ours, owned, recover
from hf_prune.runtime.integrity import file_sha256
from hf_prune.runtime.untrusted import read_bytes

TEXTS = (RECORD_FILE, README, CROISSANT_FILE)


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
    report: bool = False,
) -> Path:
    """Write a data set with its card and its record to a folder.

    The folder is laid out as ``push_to_hub`` lays out a repository. Its former content stays intact until everything
    new is written, whatever ends the process, and a repeated export gives the same bytes. One process at a time exports to
    a folder.

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
        report: Whether the page of `hf_prune.report` is put beside the card for each cut, which links to it; it shows images.

    Returns:
        The folder.

    Raises:
        ValueError: If a name, the source, ``scores`` or the folder's content does not fit; the message says what does.
        TypeError: If ``ds`` is a stream.
        OSError: If an image cannot be read, the disk is full, or another process writes to the folder, which is then as it
            was.

    Example:
        >>> import tempfile
        >>> from datasets import Dataset
        >>> with tempfile.TemporaryDirectory() as place:
        ...     folder = export(Dataset.from_dict({"x": [1, 2]}), place + "/out", source="local")
        ...     sorted(path.name for path in folder.iterdir())
        ['README.md', 'croissant.json', 'data', 'provenance.json']
    """
    folder = Path(folder)
    own = read_configuration(
        ds, what=what, scores=scores, config_name=config_name, set_default=set_default, split=split
    )
    options = ShardOptions(max_shard_size=max_shard_size)
    describe = describer(source, token=None)
    configurations = describe_configurations(own, what, describe, read_folder(folder), report=report)
    with owned(folder) as place:
        new = place.stage()
        bundles = [Bundle.write(configuration, new, options) for configuration in configurations]
        # Somebody may have edited the card, or exported another configuration, meanwhile.
        published, stale = put_all(configurations, bundles, read_folder(folder))
        write_texts(new, published)
        place.commit(stale)
    return folder


def write_texts(folder: Path, published: Published) -> None:
    """Write card, record and Croissant file, with the line ends that the texts have."""
    texts = {
        RECORD_FILE: published.provenance,
        README: published.readme,
        CROISSANT_FILE: croissant.croissant(manifest.parse(published.provenance)),
    }
    for name, text in texts.items():
        (folder / name).write_bytes(str(text).encode())


def read_folder(folder: Path) -> Published:
    """Read the content of a folder; ValueError if it holds something that hf_prune did not export."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{str(folder)!r} is a file: name a folder")
    recover(folder)
    found = [path for path in folder.iterdir() if not is_ours(path.name)] if folder.exists() else []
    if not found:
        return Published()
    if not (folder / RECORD_FILE).is_file():
        raise InputError(
            f"{str(folder)!r} is not empty and was not exported by hf_prune (no {RECORD_FILE}): "
            "name a new or an empty folder"
        )
    files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    return Published(
        {name: size for name, size in files.items() if not name.startswith(".")},
        read_bytes(folder / README).decode() if README in files else None,
        read_bytes(folder / RECORD_FILE).decode(),
        lambda name: file_sha256(folder / name),
    )
