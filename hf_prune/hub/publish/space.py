"""A page in a static Space of the Hub, where anybody opens it in a browser."""

from pathlib import Path

import yaml
from huggingface_hub import CommitInfo
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, though not marked as such

from hf_prune.hub.layout import README, Published
from hf_prune.hub.publish.repository import Repository, staging_folder
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.html import plain

_PAGE = "index.html"
_MARK = "hf_prune-report"  # tag by which a Space is known as one of ours
_OF_HUB = (".gitattributes",)  # what the Hub itself puts into a new Space


def push_space(
    page: str | Path,
    repo_id: str,
    *,
    title: str = "Report of a cut",
    commit_message: str | None = None,
    private: bool | None = None,
    token: str | None = None,
) -> CommitInfo:
    """Push a page, such as `hf_prune.report` writes it, into a static Space of the Hub, in one commit.

    Args:
        page: The file, one page that needs no other.
        repo_id: Space, ``"namespace/name"`` or a name of your own; made if it is not there.
        title: Title of the Space.
        commit_message: Title of the commit.
        private: Whether a Space that is made is private; None leaves it to the account's settings. With True, a public one
            is refused.
        token: A token with write access; None takes the one that is logged in.

    Returns:
        The commit.

    Raises:
        ValueError: If the name is none, the file is no page, or the Space holds something else.
        PermissionError: If the token may not write there.
        OSError: If the file cannot be read, or the Hub fails.
    """
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise InputError(
            f"repo_id={repo_id!r} is no name of a Space: give 'namespace/name' of letters, digits, '-', '_', '.'"
        ) from error
    content = Path(page).read_bytes()
    if not content.lstrip()[:15].lower().startswith(b"<!doctype html>"):
        raise InputError(f"page={str(page)!r} is no HTML page: give the file that hf_prune.report wrote")
    hub = Repository(repo_id, token, private=private, repo_type="space")
    _check_ours(hub.repo_id, hub.read())
    with staging_folder() as folder:
        (folder / _PAGE).write_bytes(content)
        (folder / README).write_text(_card(title), encoding="utf-8")

        def arrange(published: Published) -> tuple[list[str], list[str]]:
            _check_ours(hub.repo_id, published)
            return [_PAGE, README], []

        return hub.send(folder, arrange, commit_message or "Upload a report with hf_prune")


def _check_ours(repo_id: str, published: Published) -> None:
    """Raise a one-line ValueError if a Space holds what this would write over."""
    others = [path for path in published.files if path not in _OF_HUB]
    if others and _MARK not in (published.readme or ""):
        raise InputError(f"the Space {repo_id} holds something else ({others[0]!r}): name a new one")


def _card(title: str) -> str:
    header = {"title": plain(title, 60), "sdk": "static", "pinned": False, "tags": ["hf_prune", _MARK]}
    return f"---\n{yaml.safe_dump(header, sort_keys=False)}---\n"
