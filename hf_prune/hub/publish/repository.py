"""A repository on the Hub: read at one commit, written in one commit on top of the one that was read.

The client asks again by itself where it uploads and lists, not where it reads a repository's state and commits; that
is done here. A commit whose answer is lost is looked for before it is sent again.
"""

import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile

from hf_prune.hub.layout import README, RECORD_FILE, Published
from hf_prune.hub.publish.retries import (
    TROUBLE,
    ConflictError,
    UncertainError,
    is_conflict,
    is_passing,
    patiently,
    plain,
)
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.files import says_when_full
from hf_prune.runtime.folders import temporary_folder
from hf_prune.runtime.integrity import file_sha256
from hf_prune.runtime.messages import warn
from hf_prune.runtime.untrusted import read_bytes

# Times that a push begins anew because others commit to the same branch meanwhile.
_ATTEMPTS = 4
# Pull requests that are looked through, newest first, for one whose answer was lost.
_RECENT = 5


# From what is published to what is sent: names of files, and of files to delete.
Arrange = Callable[[Published], tuple[Sequence[str], Sequence[str]]]


class Repository:
    """Reads files and texts at one commit, and commits on top of it.

    Args:
        repo_id: Name, with or without a namespace.
        token: A token with write access; None takes the one that is logged in.
        revision: Branch; None is the main one.
        create_pr: Whether a commit opens a pull request.
        repo_type: ``"dataset"``, ``"model"``, or ``"space"`` for a static Space.
        private: Whether a repository that is made is private; True refuses one that is there and public.

    Raises:
        ValueError: If ``private`` and the repository is public; so do all methods.
        OSError: If the Hub refuses or cannot be reached; so do all methods, and say what became of the repository.
    """

    def __init__(
        self,
        repo_id: str,
        token: str | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        repo_type: Literal["dataset", "model", "space"] = "dataset",
        private: bool | None = None,
    ) -> None:
        self.api = HfApi(token=token, library_name="hf_prune")
        self.repo_type, self.private = repo_type, private
        self.revision, self.create_pr = revision, create_pr
        self.repo_id, self.head = repo_id, ""
        self._is_there = self._was_made = False
        self._files: Mapping[str, RepoFile] = {}
        if "/" not in repo_id:
            with self._plain_errors():
                self.repo_id = f"{patiently(self.api.whoami)['name']}/{repo_id}"

    def read(self) -> Published:
        """Read files and texts at the head of the branch, and remember that head; of no repository, nothing."""
        with self._plain_errors():
            try:
                info = patiently(self._info)
            except RepositoryNotFoundError:
                if self._is_there:  # so a token that has expired looks, to whom may not see the repository
                    raise
                return Published()
            self._is_there = True
            if self.private and info.private is False:
                raise InputError(
                    f"private=True, but {info.id} is there and public: nothing was published; "
                    "make it private in its settings, or name another"
                )
            self.repo_id, self.head = info.id, info.sha or ""  # a renamed repository answers by its new name
            self._files = self._list(self.head) if self.head else {}
            files = {path: item.size for path, item in self._files.items()}
            readme, provenance = (self._text(name) if name in files else None for name in (README, RECORD_FILE))
            return Published(files, readme, provenance, self._sha256)

    def _sha256(self, path: str) -> str | None:
        """Return the digest of a file in the large storage of the Hub, which knows none of the others."""
        large = self._files[path].lfs if path in self._files else None
        return None if large is None else large.sha256

    def _info(self) -> Any:
        try:
            return self.api.repo_info(self.repo_id, revision=self.revision, repo_type=self.repo_type)
        except RevisionNotFoundError:
            return self.api.repo_info(self.repo_id, repo_type=self.repo_type)  # the branch will begin here

    def _list(self, commit: str) -> dict[str, RepoFile]:
        tree = self.api.list_repo_tree(self.repo_id, recursive=True, revision=commit, repo_type=self.repo_type)
        return {item.path: item for item in tree if isinstance(item, RepoFile)}

    def _text(self, name: str) -> str:
        def download() -> str:
            try:
                return self.api.hf_hub_download(self.repo_id, name, revision=self.head, repo_type=self.repo_type)
            except LocalEntryNotFoundError as error:  # what the client makes of an answer that does not come
                if isinstance(error.__cause__, TROUBLE):
                    raise error.__cause__ from error
                raise

        return read_bytes(Path(patiently(download))).decode()

    def make(self) -> None:
        """Make the repository and the branch where they are not there yet."""
        where: dict[str, Any] = {"repo_type": self.repo_type, "exist_ok": True}
        with self._plain_errors():
            if not self._is_there:
                kind: dict[str, Any] = {"space_sdk": "static"} if self.repo_type == "space" else {}
                patiently(lambda: self.api.create_repo(self.repo_id, private=self.private, **where, **kind))
                self._was_made = True
            if self.revision is not None and not self.revision.startswith("refs/pr/"):
                patiently(lambda: self.api.create_branch(self.repo_id, branch=str(self.revision), **where))

    def send(self, folder: Path, arrange: Arrange, message: str, description: str | None = None) -> CommitInfo:
        """Send files in one commit; where others commit meanwhile, arrange anew on top of that and send again.

        Args:
            folder: Where the files are, under their names in the repository.
            arrange: Writes what depends on the files that are published to the folder, and returns the names of all files
                to send and of files to delete.
            message: Title of the commit.
            description: Text of the commit.

        Returns:
            The commit; where all is there already, the present one, with a warning that says so.
        """
        self.make()
        for _ in range(_ATTEMPTS - 1):
            names, stale = arrange(self.read())
            with contextlib.suppress(ConflictError):
                return self.commit(folder, names, stale, message, description)
        names, stale = arrange(self.read())
        return self.commit(folder, names, stale, message, description)

    def commit(
        self,
        folder: Path,
        names: Sequence[str],
        stale: Sequence[str],
        message: str,
        description: str | None = None,
    ) -> CommitInfo:
        """Upload files of a folder, then commit them, and the deletions, on top of the head that was read."""
        if self.head and _holds(self._files, folder, names, stale):
            warn(f"{self.repo_id} holds all this already: nothing was sent")
            return self._commit_info(self.head, message, description)
        additions = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name) for name in names]
        deletions = [CommitOperationDelete(path_in_repo=name) for name in stale]
        where: dict[str, Any] = {"repo_type": self.repo_type, "revision": self.revision, "create_pr": self.create_pr}

        def attempt() -> CommitInfo:
            try:
                sent: CommitInfo = self.api.create_commit(
                    self.repo_id,
                    [*additions, *deletions],
                    commit_message=message,
                    commit_description=description,
                    parent_commit=self.head or None,
                    **where,
                )
            except TROUBLE as error:
                arrived = self._find(error, folder, names, stale)
                if arrived is None:
                    raise
                return self._commit_info(arrived[0], message, description, arrived[1])
            return sent

        with self._plain_errors(ValueError, OSError):  # such as a quota that is used up, or what xet reports
            self.api.preupload_lfs_files(self.repo_id, additions, free_memory=False, **where)
        with self._plain_errors(ValueError):
            return patiently(attempt)

    def _find(
        self, error: BaseException, folder: Path, names: Sequence[str], stale: Sequence[str]
    ) -> tuple[str, str | None] | None:
        """Look whether a commit arrived although its answer is an error: its digits, and the pull request's address."""
        if not (is_passing(error) or is_conflict(error)):
            return None
        try:
            for commit, number in patiently(self._candidates):
                if commit != self.head and _holds(self._list(commit), folder, names, stale):
                    return commit, f"{self._address()}/discussions/{number}" if number else None
        except TROUBLE as second:
            raise UncertainError(
                f"the connection broke while the commit was sent and {self.repo_id} cannot be read now: push again, "
                "which changes nothing if the commit is there"
            ) from second
        return None

    def _candidates(self) -> list[tuple[str, str]]:
        """Return commits that may be the one just sent: the head of the branch, or of recent pull requests with their number."""
        if not self.create_pr:
            return [(str(self._info().sha), "")]
        refs = self.api.list_repo_refs(self.repo_id, repo_type=self.repo_type, include_pull_requests=True)
        numbered = [(int(ref.ref.rpartition("/")[2]), ref.target_commit) for ref in refs.pull_requests or []]
        return [(commit, str(number)) for number, commit in sorted(numbered, reverse=True)[:_RECENT]]

    def _address(self) -> str:
        place = {"dataset": "datasets/", "space": "spaces/"}.get(self.repo_type, "")
        return f"{self.api.endpoint}/{place}{self.repo_id}"

    def _commit_info(
        self, commit: str, message: str, description: str | None, pull_request: str | None = None
    ) -> CommitInfo:
        return CommitInfo(
            commit_url=f"{self._address()}/commit/{commit}",
            commit_message=message,
            commit_description=description or "",
            oid=commit,
            pr_url=pull_request,
        )

    @contextlib.contextmanager
    def _plain_errors(self, *others: type[BaseException]) -> Iterator[None]:
        """Say in one line what an error of the client means for the user."""
        expected: tuple[type[BaseException], ...] = (*TROUBLE, RuntimeError, *others)
        try:
            yield
        except expected as error:
            # A RuntimeError is how the client says that a file could not be uploaded.
            cause = error.__cause__ if isinstance(error, RuntimeError) else None
            state = "nothing was published" + (", and the new repository is empty" if self._was_made else "")
            raise plain(cause or error, self.repo_id, state) from error


def _holds(present: Mapping[str, RepoFile], folder: Path, names: Sequence[str], stale: Sequence[str]) -> bool:
    """Whether files of a repository are those of a folder, and none of those to delete is there."""
    if any(name not in present or present[name].size != (folder / name).stat().st_size for name in names):
        return False
    small_first = sorted(names, key=lambda name: present[name].size)
    return not present.keys() & set(stale) and all(_is_same(present[name], folder / name) for name in small_first)


def _is_same(remote: RepoFile, path: Path) -> bool:
    if remote.lfs:
        return file_sha256(path) == remote.lfs.sha256
    blob = b"blob %d\0" % remote.size + path.read_bytes()  # as Git numbers a small file
    return hashlib.sha1(blob, usedforsecurity=False).hexdigest() == remote.blob_id


@contextlib.contextmanager
def staging_folder() -> Iterator[Path]:
    """Give a temporary folder that is taken away in the end; an OSError says in one line that the disk is full."""
    way_out = "nothing was published; make room, or set TMPDIR to a larger disk"
    with temporary_folder() as place, says_when_full(tempfile.gettempdir(), "the files", way_out):
        yield place
