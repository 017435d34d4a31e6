"""What helps beside a result and is no part of it: where it fails the result stands, and a warning says what is missing."""

from collections.abc import Callable
from typing import TypeVar

from hf_prune.runtime.messages import warn

T = TypeVar("T")


def extra(make: Callable[[], T], what: str) -> T | None:
    """Make something that a result can do without.

    Args:
        make: Makes it.
        what: What it is, as the warning begins: ``"the evidence on 'el2n'"``.

    Returns:
        What was made; None where that failed.

    Warns:
        UserWarning: Where it failed, naming the error.

    Example:
        >>> extra(lambda: 3, "the number")
        3
    """
    try:
        return make()
    except Exception as error:  # whatever it is, the result that this stands beside is none the worse for it
        warn(f"{what} was left out, all else is complete ({type(error).__name__}: {error})", stacklevel=3)
        return None


def extra_of_all(make: Callable[[], T], what: str) -> T | None:
    """The same where all processes take part: what fails in one of them is left out by all."""
    from hf_prune.runtime.processes import together

    found: list[T] = []

    def agreed() -> T:
        together(lambda: found.append(make()))
        return found[0]

    return extra(agreed, what)
