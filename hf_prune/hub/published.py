"""What a folder or repository holds now, and which of its files belong to a configuration."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from hf_prune.hub.shards import SHARD_NAME


def _untold(path: str) -> None:
    """What a place answers that knows no digests."""


@dataclass(frozen=True)
class Published:
    """What a folder or repository holds now.

    Attributes:
        files: Path → bytes, of every file.
        readme: Content of README.md, if there is one.
        provenance: Content of provenance.json, if there is one.
        sha256: Path → SHA-256 of that file; None where the place does not tell.
    """

    files: Mapping[str, int] = field(default_factory=dict)
    readme: str | None = None
    provenance: str | None = None
    sha256: Callable[[str], str | None] = _untold


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a path fits one of the glob patterns of a configuration."""
    return any(_as_regex(pattern).fullmatch(name) for pattern in patterns)


def _as_regex(pattern: str) -> re.Pattern[str]:
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(parts.get(part, re.escape(part)) for part in re.split(r"(\*\*/|\*\*|\*|\?)", pattern)))


def is_shard(name: str, patterns: Iterable[str]) -> bool:
    """Whether a path is a Parquet shard under a pattern like ``data/train-*``, and not merely some file that fits it."""
    return any(
        pattern.endswith("-*") and name.startswith(pattern[:-2]) and SHARD_NAME.fullmatch(name[len(pattern) - 2 :])
        for pattern in patterns
    )
