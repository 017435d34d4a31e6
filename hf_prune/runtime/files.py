"""Files that are complete or absent, array files with a checksum, and one line about a disk that is full.

Files are written beside their place and renamed, so that a killed process or a full disk leaves no half file behind. Arrays
are read with a checksum, so that a file cut short or altered is noticed. They are safetensors only: reading runs no code.
"""

import contextlib
import csv
import errno
import json
import os
import re
import shutil
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from hf_prune.runtime.errors import InputError
from hf_prune.runtime.file_locks import is_abandoned, lock
from hf_prune.runtime.messages import one_line
from hf_prune.runtime.untrusted import read_json

PART_PREFIX = ".part-"  # a file or folder being written; it gets its name when complete, and is locked until then
_ATTEMPTS = 5
# The types of `pack_floats`, as safetensors calls them.
_DTYPES = {"F32": np.float32, "F16": np.float16, "U16": np.uint16}


class DamagedFile(InputError):
    """A file that is cut short or altered."""


def write_file(path: Path, data: bytes) -> None:
    """Write a file, complete or not at all, whatever happens to this process or the disk."""
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            _write_file(path, data)
        except FileNotFoundError:
            # Another process removed the part before it was locked, or on another machine, which does not see the lock.
            if not attempts_left or not path.parent.is_dir():
                raise
        else:
            return


def _write_file(path: Path, data: bytes) -> None:
    part = path.parent / f"{PART_PREFIX}{uuid.uuid4().hex}"
    try:
        with part.open("xb") as file:
            locked = lock(file.fileno())
            file.write(data)
            file.flush()
            if locked:  # until it has its name, so that nobody takes it for a leftover
                part.replace(path)
        if not locked:
            part.replace(path)
    except BaseException:  # an interrupt, too, must leave no part behind
        part.unlink(missing_ok=True)
        raise


def write_csv(path: str | Path, names: Sequence[str], rows: Iterable[Iterable[Any]]) -> Path:
    """Write a table, its columns named in the first line, and return its path."""
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([names, *rows])
    return Path(path)


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], note: str = "") -> None:
    """Write named arrays with a checksum and a note, complete or not at all; equal ones give equal bytes."""
    checksum = _checksum(arrays, note)
    write_file(path, _in_order(safetensors.numpy.save(dict(arrays), {"crc32": checksum, "note": note})))


def read_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], str]:
    """Read what `write_arrays` wrote; DamagedFile if it is cut short or altered, FileNotFoundError if there is none."""
    data = path.read_bytes()  # no memory map: a file that is cut short meanwhile would be a bus error
    try:
        arrays = safetensors.numpy.load(data)
        header = read_json(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        intact = header["crc32"] == _checksum(arrays, header["note"])
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DamagedFile(f"{path} ({one_line(error)})") from error
    if not intact:
        raise DamagedFile(f"{path} (checksum differs)")
    return arrays, header["note"]


def read_array_rows(path: Path, name: str, places: NDArray[np.int64]) -> NDArray[Any]:
    """Read some rows of one array of a file and nothing else of it; the checksum is for those who read the file first.

    Args:
        path: A file that `write_arrays` wrote.
        name: Name of the array, of shape (n, ...).
        places: The rows, in [0, n), shape (m,); neighbours that ascend are read at once.

    Returns:
        The rows, shape (m, ...).

    Raises:
        DamagedFile: If the file is cut short or altered.
        FileNotFoundError: If there is none.
    """
    with path.open("rb", buffering=0) as file:  # no memory map, as above; and its pages would count as this process's
        try:
            size = int.from_bytes(file.read(8), "little")
            entry = json.loads(file.read(size))[name]
            dtype, (_, *shape), first = _DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"][0]
        except (ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
            raise DamagedFile(f"{path} ({one_line(error)})") from error
        found = np.empty((len(places), *shape), dtype)
        into, row_bytes = found.reshape(-1).view(np.uint8).data, found[:1].nbytes
        starts = np.flatnonzero(np.diff(places, prepend=-2) != 1).tolist()
        for start, stop in zip(starts, [*starts[1:], len(places)], strict=False):
            file.seek(8 + size + first + int(places[start]) * row_bytes)
            if file.readinto(into[start * row_bytes : stop * row_bytes]) != (stop - start) * row_bytes:
                raise DamagedFile(f"{path} (cut short)")
    return found


def array_shape(path: Path, name: str) -> tuple[int, ...] | None:
    """Read the shape of an array from the header of its file; None where the file is damaged or gone."""
    try:
        with safetensors.safe_open(path, "numpy") as file:
            return tuple(file.get_slice(name).get_shape())
    except (OSError, SafetensorError):
        return None


def discard(path: Path) -> None:
    """Remove a file if that is allowed; in a read-only cache it stays, and is left out again next time."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def remove_stale_parts(folder: Path) -> None:
    """Remove what killed processes left half-written; parts of running processes are locked and stay."""
    with contextlib.suppress(FileNotFoundError):  # another process removes the folder while it is read
        for part in folder.glob(f"{PART_PREFIX}*"):
            if is_abandoned(part):
                if part.is_dir():
                    shutil.rmtree(part, ignore_errors=True)
                else:
                    discard(part)


def pack_floats(values: NDArray[np.float32]) -> NDArray[np.generic]:
    """Return float32 values in 16 bits where that loses nothing, as of float16 and bfloat16, else a copy of them.

    Those of bfloat16 are the upper halves of their bits, as uint16.

    Example:
        >>> [pack_floats(np.array([value], np.float32)).dtype.name for value in (1.5, 1 + 2**-10, 0.1)]
        ['uint16', 'float16', 'float32']
    """
    values = np.ascontiguousarray(values, dtype=np.float32)
    bits = values.view(np.uint32)
    if (bits & np.uint32(0x1FFF)).any():  # float16 has ten of the 23 bits behind the point
        return values.copy()
    if not (bits & np.uint32(0xFFFF)).any():
        return (bits >> np.uint32(16)).astype(np.uint16)
    with np.errstate(over="ignore"):  # what is too large for float16 becomes infinite, and so another number
        halves = values.astype(np.float16)
    same = np.array_equal(halves.astype(np.float32).view(np.uint32), bits)
    return halves if same else values.copy()


def unpack_floats(packed: NDArray[Any], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Undo `pack_floats`; the result is written to ``out`` where that is given."""
    import torch  # which converts float16 ten times as fast as NumPy

    out = np.empty(packed.shape, np.float32) if out is None else out
    of_bfloat16 = packed.dtype == np.uint16
    values = torch.from_numpy(packed.view(np.int16)).view(torch.bfloat16) if of_bfloat16 else torch.from_numpy(packed)
    torch.from_numpy(out).copy_(values)
    return out


def _in_order(data: bytes) -> bytes:
    """Sort the metadata in the header of a file, which safetensors writes in another order each time."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # what follows begins at a multiple of eight bytes
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def _checksum(arrays: Mapping[str, NDArray[Any]], note: str) -> str:
    checksum = zlib.crc32(note.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        checksum = zlib.crc32(f"{name}{array.dtype}{array.shape}".encode(), checksum)
        checksum = zlib.crc32(array.data, checksum)
    return f"{checksum:08x}"


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# safetensors gives the number of the system's error, torch and NumPy only say that writing failed.
_NUMBER = re.compile(r"\(os error (\d+)\)")
_CUT_OFF = re.compile(
    r"PytorchStreamWriter failed writing|file write failed|inline_container\.cc.*unexpected pos|\d+ requested and \d+ written"
)


@contextlib.contextmanager
def says_when_full(place: str | Path, what: str, way_out: str) -> Iterator[None]:
    """Raise one line where a full disk ends the block.

    Args:
        place: Where the block writes.
        what: What it writes, such as ``"the training"``.
        way_out: What to do.

    Raises:
        OSError: If there is no room; other errors are raised as they are.

    Example:
        >>> with says_when_full("/tmp", "the record", "make room"):
        ...     raise OSError(errno.ENOSPC, "No space left on device")
        Traceback (most recent call last):
        ...
        OSError: there is no room for the record in '/tmp' (No space left on device): make room
    """
    try:
        yield
    except Exception as error:
        reason = _why_full(error)
        if reason is None:
            raise
        raise OSError(f"there is no room for {what} in {str(place)!r} ({reason}): {way_out}") from error


def _why_full(error: Exception) -> str | None:
    """Return why there was no room, in the system's words; None for other errors."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno) if error.errno in _FULL else None
    number = _NUMBER.search(str(error))
    if number is not None:
        return os.strerror(int(number[1])) if int(number[1]) in _FULL else None
    return "a file could not be written whole" if _CUT_OFF.search(str(error)) else None
