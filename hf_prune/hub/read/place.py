"""A published data set as a reader finds it: a folder, or a repository of the Hub at one commit."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from hf_prune.data.source import HTTP_ERROR, split_revision
from hf_prune.hub import manifest
from hf_prune.hub.formats import format_of
from hf_prune.hub.layout import README, RECORD_FILE, SCORES, matching
from hf_prune.hub.read.parquet_files import count_rows, read_batches, read_schema
from hf_prune.hub.record_fields import check_records
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.folders import recover
from hf_prune.runtime.integrity import file_sha256
from hf_prune.runtime.messages import listed, one_line
from hf_prune.runtime.untrusted import read_bytes, read_json

_TABLE_ROWS = 50_000  # read at once


class DamagedError(InputError):
    """A text that hf_prune wrote is damaged."""


@dataclass(frozen=True)
class Place:
    """A published data set.

    Attributes:
        name: The name under which the reader opened it.
        repo_id: Repository on the Hub; None for a folder, like ``commit``, the one that is read.
        folder: The folder; None for the Hub.
        files: Path → bytes, of every file.
        readme: Content of README.md, if there is one.
        provenance: Content of provenance.json.
        records: Configuration → its record.
    """

    name: str
    repo_id: str | None
    commit: str | None
    folder: Path | None
    files: Mapping[str, int]
    readme: str | None
    provenance: str
    records: Mapping[str, dict[str, Any]]
    token: str | bool | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """Return the name with the commit, for messages."""
        return f"{self.repo_id}@{self.commit}" if self.repo_id else self.name

    @cached_property
    def schema(self) -> int:
        """Return the schema of the records."""
        return int(read_json(self.provenance)["schema"])

    def fetch(self, path: str) -> Path:
        """Return the path of a file on this machine, downloaded if need be; OSError if that cannot be done."""
        if self.folder is not None:
            return self.folder / path
        return _download(HfApi(token=self.token), str(self.repo_id), path, str(self.commit))

    def data_files(self, config: str, split: str) -> list[str]:
        """Return the paths of the data files of a split, in the order of its rows; ValueError without any."""
        found = matching(self.files, self.entry(config, split).get("data_files") or [])
        if not found:
            raise InputError(f"{self.shown} has no data file of split {split!r} of configuration {config!r}")
        return found

    def count_rows(self, config: str, split: str) -> int:
        """Count the rows of the data files of a split, whatever its record says; errors as of `parquet_files.count_rows`."""
        return count_rows([self.fetch(path) for path in self.data_files(config, split)])

    def read_table(self, config: str, split: str, wanted: Callable[[pa.Schema], Sequence[str]]) -> pa.Table:
        """Read whole columns of a split, which ``wanted`` names from the schema of each file.

        Raises:
            ValueError: If a file is not the one that the record describes, or no Parquet that fits its size.
        """
        files = self.records[config].get("files") or {}
        paths = {path: self.fetch(path) for path in self.data_files(config, split)}
        for path, place in paths.items():
            expected = (files.get(path) or {}).get("sha256")
            if expected is not None and file_sha256(place) != expected:
                raise InputError(
                    f"{path} of {self.shown} is not the file of its record: see hf-prune verify {self.name}"
                )
        try:
            count_rows(list(paths.values()))
            columns = {path: list(wanted(read_schema(place))) for path, place in paths.items()}
            batches = [
                batch for path, place in paths.items() for batch in read_batches(place, _TABLE_ROWS, columns[path])
            ]
            return pa.Table.from_batches(batches)
        except (ValueError, pa.ArrowException) as error:
            raise InputError(f"{SCORES!r} of {self.shown}: {one_line(error)}") from error

    def entry(self, config: str, split: str) -> dict[str, Any]:
        """Return the record of a split; ValueError if there is none."""
        splits = self.record(config).get("splits") or {}
        if split not in splits:
            there = listed(splits) or "no splits"
            raise InputError(f"configuration {config!r} of {self.shown} has no split {split!r}, it has {there}")
        return dict(splits[split])

    def record(self, config: str) -> dict[str, Any]:
        """Return the record of a configuration; ValueError if there is none."""
        if config not in self.records:
            raise InputError(f"{self.shown} has no configuration {config!r}, it has {listed(self.records)}")
        return self.records[config]

    def splits(self, config: str) -> dict[str, Any]:
        """Return the records of the splits of a configuration; empty where there is no such configuration."""
        return self.records.get(config, {}).get("splits") or {}

    def has_rows(self, config: str) -> bool:
        """Whether a configuration holds the rows of a cut, and not only their numbers or scores."""
        return format_of(self.record(config)).has_rows


def open_published(name: str | Path, revision: str | None = None, token: str | bool | None = None) -> Place:
    """Open a data set that hf_prune published to a folder, or to a repository of the Hub, by default its main branch.

    Its texts are read, and no data file. ``id@revision`` is a repository with its ``revision``.

    Raises:
        ValueError: If hf_prune published nothing there; a `DamagedError` if it did and the record cannot be read.
        OSError: If there is no such place, or the Hub cannot be reached.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise InputError(f"revision={revision!r} is for repositories, {str(name)!r} is a folder: leave it out")
        recover(folder)
        place = _read_folder(str(name), folder)
    else:
        place = _read_repository(str(name), *split_revision(str(name), revision), token)
    if not place.records:
        raise DamagedError(f"{RECORD_FILE} of {place.shown} describes nothing that can be read")
    return place


def _read_folder(name: str, folder: Path) -> Place:
    if not (folder / RECORD_FILE).is_file():
        raise InputError(f"{name!r} was not published by hf_prune: it has no {RECORD_FILE}")
    files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    files = {path: size for path, size in files.items() if not path.startswith(".")}
    readme = read_text(folder / README) if README in files else None
    provenance = read_text(folder / RECORD_FILE)
    return Place(name, None, None, folder, files, readme, provenance, _parse(provenance))


def _read_repository(name: str, repo_id: str, revision: str | None, token: str | bool | None) -> Place:
    api = HfApi(token=token)
    try:
        info = api.dataset_info(repo_id, revision=revision)
        tree = api.list_repo_tree(repo_id, recursive=True, revision=info.sha, repo_type="dataset")
        files = {item.path: item.size for item in tree if isinstance(item, RepoFile)}
    except HFValidationError as error:
        raise FileNotFoundError(f"{name!r} is no folder here and no name of a repository") from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        what = "revision" if isinstance(error, RevisionNotFoundError) else "data set (or it needs another token)"
        raise FileNotFoundError(f"{name!r} is no folder here, and the Hub has no such {what}") from error
    except (HfHubHTTPError, HTTP_ERROR, OSError) as error:
        raise _unreachable(name, error) from error
    if RECORD_FILE not in files:
        raise InputError(f"{repo_id} was not published by hf_prune: it has no {RECORD_FILE}")
    commit = str(info.sha)
    texts = {path: read_text(_download(api, repo_id, path, commit)) for path in (RECORD_FILE, README) if path in files}
    provenance = texts[RECORD_FILE]
    records = _parse(provenance)
    return Place(name, info.id, commit, None, files, texts.get(README), provenance, records, token)


def _parse(provenance: str) -> dict[str, dict[str, Any]]:
    try:
        records = manifest.parse(provenance)
        check_records(records)
    except ValueError as error:
        found = re.search(r'"schema": (\d{1,9})\b', provenance)
        if found and int(found[1]) > manifest.SCHEMA:
            raise
        raise DamagedError(one_line(error)) from error
    return records


def _download(api: HfApi, repo_id: str, path: str, commit: str) -> Path:
    try:
        return Path(api.hf_hub_download(repo_id, path, revision=commit, repo_type="dataset"))
    except EntryNotFoundError as error:
        raise FileNotFoundError(f"{repo_id}@{commit} has no file {path}") from error
    except (HfHubHTTPError, HTTP_ERROR, OSError) as error:
        raise _unreachable(repo_id, error) from error


def _unreachable(name: str, error: BaseException) -> OSError:
    return OSError(f"{name}: the Hub cannot be read ({one_line(error)})")


def read_text(path: Path) -> str:
    """Read a text as it is, whatever its line ends; DamagedError if it is no UTF-8, or too large."""
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise DamagedError(f"{path.name} is no text in UTF-8 ({error})") from error
    except ValueError as error:
        raise DamagedError(one_line(error)) from error
