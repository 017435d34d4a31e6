"""Loss of each row in a training: noted batch by batch, and weighed where rows stand for others."""

import dataclasses
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hf_prune.dynamics.forward_pass import LabelledLoss
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import gather_objects, num_processes

_IGNORED = -100  # label of a row without a class
_TOLERANCE = 0.02  # of the loss, relative: bfloat16 has 8 bits


@dataclasses.dataclass(frozen=True)
class SeenLosses:
    """Losses of the rows that an epoch has presented so far, each row once.

    Attributes:
        rows: Row numbers, shape (k,), ascending.
        losses: Their losses, shape (k,).
        batches: Number of the batch in the epoch, from 0, shape (k,).
    """

    rows: NDArray[np.int64]
    losses: NDArray[np.float32]
    batches: NDArray[np.int64]


class EpochLosses:
    """Losses of the rows of one epoch, noted by the process that sees them, without waiting for their device.

    Args:
        before: What an interrupted training had seen of the epoch, in the process that holds it.
        num_batches: Batches of each process that it had seen.
    """

    def __init__(self, before: SeenLosses | None = None, num_batches: int = 0) -> None:
        self.num_batches = num_batches
        self._waiting: list[tuple[torch.Tensor, torch.Tensor, int]] = []
        self._before = before

    def add(self, rows: torch.Tensor, losses: torch.Tensor) -> None:
        """Note the losses (B,), detached, of the rows (B,) of a batch."""
        self._waiting.append((rows, losses, self.num_batches))
        self.num_batches += 1

    def collect(self) -> SeenLosses:
        """Collect what all processes have seen; of a row seen twice the first time counts. Every process must call it."""
        parts = [] if self._before is None else [self._before]
        if self._waiting:
            rows = torch.cat([rows for rows, _, _ in self._waiting]).cpu().numpy()
            losses = torch.cat([losses for _, losses, _ in self._waiting]).float().cpu().numpy()
            counts = [len(rows) for rows, _, _ in self._waiting]
            parts.append(SeenLosses(rows, losses, np.repeat([batch for _, _, batch in self._waiting], counts)))
        parts = gather_objects(parts)
        if not parts:
            return SeenLosses(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int64))
        whole = SeenLosses(*(np.concatenate([getattr(part, name) for part in parts]) for name in _FIELDS))
        order = np.lexsort((whole.batches, whole.rows))  # stable: in one batch the lowest rank comes first
        seen, first = np.unique(whole.rows[order], return_index=True)
        chosen = order[first]
        return SeenLosses(seen, whole.losses[chosen], whole.batches[chosen])


_FIELDS = tuple(field.name for field in dataclasses.fields(SeenLosses))


def row_losses(made: LabelledLoss, label_smoothing: float = 0.0) -> torch.Tensor:
    """Compute the cross-entropy of each row of a batch, shape (B,); 0 for rows without a class.

    Example:
        >>> made = LabelledLoss(torch.tensor([0, -100]), torch.zeros(2, 2), torch.tensor(0.7), None)
        >>> [round(loss, 3) for loss in row_losses(made).tolist()]
        [0.693, 0.0]
    """
    return torch.nn.functional.cross_entropy(
        made.logits.float(), made.labels.to(made.logits.device), reduction="none", label_smoothing=label_smoothing
    )


def known_losses(made: LabelledLoss, losses: torch.Tensor) -> torch.Tensor:
    """Return the losses, detached, NaN for rows without a class."""
    labels = made.labels.to(losses.device)
    return losses.detach().masked_fill(labels == _IGNORED, float("nan"))


class LossWeights:
    """Weights the rows of batches by adding what they lack or have too much to the Trainer's own loss.

    The Trainer's loss is the sum of the rows' losses over their number in the batch or, where models take
    ``num_items_in_batch``, in all batches of a step. The weighted loss is it plus sum_i (w_i - 1) loss_i over the same number,
    so with weights of 1 it is the Trainer's own. As it is not divided by the sum of the weights, it is unbiased where
    they are.
    """

    def __init__(self) -> None:
        self._divisor: str | None = None

    def check(self, made: LabelledLoss, losses: torch.Tensor, items: Any) -> None:
        """Find, once in a training, what the Trainer divides by.

        Raises:
            ValueError: If its loss is not the mean cross-entropy of the logits.
        """
        if self._divisor is not None:
            return
        own, total = float(made.loss.detach().mean()), float(losses.detach().sum())
        for name, divisor in _divisors(made, items).items():
            expected = total / float(divisor)
            if abs(own - expected) <= _TOLERANCE * max(abs(own), abs(expected)):
                self._divisor = name
                return
        raise InputError(
            f"the loss of the Trainer's first batch is {own:.4g} and the mean cross-entropy of its logits "
            f"{total / float(_divisors(made, None)['rows']):.4g}: rows can be weighed only where the two are the same; use "
            '"rs2", "orderdp" or "weighted" without loss_weights=, which weigh none'
        )

    def apply(self, made: LabelledLoss, losses: torch.Tensor, weights: torch.Tensor, items: Any) -> torch.Tensor:
        """Return the loss of a batch with a weight (B,) for each of its rows."""
        assert self._divisor is not None  # check comes first
        return made.loss + ((weights - 1) * losses).sum() / _divisors(made, items)[self._divisor]


def _divisors(made: LabelledLoss, items: Any) -> dict[str, Any]:
    """Return what the sum of the rows' losses may be divided by to give the loss of the batch."""
    rows = (made.labels != _IGNORED).sum().clamp(min=1).to(made.logits.device)
    return {"rows": rows} | ({} if items is None else {"items": items, "items of all": items / num_processes()})
