"""Source of a data set: repository and commit, given by the caller or detected from traces that `datasets` keeps.

`datasets` writes the commit into the path of its cache, not the repository's exact name (``CIFAR10`` becomes ``cifar10``
there); the exact name is the folder of the Hub cache that holds the same commit.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from datasets import Dataset, Image
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, though its package does not say so

from hf_prune.runtime.errors import InputError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_URL = re.compile(r"(?:^|::)hf://datasets/(?P<repo>[^/@\s]+(?:/[^/@\s]+)?)@(?P<commit>[0-9a-f]{40})/")
# Base of every failure to reach a server, whichever HTTP library the client uses (httpx or its successor).
HTTP_ERROR: type[BaseException] = HfHubHTTPError.__mro__[1]
# An export must not hang where packets are dropped silently.
TIMEOUT_S = 5.0
WAYS_OUT = 'pass source="name@COMMIT" (the 40 digits of the commit on the Hub), or source="local"'


@dataclass(frozen=True)
class Source:
    """Source of the rows before hf_prune saw them.

    Attributes:
        repo_id: Data set repository on the Hub; None for a local one.
        commit: Its commit, 40 hexadecimal digits; None for a local one.
        known: ``"given"`` by the caller, ``"detected"`` from the traces of `datasets`, or ``"local"``.
        checked: Whether the Hub confirmed that the commit exists.
        config_name: Configuration that was loaded, where detected.
        split: Split that was loaded, where the data set knows it.
    """

    repo_id: str | None
    commit: str | None
    known: str
    checked: bool = False
    config_name: str | None = None
    split: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the source as the record holds it, without what does not apply."""
        if self.known == "local":
            return {"known": self.known}
        fields: dict[str, Any] = {"repo_id": self.repo_id, "commit": self.commit, "known": self.known}
        fields["check"] = "found on the Hub" if self.checked else "unchecked"
        return fields | {name: value for name in ("config_name", "split") if (value := getattr(self, name))}


def locate_source(ds: Dataset, source: str | None = None) -> Source:
    """Find the source of a data set, without asking the Hub.

    Args:
        ds: The data set.
        source: ``"name@COMMIT"``, ``"local"``, or None to read it from the cache path and ``hf://`` files of ``ds``.

    Raises:
        ValueError: If ``source`` is malformed, or nothing or more than one source is found.

    Example:
        >>> locate_source(Dataset.from_dict({"a": [1]}), "local").to_dict()
        {'known': 'local'}
    """
    if source == "local":
        return Source(None, None, "local")
    found = _detect(ds) if source is None else _parse(source)
    return replace(found, split=str(ds.split) if ds.split is not None else None)


def remember_source(ds: Dataset) -> Dataset:
    """Note the detected source, if any, in the ``info`` of a data set, which is changed in place and returned.

    Saved and opened again, a data set has other files and no longer shows its source, but ``save_to_disk`` keeps the info.
    """
    try:
        found = _detect(ds)
    except ValueError:
        return ds
    url = f"hf://datasets/{found.repo_id}@{found.commit}/"
    ds.info.download_checksums = (ds.info.download_checksums or {}) | {url: {"num_bytes": 0, "checksum": None}}
    return ds


def check_source(source: Source, token: str | bool | None = None) -> Source:
    """Ask the Hub whether it has a source; return it, marked as checked if so; ValueError if the Hub does not have it.

    It is returned unchanged where the Hub cannot be reached (``HF_HUB_OFFLINE``).
    """
    if source.known == "local":
        return source
    name = f"{source.repo_id}@{source.commit}"
    try:
        HfApi(token=token).dataset_info(str(source.repo_id), revision=source.commit, timeout=TIMEOUT_S)
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        what = "commit" if isinstance(error, RevisionNotFoundError) else "data set (or it needs another token)"
        raise InputError(f"the Hub has no such {what}: {name} ({source.known}); {WAYS_OUT}") from error
    except (OSError, HTTP_ERROR):  # no connection, offline mode, or a server in trouble: known, but not confirmed
        return source
    return replace(source, checked=True)


def split_revision(name: str, revision: str | None = None) -> tuple[str, str | None]:
    """Split ``id@revision`` into id and revision, None where there is none.

    Args:
        name: An id of the Hub, with or without a revision.
        revision: The same revision once more, or that of a name without one.

    Raises:
        ValueError: If both name a revision, and not the same.

    Example:
        >>> split_revision("org/name@main"), split_revision("org/name"), split_revision("org/name", "v1")
        (('org/name', 'main'), ('org/name', None), ('org/name', 'v1'))
    """
    repo_id, _, given = name.partition("@")
    if given and revision not in (None, given):
        raise InputError(f"{name!r} names the revision {given!r}, but revision={revision!r}; give one of them")
    return repo_id, given or revision


def hub_name(repo_id: Any, commit: Any) -> str:
    """Return the id of a repository that a record names with its commit, unless a file or folder here has that name.

    Functions that open something by its name look for a folder first, which a record must not choose.

    Raises:
        ValueError: If it is no id with a commit, or the name of a file or folder here.
    """
    if not (
        isinstance(repo_id, str) and isinstance(commit, str) and _is_repo_id(repo_id) and _COMMIT.fullmatch(commit)
    ):
        raise InputError(f"{repo_id!r} at {commit!r} is no repository of the Hub and its commit")
    if Path(repo_id).exists() or Path(f"{repo_id}@{commit}").exists():
        raise InputError(f"a file or folder here is called {repo_id!r} as well: call this from another folder")
    return repo_id


def _parse(source: str) -> Source:
    repo_id, commit = split_revision(str(source))
    if commit is None or not _is_repo_id(repo_id) or not _COMMIT.fullmatch(commit):
        raise InputError(f"source={source!r} does not name a commit: {WAYS_OUT}")
    return Source(repo_id, commit, "given")


def _detect(ds: Dataset) -> Source:
    found = {(repo_id, commit) for repo_id, commit in _traces(ds) if _is_repo_id(repo_id)}
    if not found:
        raise InputError(f"this data set does not say where it came from: {WAYS_OUT}")
    if len(found) > 1:
        names = ", ".join(sorted(f"{repo_id}@{commit}" for repo_id, commit in found))
        raise InputError(f"this data set comes from several sources ({names}): {WAYS_OUT}")
    repo_id, commit = found.pop()
    return Source(repo_id, commit, "detected", config_name=ds.info.config_name)


def _traces(ds: Dataset) -> Iterator[tuple[str, str]]:
    """Yield pairs of repository and commit that the files of a data set show."""
    urls = [*(ds.info.download_checksums or ()), *_first_image_paths(ds)]
    for match in filter(None, map(_HUB_URL.search, urls)):
        yield match["repo"], match["commit"]
    # A concatenation of different data sets forgets the name of the config and keeps the files of all that have files.
    for file in ds.cache_files if ds.info.config_name else ():
        # …/namespace___name/config/0.0.0/COMMIT/name-train.arrow; packaged formats have a digest of another length
        parts = PurePath(file["filename"]).parts
        if len(parts) >= 5 and _COMMIT.fullmatch(parts[-2]):
            yield _exact_name(parts[-2]) or parts[-5].replace("___", "/"), parts[-2]


def _first_image_paths(ds: Dataset) -> list[str]:
    columns = [name for name, feature in ds.features.items() if isinstance(feature, Image)]
    firsts = [ds.data.column(column).slice(0, 1).to_pylist() for column in columns]
    return [first[0]["path"] for first in firsts if first and first[0] and first[0]["path"]]


def _exact_name(commit: str) -> str | None:
    """Return the name of the one repository of which the Hub cache holds this commit, else None."""
    folders = list(Path(constants.HF_HUB_CACHE).glob(f"datasets--*/snapshots/{commit}"))
    names = {folder.parts[-3].removeprefix("datasets--").replace("--", "/") for folder in folders}
    return names.pop() if len(names) == 1 else None


def _is_repo_id(name: str) -> bool:
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True
