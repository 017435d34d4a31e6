"""Numbers of rows: the budget from a fraction or a count, and the share of the hardest that is cut first."""

from fractions import Fraction
from typing import Any

import numpy as np

from hf_prune.runtime.errors import InputError, InputTypeError

NUMBERS = (int, float, np.integer, np.floating)  # a NumPy bool is none of these; Python's is an int
NOISE = "noise"
MAX_CUTOFF = 0.5


def is_number(value: Any) -> bool:
    """Whether a value is a number of Python or NumPy, which a bool is not."""
    return isinstance(value, NUMBERS) and not isinstance(value, bool)


def count_rows(keep: Any, num_rows: int) -> int:
    """Turn a fraction or a count into a number of rows.

    Args:
        keep: A float in (0, 1] or an int in [1, num_rows].
        num_rows: Rows to choose from.

    Returns:
        Rows to keep, at least 1.

    Raises:
        ValueError: If it is out of range.
        TypeError: If it is neither float nor int (a bool is neither).

    Example:
        >>> count_rows(0.8, 40), count_rows(1, 40), count_rows(1.0, 40)
        (32, 1, 40)
    """
    if num_rows == 0:
        raise InputError("no rows with a score to choose from: the data set is empty, or every score is null")
    if not is_number(keep):
        raise InputTypeError(f"keep={keep!r} is a {type(keep).__name__}; give a fraction in (0, 1] or a count of rows")
    allowed = f"give a fraction in (0, 1] or a count in [1, {num_rows}]"
    if isinstance(keep, (int, np.integer)):
        if not 1 <= keep <= num_rows:
            raise InputError(f"keep={keep} of {num_rows} rows; {allowed}")
        return int(keep)
    if not 0 < keep <= 1:
        selects = f"selects {round(keep * num_rows)} of {num_rows} rows" if np.isfinite(keep) else "is not a fraction"
        raise InputError(f"keep={keep} {selects}; {allowed}")
    return max(1, round(float(keep) * num_rows))


def check_hardest_cutoff(hardest_cutoff: Any) -> None:
    """Raise a one-line ValueError unless it is a share in [0, 0.5] or ``"noise"``."""
    if isinstance(hardest_cutoff, str) and hardest_cutoff == NOISE:
        return
    if not is_number(hardest_cutoff) or not 0 <= hardest_cutoff <= MAX_CUTOFF:
        raise InputError(
            f"hardest_cutoff={hardest_cutoff!r}; give the share of the hardest rows to drop first, in [0, {MAX_CUTOFF}], "
            f"or {NOISE!r} to drop those whose label looks wrong"
        )


def count_cut(hardest_cutoff: float, num_rows: int) -> int:
    """Return the number of rows that a cut of the hardest drops, rounded down, so that a cut of 0.1 leaves room for ``keep=0.9``.

    Example:
        >>> count_cut(0.1, 15), count_cut(0.29, 100)
        (1, 29)
    """
    # Exact, since 0.29 * 100 is 28.999999999999996 in floats.
    return int(Fraction(str(float(hardest_cutoff))) * num_rows)


def check_room(keep: Any, budget: int, room: int, num_scored: int, removed: str) -> None:
    """Raise a one-line ValueError if fewer rows are left than are to be kept; ``removed`` is what went before the order."""
    if budget > room:
        raise InputError(
            f"keep={keep} keeps {budget} of {num_scored} rows with a score, of which {room} are left after {removed}: "
            f"give a count up to {room}, or remove fewer before"
        )
