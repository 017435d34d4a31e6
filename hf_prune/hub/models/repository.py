"""Model repositories: their files are sent in one commit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo

from hf_prune.hub.layout import README, Published
from hf_prune.hub.publish.repository import Repository, staging_folder
from hf_prune.runtime.untrusted import read_bytes


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
    """Write files to a folder and send them as a model repository, in one commit; text of the owner on its card stays.

    ``write`` writes the files to a folder for the repository of a name; text of the owner stays on a card that lies there.
    All other arguments are as for `hf_prune.push_to_hub`.
    """
    hub = Repository(repo_id, token, revision, create_pr, repo_type="model", private=private)
    readme = hub.read().readme  # where the Hub refuses, it does so before the work
    with staging_folder() as folder:

        def write_over(readme: str | None) -> list[str]:
            if readme is not None:
                (folder / README).write_bytes(readme.encode())
            write(folder, hub.repo_id)
            return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())

        names = write_over(readme)

        def arrange(published: Published) -> tuple[list[str], tuple[str, ...]]:
            # Somebody may have edited the card meanwhile.
            return names if published.readme == readme else write_over(published.readme), ()

        return hub.send(folder, arrange, commit_message)


def read_readme(folder: Path) -> str | None:
    """Read the card of a folder; None where there is none."""
    path = folder / README
    return read_bytes(path).decode() if path.is_file() else None
