"""The files of one configuration: shards and pictures, with their digests."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hf_prune.hub.formats import Configuration
from hf_prune.hub.manifest import Entry, images_digest
from hf_prune.hub.publish.shards import ShardOptions, Shards, write_shards
from hf_prune.runtime.integrity import file_entry

T = TypeVar("T")


@dataclass(frozen=True)
class Bundle:
    """The files of a configuration.

    Attributes:
        shards: Split → its shards.
        pictures: Path → size and SHA-256.
        digests: Split → digest of the images in its rows; None where there is none.
    """

    shards: Mapping[str, Shards]
    pictures: Mapping[str, Entry]
    digests: Mapping[str, str | None]

    @property
    def files(self) -> dict[str, Entry]:
        """Return path → size and SHA-256 of every file."""
        return {
            path: file
            for files in (*(found.files for found in self.shards.values()), self.pictures)
            for path, file in files.items()
        }

    @classmethod
    def write(cls, configuration: Configuration, folder: Path, options: ShardOptions) -> "Bundle":
        """Write the files of a configuration to a folder, and digest its images meanwhile."""
        with background(lambda: digest_images(configuration)) as digests:
            for path, png in configuration.pictures.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(png)
            drawn = {path: file_entry(folder / path) for path in configuration.pictures}
            shards = {
                name: write_shards(split.rows, folder, configuration.data_dir, name, options)
                if configuration.format.has_files
                else Shards((), {}, 0)
                for name, split in configuration.splits.items()
            }
        return cls(shards, drawn, digests.result())


def digest_images(configuration: Configuration) -> dict[str, str | None]:
    """Return the digest of the images of each split that was described."""
    return {name: images_digest(split, configuration.entries[name]) for name, split in configuration.splits.items()}


@contextlib.contextmanager
def background(work: Callable[[], T]) -> Iterator[Future[T]]:
    """Do some work in a thread while a block runs.

    Args:
        work: The work; it should leave Python's lock to others, as hashing does, or nothing is gained.

    Yields:
        The result, which is there after the block.

    Raises:
        Exception: What the work raised, at the end of the block; where the block met an error of the same files, too, since
            the work names the row.

    Example:
        >>> with background(lambda: 1 + 1) as answer:
        ...     pass
        >>> answer.result()
        2
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # raised again by result(), in the thread that waits for it
            future.set_exception(error)

    # A daemon: an interrupt ends the program, however long the work would take.
    threading.Thread(target=run, daemon=True).start()
    try:
        yield future
    except OSError:
        future.result()
        raise
    future.result()
