"""Texts for people: each message is one line in which every character can be seen and none acts on the terminal."""

import warnings
from collections.abc import Iterable

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


def warn(text: str, *, stacklevel: int) -> None:
    """Warn the user in one line; every warning of the package is given here.

    Args:
        text: The warning.
        stacklevel: As for `warnings.warn`, counted from the caller.
    """
    warnings.warn(one_line(text), stacklevel=stacklevel + 1)


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
