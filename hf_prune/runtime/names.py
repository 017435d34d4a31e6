"""Unknown names, answered with the nearest known one."""

import difflib
from collections.abc import Iterable

from hf_prune.runtime.errors import UserError


class UnknownNameError(UserError, KeyError):
    """An unknown name; its text is one plain line, unlike that of a KeyError."""

    def __str__(self) -> str:
        return str(self.args[0])


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message for an unknown name.

    Example:
        >>> unknown_name("metric", "el2m", ["el2n", "random"])
        "unknown metric 'el2m'. Did you mean 'el2n'? Known: el2n, random"
    """
    known = sorted(known)
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {name!r}.{hint} Known: {', '.join(known) or 'none'}"
