"""Files of a model repository: found in a folder or on the Hub, and sent in one commit."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from hf_prune.hub.repository import Repository
from hf_prune.hub.workplace import workplace


def find_files(name: str | Path, files: Sequence[str], revision: str | None, token: str | None) -> list[Path]:
    """Find files of one commit.

    Args:
        name: A folder, or a repository on the Hub.
        files: Their names.
        revision: Branch, tag or commit of the repository.
        token: Token for a private one.

    Raises:
        FileNotFoundError: If one is not there.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        missing = [file for file in files if not (folder / file).is_file()]
        if missing:
            raise FileNotFoundError(f"{str(name)!r} has no {missing[0]}: give a folder that save_pretrained wrote")
        return [folder / file for file in files]
    found: list[Path] = []
    try:
        for file in files:
            path = hf_hub_download(str(name), file, revision=revision, token=token)
            found.append(Path(path))
            revision = Path(path).parent.name  # the commit of the first: all files are of one
    except (EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        reason = str(error).strip().splitlines()[0]
        raise FileNotFoundError(
            f"no {files[len(found)]} of {str(name)!r}, as a folder or on the Hub: {reason}"
        ) from error
    return found


def send_model(
    repo_id: str,
    write: Callable[[Path, str], Any],
    *,
    private: bool | None,
    token: str | None,
    revision: str | None,
    create_pr: bool,
    commit_message: str,
) -> CommitInfo:
    """Write files to a folder and send them as a model repository, in one commit.

    Args:
        repo_id: Name, with or without a namespace.
        write: Writes the files into the folder that it is given, for the repository of that name.
        private: Whether a repository that is made is private; True refuses one that is there and public.
        token: A token with write access; None takes the one that is logged in.
        revision: Branch; None is the main one.
        create_pr: Whether to open a pull request instead.
        commit_message: Title of the commit.
    """
    hub = Repository(repo_id, token, revision, create_pr, repo_type="model", private=private)
    hub.read()  # what the Hub refuses, it refuses before the work
    with workplace() as folder:
        write(folder, hub.repo_id)
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        return hub.send(folder, lambda _: (names, ()), commit_message)
