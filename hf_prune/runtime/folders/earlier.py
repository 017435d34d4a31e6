"""Leftovers of killed processes of earlier versions, in which folders had no owners.

An export kept what it replaced in ``FOLDER/.hf_prune-????????/former``, a saved data set in ``.FOLDER-????????/former`` beside it.
"""

import glob
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

_INSIDE = re.compile(r"\.hf_prune-[a-z0-9_]{8}")
_RANDOM = re.compile(r"[a-z0-9_]{8}")
_PRIVATE = 0o700  # what mkdtemp makes
_KINDS = {"new", "former"}


def put_back(folder: Path) -> None:
    """Restore the former content of a folder that a killed process had moved aside."""
    if not os.path.lexists(folder):
        for place in _beside(folder):
            if (place / "former").is_dir():
                (place / "former").rename(folder)
                return
    for place in _inside(folder):
        for path in sorted((place / "former").rglob("*")):
            if path.is_file() or path.is_symlink():
                target = folder / path.relative_to(place / "former")
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)


def remove_leftovers(folder: Path) -> None:
    """Remove what such processes left, once the former content is back."""
    for place in (*_inside(folder), *_beside(folder)):
        shutil.rmtree(place, ignore_errors=True)


def _inside(folder: Path) -> Iterator[Path]:
    for place in sorted(folder.glob(".hf_prune-*")):
        if _INSIDE.fullmatch(place.name) and _is_leftover(place):
            yield place


def _beside(folder: Path) -> Iterator[Path]:
    start = f".{folder.name}-"
    for place in sorted(folder.parent.glob(f"{glob.escape(start)}*")):
        if _RANDOM.fullmatch(place.name[len(start) :]) and _is_leftover(place):
            yield place


def _is_leftover(place: Path) -> bool:
    if place.is_symlink() or not place.is_dir() or place.stat().st_mode & 0o777 != _PRIVATE:
        return False
    return {path.name for path in place.iterdir()} <= _KINDS
