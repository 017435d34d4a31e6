"""What a folder or repository holds now, and which of its files belong to a configuration."""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from hf_prune.hub.shards import SHARD_NAME

# Characters of a pattern, and comparisons of files with patterns with stars; hf_prune writes one such pattern per split.
_MAX_PATTERN, _MAX_COMPARED = 1000, 1_000_000
_NOTHING = re.compile(r"(?!)")  # what no text is


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
    """Whether a path fits one of the glob patterns of a configuration, found in time that grows with their lengths alone.

    Example:
        >>> matches("data/a/x.parquet", ["data/**/x.*"]), matches("data/a/x.parquet", ["data/*.parquet"])
        (True, False)
    """
    parts = name.split("/")
    return any(pattern == name or _fits(parts, _compiled(pattern)) for pattern in patterns)


def matching(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """The paths that fit one of the patterns, sorted.

    Raises:
        ValueError: If there are so many of both, or patterns so long, that finding them would take long.
    """
    names, wanted = list(names), set(patterns)
    globs = [pattern for pattern in wanted if "*" in pattern or "?" in pattern]
    if any(len(pattern) > _MAX_PATTERN for pattern in wanted) or len(globs) * len(names) > _MAX_COMPARED:
        raise ValueError(
            f"{len(globs):,} patterns for {len(names):,} files, which are too many or too long: name files by fewer"
        )
    return sorted(name for name in names if name in wanted or matches(name, globs))


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> tuple[re.Pattern[str] | None, ...]:
    """What each part of a path must be; None stands for any number of parts."""
    parts = pattern.split("/")
    parts += ["*"] if parts[-1] == "**" else []  # whatever is in a folder, and not the folder itself
    return tuple(None if part == "**" else re.compile(_as_regex(part), re.DOTALL) for part in parts)


def _as_regex(part: str) -> str:
    """The earliest place of what lies between two stars is as good as any, so none is tried twice: (?>...)."""
    first, *others = (_plain(text) for text in re.split(r"\*+", part))
    if not others:
        return first
    *inner, last = others
    return f"{first}{''.join(f'(?>.*?{text})' for text in inner if text)}.*{last}"


def _plain(text: str) -> str:
    return "".join("." if letter == "?" else re.escape(letter) for letter in text)


def _fits(parts: list[str], pattern: tuple[re.Pattern[str] | None, ...]) -> bool:
    """Match part by part; where one does not fit, only the last ``**`` takes a part more."""
    place = wanted = 0
    again: tuple[int, int] | None = None
    while place < len(parts):
        part = pattern[wanted] if wanted < len(pattern) else _NOTHING
        if part is None:
            again, wanted = (place, wanted), wanted + 1
        elif part.fullmatch(parts[place]):
            place, wanted = place + 1, wanted + 1
        elif again is not None:
            again = again[0] + 1, again[1]
            place, wanted = again[0], again[1] + 1
        else:
            return False
    return all(part is None for part in pattern[wanted:])


def is_shard(name: str, patterns: Iterable[str]) -> bool:
    """Whether a path is a Parquet shard under a pattern like ``data/train-*``, and not merely some file that fits it."""
    return any(
        pattern.endswith("-*") and name.startswith(pattern[:-2]) and SHARD_NAME.fullmatch(name[len(pattern) - 2 :])
        for pattern in patterns
    )
