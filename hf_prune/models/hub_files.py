"""Files beside a model, found in a folder or in one commit of a repository on the Hub."""

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from hf_prune.data.source import HTTP_ERROR, split_revision
from hf_prune.models.failures import first_line
from hf_prune.runtime.folders import recover

UNREACHABLE = "the Hub cannot be reached, and the files are not in the cache of this machine"


def hub_answers(repo_id: str, file: str, revision: str | None = None, token: str | None = None) -> bool:
    """Ask the Hub once for a file, without waiting for a network that is not there.

    The client itself asks six times, within half a minute, before it says that a file is neither in its cache nor to be had.

    Args:
        repo_id: Repository of a model.
        file: Name of a file in it, which need not exist.
        revision: Branch, tag or commit.
        token: Token for a private one.

    Returns:
        False where no server can be reached, or ``HF_HUB_OFFLINE`` is set; True for any answer.
    """
    try:
        url = hf_hub_url(repo_id, file, revision=revision)
        get_hf_file_metadata(url, token=token, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except HfHubHTTPError:
        return True
    except (HTTP_ERROR, OfflineModeIsEnabled):
        return False
    except ValueError:  # no valid id: who asks for the file says so
        return True
    return True


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
        offline = not hub_answers(repo_id, files[0], commit, token)
        for file in files:
            found.append(Path(hf_hub_download(repo_id, file, revision=commit, token=token, local_files_only=offline)))
            commit = found[0].parent.name  # of the first: all files are of one
    except (EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        reason = UNREACHABLE if isinstance(error, LocalEntryNotFoundError) else first_line(error)
        raise FileNotFoundError(
            f"no {files[len(found)]} of {str(name)!r}, as a folder or on the Hub: {reason}"
        ) from error
    return found, commit
