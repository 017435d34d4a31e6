"""Additions that a result can do without: where one fails, the result stands and a warning names what is missing."""

from collections.abc import Callable
from typing import TypeVar

from hf_prune.runtime.messages import warn
from hf_prune.runtime.processes import together

T = TypeVar("T")


def extra(make: Callable[[], T], what: str) -> T | None:
    """Return what a function makes, or None with a warning that names the error where it fails.

    Args:
        make: The function.
        what: What it makes, as the warning begins: ``"the evidence on 'el2n'"``.

    Example:
        >>> extra(lambda: 3, "the number")
        3
    """
    try:
        return make()
    except Exception as error:  # of any kind: the result does not depend on it
        warn(f"{what} was left out, all else is complete ({type(error).__name__}: {error})")
        return None


def extra_of_all(make: Callable[[], T], what: str) -> T | None:
    """Do the same in all processes: what fails in one of them is left out by all."""
    found: list[T] = []

    def agreed() -> T:
        together(lambda: found.append(make()))
        return found[0]

    return extra(agreed, what)
