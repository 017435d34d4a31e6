"""Files beside a model, found in a folder or in one commit of a repository on the Hub."""

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from hf_prune.folders import recover
from hf_prune.source import split_revision


def find_files(
    name: str | Path, files: Sequence[str], revision: str | None = None, token: str | None = None
) -> tuple[list[Path], str | None]:
    """Find files of one commit.

    Args:
        name: A folder, or a repository on the Hub; ``id@revision`` is one with its ``revision``.
        files: Their names.
        revision: Branch, tag or commit of the repository.
        token: Token for a private one.

    Returns:
        Where they are, and the commit; None for a folder.

    Raises:
        FileNotFoundError: If one is not there.
        ValueError: If the name and ``revision`` disagree.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        recover(folder)
        missing = [file for file in files if not (folder / file).is_file()]
        if missing:
            raise FileNotFoundError(f"{str(name)!r} has no {missing[0]}: give a folder that save_pretrained wrote")
        return [folder / file for file in files], None
    repo_id, commit = split_revision(str(name), revision)
    found: list[Path] = []
    try:
        for file in files:
            found.append(Path(hf_hub_download(repo_id, file, revision=commit, token=token)))
            commit = found[0].parent.name  # of the first: all files are of one
    except (EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        reason = str(error).strip().splitlines()[0]
        raise FileNotFoundError(
            f"no {files[len(found)]} of {str(name)!r}, as a folder or on the Hub: {reason}"
        ) from error
    return found, commit
