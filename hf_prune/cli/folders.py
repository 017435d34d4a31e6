"""Folders of `save_to_disk` between the steps: only what a step made is ever replaced."""

from pathlib import Path

from datasets import Dataset, DatasetDict, load_from_disk

from hf_prune.data.history import provenance
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.folders import is_ours, owned, recover
from hf_prune.runtime.integrity import DIGESTS, write_digests

# What `save_to_disk` writes, and the caches that `datasets` may put beside it; and the digests of it all.
_SAVED = ("*.arrow", "state.json", "dataset_info.json", "dataset_dict.json", DIGESTS)


def check_target(folder: Path, overwrite: bool) -> None:
    """Check that a data set may be saved to a folder, before anything is computed for it.

    Raises:
        ValueError: If the folder holds something, unless it is a result of hf_prune and ``overwrite`` is set.
    """
    recover(folder)
    if not folder.exists():
        parent = next(parent for parent in folder.absolute().parents if parent.exists())
        if not parent.is_dir():
            raise InputError(
                f"--out {str(folder)!r} would lie in {str(parent)!r}, which is a file: name another folder"
            )
        return
    if not folder.is_dir():
        raise InputError(f"--out {str(folder)!r} is a file: name a new folder")
    if all(is_ours(path.name) for path in folder.iterdir()):
        return
    reason = _foreign(folder)
    if reason:
        raise InputError(f"--out {str(folder)!r} {reason}, so it is never replaced: name a new folder")
    if not overwrite:
        raise InputError(f"--out {str(folder)!r} holds a data set: name a new folder, or replace it with --overwrite")


def save(ds: Dataset | DatasetDict, folder: Path, overwrite: bool) -> None:
    """Save a data set, whole or not at all, also over the folder that it was read from.

    Raises:
        ValueError: As for `check_target`.
        OSError: If it cannot be written, or another process writes there; the folder is then as it was.
    """
    check_target(folder, overwrite)
    with owned(folder) as own:  # of a link, the folder behind it is replaced
        check_target(folder, overwrite)  # by what was saved there meanwhile
        _write(ds, own.stage(), own.path)
        # Files of the former data set that are mapped into memory stay readable until they are closed.
        own.commit(own.files())


def _write(ds: Dataset | DatasetDict, stage: Path, folder: Path) -> None:
    try:
        ds.save_to_disk(str(stage))
        write_digests(stage)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(
            f"cannot save to {str(folder)!r}: {reason}. What was there before is unchanged; results of models are "
            "in the cache, so free space and run again, or name another folder"
        ) from error


def _foreign(folder: Path) -> str:
    """Say why the content of a folder is not the result of a step; empty if it is."""
    top = sorted(path for path in folder.iterdir() if not is_ours(path.name))
    # The splits of a DatasetDict are folders of files; nothing lies deeper, so nothing deeper is searched.
    splits = [path for path in top if path.is_dir() and not path.is_symlink()]
    for path in (
        *(path for path in top if path not in splits),
        *(inner for split in splits for inner in sorted(split.iterdir())),
    ):
        if path.is_symlink() or path.is_dir() or not any(path.match(pattern) for pattern in _SAVED):
            return f"holds {path.relative_to(folder).as_posix()!r}, which is no part of a saved data set"
    try:
        saved = load_from_disk(str(folder))
    except (OSError, ValueError, KeyError, TypeError):
        return "holds no data set that can be opened"
    rows = list(saved.values()) if isinstance(saved, DatasetDict) else [saved]
    if not any(provenance(split).steps for split in rows):
        return "holds a data set that was not made by hf-prune"
    return ""
