"""Two folders that change places in one step of the file system."""

import ctypes
import os
import sys
from pathlib import Path

# Names and numbers of the calls: renameat2(2) of Linux, renamex_np(2) of macOS.
_RENAME_EXCHANGE, _AT_FDCWD = 2, -100
_RENAME_SWAP = 2


def exchange(one: Path, other: Path) -> bool:
    """Let two paths change places, both or none of them.

    Args:
        one: A file or folder.
        other: Another, on the same file system.

    Returns:
        Whether it was done; some file systems cannot, NFS among them.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    first, second = os.fsencode(one), os.fsencode(other)
    try:
        if sys.platform == "darwin":
            return bool(libc.renamex_np(first, second, _RENAME_SWAP) == 0)
        return bool(libc.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE) == 0)
    except AttributeError:  # a C library without it
        return False
