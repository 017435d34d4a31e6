"""Installed packages, whose version identifies their modules, classes and functions without reading them.

A package in editable mode, or a file that only shares an installed package's name, is not identified by a version.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
import sysconfig
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_packages = functools.cache(metadata.packages_distributions)
_STDLIB = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]


def pinned_package(module: str | None) -> str | None:
    """Return name and version of the installed package that a module belongs to, the Python version for the standard library.

    None stands for modules whose code no version identifies.

    Examples:
        >>> pinned_package("collections.abc").split("==")[0], pinned_package("__main__")
        ('python', None)
    """
    return _package(module.partition(".")[0]) if module else None


def pinned_name(value: Any) -> str | None:
    """Return package, version and name of a class or function that can be found there under its own name, else None.

    Examples:
        >>> pinned_name(json.dumps).endswith(":json.dumps"), pinned_name(lambda: None)
        (True, None)
    """
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        return None
    package = pinned_package(module)
    found: Any = sys.modules.get(module) if package else None
    for part in name.split("."):
        found = vars(found).get(part) if hasattr(found, "__dict__") else None
    return f"{package}:{module}.{name}" if found is value else None


@functools.cache
def _package(root: str) -> str | None:
    if root in sys.builtin_module_names:
        return _python()
    place = _place(root)
    if root in sys.stdlib_module_names:
        return _python() if place in ("built-in", "frozen") or _is_below(place, _STDLIB) else None
    for name in dict.fromkeys(_packages().get(root, ())):
        installed = metadata.distribution(name)
        if _is_below(place, [str(installed.locate_file(""))]):
            return _named(name, installed)
    return None


def _place(root: str) -> str:
    """Find where a package is loaded from, without loading it; empty where that is unknown."""
    try:
        spec = find_spec(root)
    except (ImportError, ValueError):  # ValueError: a module that came from no file, such as the prompt
        return ""
    if spec is None:
        return ""
    return spec.origin or next(iter(spec.submodule_search_locations or []), "")


def _is_below(place: str, folders: list[str]) -> bool:
    return bool(place) and any(Path(place).resolve().is_relative_to(Path(folder).resolve()) for folder in folders)


def _named(name: str, installed: metadata.Distribution) -> str:
    """Return name and version, without the hardware that it was built for.

    One that is installed from a repository has its commit as well; from a folder or file, where a version may stay while the
    code changes, a digest of the list of its files, which has theirs.
    """
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    exact = origin.get("vcs_info", {}).get("commit_id")
    if origin and exact is None:
        exact = hashlib.sha256((installed.read_text("RECORD") or "").encode()).hexdigest()
    return f"{name}=={installed.version.partition('+')[0]}" + (f"@{exact}" if exact else "")


def _python() -> str:
    return f"python=={sys.version_info.major}.{sys.version_info.minor}"
