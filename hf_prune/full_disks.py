"""A disk without room is the user's to mend, in whatever words the library says it that wrote the file."""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# safetensors names the number of the system's error, torch and NumPy only say that writing failed.
_NUMBER = re.compile(r"\(os error (\d+)\)")
_CUT_OFF = re.compile(
    r"PytorchStreamWriter failed writing|file write failed|inline_container\.cc.*unexpected pos|\d+ requested and \d+ written"
)


@contextlib.contextmanager
def says_when_full(place: str | Path, what: str, way_out: str) -> Iterator[None]:
    """Let one line say so where what is written meanwhile finds no room.

    Args:
        place: Where it is written.
        what: What it is, such as ``"the training"``.
        way_out: What to do.

    Raises:
        OSError: If there is no room; any other error is raised as it is.

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
    """Why there was no room, in the system's words; None where something else was the matter."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno) if error.errno in _FULL else None
    number = _NUMBER.search(str(error))
    if number is not None:
        return os.strerror(int(number[1])) if int(number[1]) in _FULL else None
    return "a file could not be written whole" if _CUT_OFF.search(str(error)) else None
