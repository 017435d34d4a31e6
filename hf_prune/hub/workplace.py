"""A folder for what is about to be sent."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hf_prune.folders import temporary_folder
from hf_prune.full_disks import says_when_full


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """Give a temporary folder that is taken away in the end.

    Raises:
        OSError: If the disk is full meanwhile; one line says so.
    """
    way_out = "nothing was published; make room, or set TMPDIR to a larger disk"
    with temporary_folder() as place, says_when_full(tempfile.gettempdir(), "the files", way_out):
        yield place
