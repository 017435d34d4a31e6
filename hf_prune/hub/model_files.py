"""Files of a model repository, sent in one commit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo

from hf_prune.hub.repository import Repository
from hf_prune.hub.workplace import workplace


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
