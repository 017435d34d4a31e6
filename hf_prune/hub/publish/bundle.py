"""The files of one configuration: shards and pictures, with their digests."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hf_prune.hub.formats import Configuration
from hf_prune.hub.manifest import Entry, file_entry, images_digest
from hf_prune.hub.publish.pictures import beside
from hf_prune.hub.publish.shards import ShardOptions, Shards, write_shards


@dataclass(frozen=True)
class Bundle:
    """The files of a configuration.

    Attributes:
        shards: Split → its shards.
        files: Path → size and SHA-256 of every file, shards included.
        digests: Split → digest of the images in its rows; None where there is none.
    """

    shards: Mapping[str, Shards]
    files: Mapping[str, Entry]
    digests: Mapping[str, str | None]

    @classmethod
    def write(cls, configuration: Configuration, folder: Path, options: ShardOptions) -> "Bundle":
        """Write the files of a configuration to a folder, and digest its images meanwhile."""
        with beside(lambda: digest_images(configuration)) as digests:
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
        return cls(shards, files_of(shards) | drawn, digests.result())


def files_of(shards: Mapping[str, Shards]) -> dict[str, Entry]:
    """Return size and SHA-256 of the files of all splits."""
    return {path: file for found in shards.values() for path, file in found.files.items()}


def digest_images(configuration: Configuration) -> dict[str, str | None]:
    """Return the digest of the images of each split that was described."""
    return {name: images_digest(split, configuration.entries[name]) for name, split in configuration.splits.items()}
