"""Texts for people: each message is one line in which every character can be seen and none acts on the terminal."""

import inspect
import warnings
from collections.abc import Iterable

_PACKAGE = "hf_prune"
_SHOWN = 2000  # characters of one line


def printable(text: object) -> str:
    r"""Write a text in one line in which every character can be seen and none is acted upon.

    Line ends, escape sequences of terminals, marks that turn the direction of writing, and whatever else is no visible
    character are written as Python writes them in a string.

    Example:
        >>> print(printable("a\nb \x1b[32mall 21 checks agree\u202e é"))
        a\nb \x1b[32mall 21 checks agree\u202e é
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def printable_lines(text: object) -> str:
    r"""Write a text of our own in several lines, each as `printable` does.

    Example:
        >>> printable_lines("first\n\x1bsecond") == "first\n\\x1bsecond"
        True
    """
    return "\n".join(printable(line) for line in str(text).split("\n"))


def one_line(said: object) -> str:
    r"""Return the text of an error, or any text, in one line of bounded length; the type of an error without text.

    Example:
        >>> one_line(ValueError("first\n  second\x1b[0m")), one_line(RecursionError())
        ('first second\\x1b[0m', 'RecursionError')
    """
    text = shortened(printable(" ".join(str(said).split())))
    return text or (type(said).__name__ if isinstance(said, BaseException) else "")


def error_line(error: BaseException) -> str:
    r"""Return type and text of an error in one line of bounded length.

    Example:
        >>> error_line(ValueError("first\n  second")), error_line(RecursionError())
        ('ValueError: first second', 'RecursionError')
    """
    kind, said = type(error).__name__, one_line(error)
    return said if said == kind else f"{kind}: {said}"


class HfPruneWarning(UserWarning):
    """A warning of this package; ``warnings.filterwarnings("ignore", category=hf_prune.HfPruneWarning)`` silences them."""


HfPruneWarning.__module__ = _PACKAGE  # the short name, under which it is public


def warn(text: str) -> None:
    """Warn the user in one line, at the line of theirs that called the package; every warning of it is given here."""
    warnings.warn(one_line(text), HfPruneWarning, stacklevel=_level_of_caller())


def _level_of_caller() -> int:
    """Return the level, counted from `warn`, of the frame that called the outermost frame of the package."""
    frame, level, inside = inspect.currentframe(), 0, 0  # level 0 is this function, 1 is `warn`
    while frame is not None:
        if str(frame.f_globals.get("__name__")).partition(".")[0] == _PACKAGE:
            inside = level
        frame, level = frame.f_back, level + 1
    return min(inside + 1, level - 1)  # of a thread of the package there is no caller


def shortened(text: str, length: int = _SHOWN) -> str:
    """Cut a text that is too long to show.

    Example:
        >>> shortened("abcdef", 4)
        'abc…'
    """
    return text if len(text) <= length else f"{text[: length - 1]}…"


def listed(names: Iterable[object], most: int = 20) -> str:
    r"""Quote names for a sentence, no more of them than can be read.

    Example:
        >>> listed(["a", "b\n"]), listed("abcd", most=2)
        ("'a', 'b\\n'", "'a', 'b', … (4 in all)")
    """
    found = [shortened(repr(name), 100) for name in names]
    return ", ".join(found) if len(found) <= most else f"{', '.join(found[:most])}, … ({len(found):,} in all)"
