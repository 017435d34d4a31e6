"""Plain values for records and pages: as Python source, and without paths of this machine."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

_LOCAL_PATH = re.compile(r"(?:file://|~\w*[\\/]|\.{1,2}[\\/]|/|\\\\|[A-Za-z]:[\\/])(?s:.*[\\/])?")


def python(value: Any) -> Markup:
    r"""Write a plain value as Python source for a fenced block: ASCII, on one line, without anything HTML reads.

    Example:
        >>> print(python({"a": ["<!--", 0.5]}))
        {"a": ["\x3c!--", 0.5]}
    """
    if isinstance(value, Mapping):
        return Markup("{" + ", ".join(f"{python(key)}: {python(item)}" for key, item in value.items()) + "}")
    if isinstance(value, list | tuple):
        return Markup("[" + ", ".join(map(python, value)) + "]")
    text = ascii(value)
    if isinstance(value, str) and text[0] == "'" and '"' not in text:
        text = f'"{text[1:-1]}"'
    for character in "<>&`":
        text = text.replace(character, f"\\x{ord(character):02x}")
    return Markup(text)


def without_paths(value: Any) -> Any:
    """Cut every local path in a value to its last part, and the home folder inside a text to ``~``."""
    if isinstance(value, Mapping):
        return {key: without_paths(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(item) for item in value]
    if not isinstance(value, str):
        return value
    cut, home = _LOCAL_PATH.match(value), Path.home()
    value = value[cut.end() :] if cut else value
    return value if home == home.parent else re.sub(rf"{re.escape(str(home))}(?=[\\/]|$)", "~", value)
