"""A folder for what is about to be sent."""

import contextlib
import errno
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hf_prune.folders import temporary_folder

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """Give a temporary folder that is taken away in the end.

    Raises:
        OSError: If the disk is full meanwhile; one line says so.
    """
    with temporary_folder() as place:
        try:
            yield place
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise OSError(
                f"there is no room for the files in {tempfile.gettempdir()!r} ({error.strerror}): "
                "nothing was published; make room, or set TMPDIR to a larger disk"
            ) from error
