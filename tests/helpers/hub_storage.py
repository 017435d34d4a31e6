"""What the Hub server of the tests holds: repositories, their commits and files, in memory."""

import hashlib
import json
from dataclasses import dataclass, field


@dataclass
class Blob:
    """One file: its bytes where they lie in the repository, else the digest of the object in the store."""

    size: int
    content: bytes = b""
    lfs: str | None = None

    @property
    def oid(self) -> str:
        return self.lfs or hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()


@dataclass
class Repo:
    private: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, Blob]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, branch: str, files: dict[str, Blob], message: str) -> str:
        listing = sorted((path, blob.oid) for path, blob in files.items())
        oid = hashlib.sha1(json.dumps([len(self.commits), listing]).encode()).hexdigest()
        self.branches[branch], self.commits[oid] = oid, files
        self.messages.append(message)
        return oid

    def files(self, revision: str) -> dict[str, Blob]:
        return self.commits[self.branches.get(revision, revision)]


class HubError(Exception):
    def __init__(
        self, status: int, message: str, code: str = "", headers: dict[str, str] | None = None, url: str = ""
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.headers, self.url = status, code, headers or {}, url


class HangUpError(Exception):
    """The server closes the connection without an answer."""


def tree_entry(path: str, blob: Blob) -> dict[str, object]:
    large = {"lfs": {"oid": blob.lfs, "size": blob.size, "pointerSize": 130}} if blob.lfs else {}
    return {"type": "file", "path": path, "size": blob.size, "oid": blob.oid, **large}
