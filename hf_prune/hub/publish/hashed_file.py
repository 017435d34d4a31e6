"""The file that Arrow writes Parquet into: written and hashed by a thread of its own; a full disk is an error at its end."""

import hashlib
import io
import queue
import threading
from typing import Any, BinaryIO, Self

# Pieces that may wait to be written, of about 1 MB each where `datasets` has Arrow chunk by content.
_WAITING = 8


class HashedFile(io.RawIOBase):
    """A file that knows the SHA-256 of what was written, and keeps the first error for its end.

    Writing and hashing leave Python's lock to others, so they take no time by the clock where a second core is free. An
    error is kept because Arrow aborts the process if its Parquet writer meets a full disk where it chunks by content, as
    `datasets` asks it to ("Check failed: _s.ok()", Arrow 26).

    Args:
        file: Where the bytes go; the caller opens and closes it.

    Raises:
        OSError: At the end of the ``with`` block, if a write failed; any other error of the file likewise.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._position = 0
        self._error: Exception | None = None
        self._digest = hashlib.sha256()
        # Two simple queues and not one of limited size, which would wait for Python's lock several times a piece.
        self._pieces: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(_WAITING):
            self._room.put(None)
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *raised: object) -> None:
        self._pieces.put(None)
        self._thread.join()
        if self._error is not None and kind is None:
            raise self._error

    def _work(self) -> None:
        while (piece := self._pieces.get()) is not None:
            if self._error is None:  # else only pretend, and go on to make room
                try:
                    self._file.write(piece)
                    self._file.flush()
                    self._digest.update(piece)
                except Exception as error:  # of any kind: who writes must not wait for room for ever
                    self._error = error
            self._room.put(None)

    @property
    def sha256(self) -> str:
        """Return the digest of everything written, after the end of the ``with`` block."""
        return self._digest.hexdigest()

    def writable(self) -> bool:
        """Return True, which Arrow asks for."""
        return True

    def tell(self) -> int:
        """Return how many bytes were taken so far."""
        return self._position

    def write(self, data: Any) -> int:
        """Take a piece, once there is room for it."""
        piece = bytes(data)  # no copy of bytes, which Arrow gives; anything else may be written over
        self._position += len(piece)
        self._room.get()
        self._pieces.put(piece)
        return len(piece)
