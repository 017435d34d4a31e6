import errno
import hashlib
import os
import re
from pathlib import Path

import pytest

from hf_prune.hub.publish.hashed_file import HashedFile


def test_what_was_written_is_hashed_in_its_order(tmp_path):
    pieces = [bytes([number]) * (number * 1000) for number in range(40)]
    with (tmp_path / "file").open("wb") as file, HashedFile(file) as hashed:
        for piece in pieces:
            lent = bytearray(piece)
            assert hashed.write(memoryview(lent)) == len(piece)
            lent[:] = bytes(len(lent))  # the writer may use its buffer again
    written = (tmp_path / "file").read_bytes()
    assert written == b"".join(pieces)
    assert (hashed.tell(), hashed.sha256) == (len(written), hashlib.sha256(written).hexdigest())


def write_all(file, pieces):
    """Sizes that the writer is told; a piece that is None is an error of its own."""
    told = []
    with HashedFile(file) as hashed:
        for piece in pieces:
            told.append(hashed.write(piece) if piece is not None else {}["no piece"])
            told.append(hashed.tell())
    return told


@pytest.fixture
def full_disk():
    with Path("/dev/full").open("wb", buffering=0) as file:
        yield file


def test_a_full_disk_is_told_at_the_end(full_disk):
    seen = []
    pieces = (seen.append(piece) or piece for piece in (b"abc", b"de"))
    with pytest.raises(OSError, match=re.escape(os.strerror(errno.ENOSPC))):
        write_all(full_disk, pieces)
    assert seen == [b"abc", b"de"]  # the first failure did not stop the writer


def test_a_file_that_is_closed_does_not_hold_the_writer_up(tmp_path):
    with (tmp_path / "file").open("wb") as file:
        pass
    with pytest.raises(ValueError, match="closed file"):
        write_all(file, [b"piece"] * 40)


def test_an_error_of_the_writer_goes_first(full_disk):
    with pytest.raises(KeyError, match="no piece"):
        write_all(full_disk, [b"abc", None])
