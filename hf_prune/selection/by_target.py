"""Orders by likeness to target rows: those that are like them, and those that are not."""

from hf_prune.selection.candidates import Array, Candidates, rank
from hf_prune.selection.orders import Places, register_order
from hf_prune.selection.reasons import Reason

LIKE, LESS_LIKE = Reason(25, "like a target row"), Reason(26, "less like a target row")
UNLIKE, TOO_LIKE = Reason(27, "unlike every target row"), Reason(28, "too like a target row")


@register_order(
    "like",
    keeps="the rows most like a target row, whatever their {column}",
    needs=("similarity",),
    kept=LIKE,
    dropped=LESS_LIKE,
    paper="arXiv:2304.07193",
)
def like(candidates: Candidates) -> Places:
    """Rank the rows with the highest cosine to the nearest target row first; the scores are not read.

    References:
        Oquab et al. (2023), DINOv2, arXiv:2304.07193, who retrieve rows of a pool that are like those of curated sets.
        Deviation: one ranking by the nearest target, where they take as many rows for each target.
    """
    return rank(-similarity_of(candidates), candidates.turns)


@register_order(
    "unlike",
    keeps="the rows least like any target row, whatever their {column}",
    needs=("similarity",),
    kept=UNLIKE,
    dropped=TOO_LIKE,
)
def unlike(candidates: Candidates) -> Places:
    """Rank the rows with the lowest cosine to the nearest target row first; the scores are not read."""
    return rank(similarity_of(candidates), candidates.turns)


def similarity_of(candidates: Candidates) -> Array:
    """Return the cosine of each place to the nearest target row, shape (m,), which is there if an order needs it."""
    assert candidates.similarity is not None
    return candidates.similarity
