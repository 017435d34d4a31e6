"""Methods of dynamic pruning: what each needs and takes, and how many rows its epochs have."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.data.digests import array_sha256
from hf_prune.dynamic_pruning.parts import (
    Part,
    fresh_parts,
    hardest_part,
    part_of_epoch,
    repeated_part,
    thinned_part,
    weighted_part,
)
from hf_prune.runtime.arguments import check_flag
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.names import unknown_name
from hf_prune.selection.budget import count_rows, is_number

# Name → the options that it takes, with their defaults.
METHODS: dict[str, dict[str, Any]] = {
    "rs2": {"replacement": False},
    "infobatch": {"delta": 0.875},
    "orderdp": {"pool": None},
    "weighted": {"weights": None},
}
NEEDS_LOSSES = ("infobatch", "orderdp")


@dataclasses.dataclass(frozen=True)
class Plan:
    """Drawing of the parts of a training by one method.

    Attributes:
        method: Its name.
        num_rows: Rows of the data set, n.
        budget: Rows of a pruned epoch.
        seed: What is drawn with.
        replacement: Of ``"rs2"``.
        delta: Of ``"infobatch"``.
        pool: Rows of the pool of ``"orderdp"``.
        weights: Of ``"weighted"``, shape (n,).
    """

    method: str
    num_rows: int
    budget: int
    seed: int
    replacement: bool = False
    delta: float = 1.0
    pool: int = 0
    weights: NDArray[np.float64] | None = None

    @property
    def needs_losses(self) -> bool:
        """Whether parts are drawn by the losses of the rows."""
        return self.method in NEEDS_LOSSES and self.budget < self.num_rows

    def is_whole(self, epoch: int, num_epochs: int) -> bool:
        """Whether an epoch, counted from 0, sees all rows: of ``"infobatch"`` the first, without losses, and the last ones."""
        if self.budget == self.num_rows:
            return True
        return self.method == "infobatch" and (epoch == 0 or epoch + 1 > self.delta * num_epochs)

    def rows_of(self, epoch: int, num_epochs: int) -> int:
        """Count the rows of an epoch."""
        return self.num_rows if self.is_whole(epoch, num_epochs) else self.budget

    def lengths(self, num_epochs: int) -> set[int]:
        """Return the numbers of rows that epochs of a training have."""
        return {self.rows_of(epoch, num_epochs) for epoch in range(num_epochs)}

    def settings(self) -> dict[str, Any]:
        """Return what a training must have in common with the one that it resumes, as plain values."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return fields | {"weights": None if self.weights is None else array_sha256(self.weights)}


class Drawer:
    """Draws the parts of the epochs of one training, one after the other or from any epoch on."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._parts: Iterator[NDArray[np.bool_]] | None = None
        self._next = 0

    def draw(self, epoch: int, num_epochs: int, losses: NDArray[np.float32]) -> Part:
        """Draw the part of an epoch, counted from 0, by the losses (n,) known when it begins."""
        plan = self.plan
        if plan.is_whole(epoch, num_epochs):
            return Part(np.ones(plan.num_rows, dtype=bool))
        if plan.method == "infobatch":
            return thinned_part(losses, plan.budget, plan.seed, epoch)
        if plan.method == "orderdp":
            return Part(hardest_part(losses, plan.budget, plan.pool, plan.seed, epoch))
        if plan.weights is not None:
            return Part(weighted_part(plan.weights, plan.budget, plan.seed, epoch))
        if plan.replacement:
            return Part(repeated_part(plan.num_rows, plan.budget, plan.seed, epoch))
        return Part(self._fresh(epoch))

    def _fresh(self, epoch: int) -> NDArray[np.bool_]:
        if self._parts is None or epoch < self._next:
            self._parts, self._next = fresh_parts(self.plan.num_rows, self.plan.budget, self.plan.seed), 0
        ahead, self._next = epoch - self._next, epoch + 1
        return part_of_epoch(self._parts, ahead)


def make_plan(method: str, keep: Any, num_rows: int, seed: int, options: dict[str, Any]) -> Plan:
    """Check a method with its options and turn them into numbers of rows.

    Args:
        method: One of `METHODS`.
        keep: Rows of an epoch, a fraction or a count.
        num_rows: Rows of the data set.
        seed: What is drawn with.
        options: Those that were given; ``weights`` as an array (n,).

    Raises:
        ValueError: If the method is not known, does not take an option, or a value is out of range.
    """
    if method not in METHODS:
        raise InputError(unknown_name("method", method, METHODS))
    for name in options:
        if name not in METHODS[method]:
            takers = [repr(taker) for taker, taken in METHODS.items() if name in taken]
            raise InputError(f"method={method!r} takes no {name}=, only {', '.join(takers)} does: leave it out")
    budget = count_rows(keep, num_rows)
    taken = METHODS[method] | options
    if method == "rs2":
        check_flag("replacement", taken["replacement"])
    if method == "infobatch":
        _check_share("delta", taken["delta"])
        taken["delta"] = float(taken["delta"])
    if method == "orderdp":
        taken["pool"] = _count_pool(taken["pool"], budget, num_rows)
    if method == "weighted":
        _check_weights(taken["weights"], budget, num_rows)
    return Plan(method, num_rows, budget, int(seed), **taken)


def _check_share(name: str, value: Any) -> None:
    if not is_number(value) or not 0 < value <= 1:
        raise InputError(f"{name}={value!r}; give a share in (0, 1]")


def _count_pool(pool: Any, budget: int, num_rows: int) -> int:
    """Return the rows of the pool; by default both steps, the drawing of the pool and the choice from it, keep the same share."""
    if pool is None:
        return round(math.sqrt(budget * num_rows))
    rows = count_rows(pool, num_rows)
    if rows < budget:
        raise InputError(
            f"pool={pool} holds {rows} rows and keep= takes {budget} of them: give a pool of at least keep"
        )
    return rows


def _check_weights(weights: Any, budget: int, num_rows: int) -> None:
    if weights is None:
        raise InputError('method="weighted" needs weights=: give a score column or an array with one number per row')
    if weights.shape != (num_rows,) or not np.isfinite(weights).all() or (weights < 0).any():
        raise InputError(
            f"weights= of shape {weights.shape} for {num_rows} rows; give one number per row, finite and not negative"
        )
    if (positive := int((weights > 0).sum())) < budget:
        raise InputError(f"weights= has {positive} rows above 0, keep= takes {budget}: give a smaller keep")
