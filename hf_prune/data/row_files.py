"""Files that rows name: read if they are plain files of bounded size, and checked by their first bytes.

The maker of a data set chose the paths in it. A path may lead to a device that never ends, to information of the system about
this process, or to any other file of this machine, which publishing the rows would publish.
"""

import io
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets.utils.file_utils import xopen

from hf_prune.runtime.errors import InputError
from hf_prune.runtime.messages import one_line

MAX_BYTES = 1 << 29  # of an image; Pillow would take several times as much
MAX_OTHER_BYTES = (1 << 31) - 1  # of any other file: what a value in a Parquet file can hold
_LOCAL = ("file://", "local://")
_RIFF = (b"RIFF", b"RIFX", b"RF64")


def read_row_file(path: str, limit: int = MAX_BYTES) -> bytes:
    """Read the file at a path or address of a row.

    Args:
        path: A path of this machine, or anything else that `datasets` opens.
        limit: Most bytes that are accepted.

    Raises:
        FileNotFoundError: If it is not there.
        OSError: If it is no plain file, or larger, or changes while it is read.

    Example:
        >>> read_row_file("/dev/zero")
        Traceback (most recent call last):
        ...
        OSError: '/dev/zero' is no plain file: give the path of an image, or its bytes
    """
    local = next((path.removeprefix(start) for start in _LOCAL if path.startswith(start)), path)
    size = _plain_size(local, limit) if "://" not in local and "::" not in local else None
    with xopen(path if size is None else local, "rb") as file:
        data = bytes(file.read(limit + 1))
    if len(data) > limit:
        raise OSError(f"{path!r} has more than {limit:,} bytes, which is more than is read of such a file")
    if size and len(data) != size:
        raise OSError(f"{path!r} changed while it was read: let nothing write to it meanwhile, and run again")
    if size == 0 and data:  # such as a file that the system makes up when it is read
        raise OSError(f"{path!r} is no plain file: give the path of an image, or its bytes")
    return data


def _plain_size(path: str, limit: int) -> int:
    """Return the size of a file of this machine, without opening what could wait or never end."""
    status = Path(path).stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{path!r} is no plain file: give the path of an image, or its bytes")
    if status.st_size > limit:
        raise OSError(f"{path!r} has {status.st_size:,} bytes, more than the {limit:,} that are read of such a file")
    return status.st_size


def check_kind(data: bytes, path: str, feature: Any) -> None:
    """Raise a one-line ValueError if a file, by its bytes, is not of the kind of its column, such as ``Image()``.

    Example:
        >>> from datasets import Image
        >>> check_kind(b"HOME=/home/somebody", "/proc/self/environ", Image())
        Traceback (most recent call last):
        ...
        hf_prune.InputError: '/proc/self/environ' is no Image by its first bytes, and nothing else is published of a row: mend its path
    """
    kind = type(feature).__name__
    # Formats without first bytes of their own, which only a person can tell from other files, are refused.
    if not (kind in _KINDS and _KINDS[kind](data)):
        raise InputError(
            f"{path!r} is no {kind} by its first bytes, and nothing else is published of a row: mend its path"
        )


def _is_image(data: bytes) -> bool:
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(data)):
            return True
    except Exception:  # bad headers of images raise errors of many types
        return False


def _is_audio(data: bytes) -> bool:
    starts = (*_RIFF, b"fLaC", b"OggS", b"ID3", b"FORM", b".snd", b"caff", b"wvpk", b"#!AMR", b"ADIF", b"MAC ")
    frame = len(data) > 1 and data[0] == 0xFF and data[1] >= 0xE0  # MP3 and AAC without a head
    return data.startswith(starts) or frame or _is_container(data)


def _is_video(data: bytes) -> bool:
    transport = data[:1] == data[188:189] == b"\x47"
    starts = (*_RIFF, b"OggS", b"FLV", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3")
    return data.startswith(starts) or transport or _is_container(data)


def _is_container(data: bytes) -> bool:
    """Whether bytes begin as MP4 and its kin, Matroska or ASF, which hold sound or pictures."""
    boxes = (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip")
    return data[4:8] in boxes or data.startswith((b"\x1aE\xdf\xa3", b"0&\xb2u"))


def _is_nifti(data: bytes) -> bool:
    sizes = [size.to_bytes(4, order) for size in (348, 540) for order in ("little", "big")]
    return data.startswith((b"\x1f\x8b", *sizes))


_KINDS: dict[str, Callable[[bytes], bool]] = {
    "Image": _is_image,
    "Audio": _is_audio,
    "Video": _is_video,
    "Pdf": lambda data: b"%PDF-" in data[:1024],
    "Nifti": _is_nifti,
}


def embedded_file(path: str, feature: Any) -> bytes:
    """Read a file that a row names, of the kind of its column, to be published with the row.

    Raises:
        OSError: As `read_row_file`; the message is one line.
        ValueError: As `check_kind`.
    """
    try:
        data = read_row_file(path, MAX_BYTES if type(feature).__name__ == "Image" else MAX_OTHER_BYTES)
    except OSError as error:
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else OSError
        raise kind(one_line(error)) from error
    check_kind(data, path, feature)
    return data
