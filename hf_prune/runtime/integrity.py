"""Digests of files and JSON texts, written when something is finished and compared when it is used.

A text in JSON carries its own digest. A folder has a file that lists the digests of the others: ``digests.json``, or the
record with which a trained model is published.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from hf_prune.runtime.errors import InputError
from hf_prune.runtime.files import DamagedFile, write_file
from hf_prune.runtime.threads import Workers
from hf_prune.runtime.untrusted import read_bytes, read_json

DIGESTS, FORMAT = "digests.json", 1
SEAL = "record_sha256"
LISTS = (DIGESTS, "training.json")
_MOST_THREADS = 8


def json_sha256(fields: Mapping[str, Any], *, allow_nan: bool = False) -> str:
    """Return the SHA-256 of JSON values, without their digest, in ASCII with sorted keys and no spaces.

    Example:
        >>> json_sha256({"b": 1, "a": [0.5]}) == json_sha256({"a": [0.5], "b": 1, "record_sha256": "..."})
        True
    """
    content = {name: value for name, value in fields.items() if name != SEAL}
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, allow_nan=allow_nan, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(fields: Mapping[str, Any]) -> bytes:
    """Return values as JSON with their own digest.

    Example:
        >>> unsealed(sealed({"a": 1}))
        {'a': 1}
    """
    plain = json.loads(json.dumps(fields))
    return (json.dumps(plain | {SEAL: json_sha256(plain, allow_nan=True)}, indent=2) + "\n").encode()


def unsealed(data: bytes) -> dict[str, Any]:
    """Read what `sealed` returned; what an earlier version wrote without a digest is taken as it is.

    A ValueError says that it is no JSON object, or that its digest differs.
    """
    fields = read_json(data, allow_nan=True)
    if not isinstance(fields, dict):
        raise InputError("no JSON object")
    if fields.pop(SEAL, None) not in (None, json_sha256(fields, allow_nan=True)):
        raise InputError("it is not what was written: its digest differs")
    return fields


def write_sealed(path: Path, fields: Mapping[str, Any]) -> None:
    """Write values as JSON with their own digest to a file, complete or not at all."""
    write_file(path, sealed(fields))


def read_sealed(path: Path) -> dict[str, Any]:
    """Read a file of `write_sealed`; OSError if it is no regular file, ValueError as of `unsealed`."""
    return unsealed(read_bytes(path))


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_entry(path: Path) -> dict[str, Any]:
    """Return size and SHA-256 of a file, as lists of files hold them."""
    return {"size": path.stat().st_size, "sha256": file_sha256(path)}


def write_digests(folder: Path, names: Iterable[str] | None = None, name: str = DIGESTS) -> None:
    """Write the digests of some files of a finished folder, named by their paths in it, or of all, to a file there."""
    if names is None:
        names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    chosen = sorted(set(names) - {name})
    found = _on_threads(lambda path: file_entry(folder / path), chosen)
    write_sealed(folder / name, {"format": FORMAT, "files": dict(zip(chosen, found, strict=True))})


def check_digests(
    folder: Path, lists: Iterable[str] = LISTS, only: Callable[[str], bool] = lambda _: True
) -> dict[str, str]:
    """Compare the files of a folder with the digests that were written when it was finished.

    Args:
        folder: The folder.
        lists: Files that may hold the digests; a folder without any is not compared.
        only: Whether the file of a path is compared.

    Returns:
        Path of each file that was compared → its SHA-256; a DamagedFile says where one differs, or is gone.
    """
    compared: dict[str, str] = {}
    for name in lists:
        damaged = find_damage(folder, name, only)
        if damaged is not None:
            raise DamagedFile(
                f"{damaged} in {str(folder)!r}: make the folder again or fetch another copy; if that was changed on "
                f"purpose, remove {name}"
            )
        compared |= {path: entry["sha256"] for path, entry in _read_list(folder / name).items() if only(path)}
    return compared


def find_damage(folder: Path, name: str, only: Callable[[str], bool] = lambda _: True) -> str | None:
    """Name a file of a folder that differs from a list of digests, as a message begins; None where none does."""
    try:
        listed = _read_list(folder / name)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"{name}, which lists the digests, is damaged ({type(error).__name__})"
    chosen = [path for path in listed if only(path)]
    same = _on_threads(lambda path: (folder / path).is_file() and file_entry(folder / path) == listed[path], chosen)
    odd = next((path for path, agrees in zip(chosen, same, strict=True) if not agrees), None)
    return None if odd is None else f"{odd!r} is not the file that was finished there"


def _read_list(path: Path) -> dict[str, dict[str, Any]]:
    """Return path → size and digest; nothing where there is no list."""
    try:
        data = read_bytes(path)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    if path.name != DIGESTS and SEAL.encode() not in data:  # of another program, or a version that wrote no digests
        return {}
    files = unsealed(data)["files"]
    listed = {name: {"size": int(entry["size"]), "sha256": str(entry["sha256"])} for name, entry in files.items()}
    return {name: entry for name, entry in listed.items() if _lies_below(name)}


def _lies_below(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _on_threads(work: Callable[[str], Any], names: list[str]) -> list[Any]:
    """Work on all names: hashing lets other threads run, and large folders have many files."""
    if len(names) < 2:
        return [work(name) for name in names]
    with Workers(min(len(names), _MOST_THREADS, os.cpu_count() or 1)) as workers:
        return [found for _, found in workers.ahead(work, names)]
