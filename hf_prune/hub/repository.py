"""A repository on the Hub: read at one commit, written in one commit on top of the one that was read."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile

from hf_prune.hub import manifest
from hf_prune.hub.export import README
from hf_prune.hub.published import Published
from hf_prune.source import HTTP_ERROR


class Repository:
    """Reads files and texts at one commit, and commits on top of it.

    Args:
        repo_id: Name, with or without a namespace.
        token: A token with write access; None takes the one that is logged in.
        revision: Branch; None is the main one.
        create_pr: Whether a commit opens a pull request.
        repo_type: ``"dataset"`` or ``"model"``.

    Raises:
        OSError: If the Hub refuses or cannot be reached; so do all methods.
    """

    def __init__(
        self,
        repo_id: str,
        token: str | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        repo_type: Literal["dataset", "model"] = "dataset",
    ) -> None:
        self.api = HfApi(token=token, library_name="hf_prune")
        self.repo_type = repo_type
        self.revision, self.create_pr = revision, create_pr
        self.repo_id, self.head = repo_id, ""
        if "/" not in repo_id:
            with self._plain_errors():
                self.repo_id = f"{self.api.whoami()['name']}/{repo_id}"

    def read(self) -> Published:
        """Read files and texts at the head of the branch, and remember that head; of no repository, nothing."""
        with self._plain_errors():
            try:
                info = self.api.repo_info(self.repo_id, revision=self.revision, repo_type=self.repo_type)
            except RevisionNotFoundError:
                info = self.api.repo_info(self.repo_id, repo_type=self.repo_type)  # the branch will begin here
            except RepositoryNotFoundError:
                return Published()
            self.repo_id, self.head = info.id, str(info.sha)  # a renamed repository answers by its new name
            tree = self.api.list_repo_tree(self.repo_id, recursive=True, revision=self.head, repo_type=self.repo_type)
            files = {item.path: item.size for item in tree if isinstance(item, RepoFile)}
            readme, provenance = (self._text(name) if name in files else None for name in (README, manifest.FILE_NAME))
            return Published(files, readme, provenance)

    def _text(self, name: str) -> str:
        path = self.api.hf_hub_download(self.repo_id, name, revision=self.head, repo_type=self.repo_type)
        return Path(path).read_bytes().decode()

    def make(self, private: bool | None) -> None:
        """Make the repository and the branch where they are not there yet."""
        with self._plain_errors():
            if not self.head:
                self.api.create_repo(self.repo_id, repo_type=self.repo_type, private=private, exist_ok=True)
            if self.revision is not None and not self.revision.startswith("refs/pr/"):
                self.api.create_branch(self.repo_id, branch=self.revision, repo_type=self.repo_type, exist_ok=True)

    def commit(
        self, folder: Path, names: Sequence[str], stale: Sequence[str], message: str, description: str | None
    ) -> CommitInfo:
        """Upload files of a folder, then commit them, and the deletions, on top of the head that was read."""
        where: dict[str, Any] = {"repo_type": self.repo_type, "revision": self.revision, "create_pr": self.create_pr}
        additions = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name) for name in names]
        deletions = [CommitOperationDelete(path_in_repo=name) for name in stale]
        with self._plain_errors():
            self.api.preupload_lfs_files(self.repo_id, additions, free_memory=False, **where)
            commit: CommitInfo = self.api.create_commit(
                self.repo_id,
                [*additions, *deletions],
                commit_message=message,
                commit_description=description,
                parent_commit=self.head,
                **where,
            )
            return commit

    @contextlib.contextmanager
    def _plain_errors(self) -> Iterator[None]:
        """Say in one line what the Hub's answer means for the user."""
        try:
            yield
        except HfHubHTTPError as error:
            raise self._plain(error) from error
        except RuntimeError as error:  # how the client says that a shard could not be uploaded
            raise OSError(f"{error} Reason: {error.__cause__}. Nothing was published: push again") from error
        except HTTP_ERROR as error:
            raise ConnectionError(f"the Hub cannot be reached ({error}): try again once it can") from error

    def _plain(self, error: HfHubHTTPError) -> OSError:
        status = error.response.status_code
        if status in (401, 403):
            return PermissionError(
                f"the Hub refused {self.repo_id} ({status}): log in with 'hf auth login' or pass token= with write access"
            )
        if status in (409, 412):
            return OSError(
                f"{self.repo_id} was changed meanwhile by another commit: nothing was published, push again"
            )
        said = " ".join((error.server_message or str(error)).split())
        return OSError(f"the Hub answered {status} for {self.repo_id}: {said}")
