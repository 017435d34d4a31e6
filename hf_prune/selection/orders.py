"""The orders: what each prefers and what it needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hf_prune.selection.by_embedding import cluster, diverse
from hf_prune.selection.by_score import easy, hard, middle, mixed, random, stratified
from hf_prune.selection.candidates import Candidates, Ranking


@dataclass(frozen=True)
class Order:
    """One way to rank rows.

    Attributes:
        ranking: From candidates to a ranking of all of them.
        summary: Which rows it keeps, as a card says it; ``{column}`` stands for the score column.
        needs: Arrays beside the scores that it cannot do without.
        settings: Names of the options that it reads.
        by_class: Whether it reads the classes where there are any.
    """

    ranking: Callable[[Candidates], Ranking]
    summary: str
    needs: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    by_class: bool = False


RANDOM = "random"


ORDERS: Mapping[str, Order] = {
    "hard": Order(hard, "the rows with the highest {column}, the hard ones"),
    "easy": Order(easy, "the rows with the lowest {column}, the easy ones"),
    "random": Order(random, "rows drawn at random, whatever their {column}"),
    "middle": Order(middle, "the rows of each class nearest to its median {column}", by_class=True),
    "stratified": Order(
        stratified, "random rows of every stratum of {column}, as even as can be", settings=("num_strata",)
    ),
    "mixed": Order(mixed, "the rows with the highest {column} and a share of random ones", settings=("random_share",)),
    "diverse": Order(diverse, "rows as different from each other as can be, whatever their {column}", ("embeddings",)),
    "cluster": Order(
        cluster,
        "the rows with the highest {column} of each cluster, more of clusters that are wide and far from others",
        ("embeddings", "clusters"),
    ),
}


def is_random(step: Mapping[str, Any]) -> bool:
    """Whether the score column had no say in which rows a pruning kept, but for rows without a score.

    Args:
        step: The recorded pruning, which anybody may have edited.

    Example:
        >>> is_random({"order": "random"}), is_random({"order": "random", "options": {"hardest_cutoff": 0.1}})
        (True, False)
    """
    options = step.get("options")
    cutoff = options.get("hardest_cutoff") if isinstance(options, Mapping) else None
    return step.get("order") == RANDOM and not isinstance(cutoff, int | float)
