"""Reasons to keep or drop a row: those of the steps around an order; each order declares its own."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """A reason to keep or drop a row.

    Attributes:
        code: Its number in `Selection.reasons`, which never changes; those of orders outside hf_prune begin at 100.
        words: Its words in `explain` and in records.
    """

    code: int
    words: str


NO_SCORE = Reason(3, "no score")

# Rows that go before the order.
DUPLICATE = Reason(18, "duplicate")
HARDEST = Reason(16, "cut: hardest")
SUSPECT = Reason(17, "cut: noise suspect")

# Class floors and quotas.
CLASS_FLOOR = Reason(2, "class floor")
CLASS_QUOTA = Reason(9, "class quota")
RETURNED = Reason(10, "cut, but returned to its class")
OVER_QUOTA = Reason(15, "over the quota of its class")
# Reason → whether rows are kept for it; no order may give one of these.
STEP_REASONS = {
    **dict.fromkeys((CLASS_FLOOR, CLASS_QUOTA, RETURNED), True),
    **dict.fromkeys((NO_SCORE, DUPLICATE, HARDEST, SUSPECT, OVER_QUOTA), False),
}

# Of orders that declare no others.
ABOVE_CUT = Reason(1, "above the cut")
BELOW_CUT = Reason(0, "below the cut")


def duplicate_words(row: int) -> str:
    """Return the words for a duplicate of a row.

    Example:
        >>> duplicate_words(7)
        'duplicate of row 7'
    """
    return f"{DUPLICATE.words} of row {row}"
