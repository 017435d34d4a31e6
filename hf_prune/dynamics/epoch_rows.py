"""Rows that a training presents in one epoch: kept by the process that saw them, and collected at its end."""

import dataclasses
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hf_prune.dynamics.figures import FIGURES, logit_figures
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import all_max, gather_objects, is_main_process, num_processes, process_index
from hf_prune.runtime.row_arrays import gather_blocks, gather_rows

FLUSH_STEPS = 16  # batches whose logits stay on their device, so that each does not wait for it
FLUSH_VALUES = 2**22  # or so many logits
SMALL_BATCH = 2**15  # logits of a batch that is not worth a computation of its own


@dataclasses.dataclass(frozen=True)
class EpochRows:
    """Rows that were presented, each once, in ascending order, with their figures.

    Attributes:
        rows: Row numbers, shape (k,).
        labels: Their classes, shape (k,); -1 where only the presentation is known.
        figures: Shape (k, 5), float16: the columns are `FIGURES`.
        log_probs: Logarithms of the class probabilities, shape (k, classes), float16; of several processes the main one
            has them, and no classes where only presentations are known.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    figures: NDArray[np.float16]
    log_probs: NDArray[np.float16]

    @property
    def not_finite(self) -> NDArray[np.int64]:
        """Numbers of the rows whose logits were not finite: known to be wrong, with no other figures."""
        right, label_probs = (self.figures[:, FIGURES.index(name)] for name in ("correct", "label_probs"))
        return self.rows[~np.isnan(right) & np.isnan(label_probs)]

    def spread(self, num_rows: int) -> dict[str, NDArray[np.float16]]:
        """Return name → figures of all rows, shape (n,); NaN for rows that are not here."""
        whole = place_rows(self.rows, self.figures, num_rows)
        return {name: np.ascontiguousarray(whole[:, column]) for column, name in enumerate(FIGURES)}


def place_rows(rows: NDArray[np.int64], values: NDArray[np.float16], num_rows: int) -> NDArray[np.float16]:
    """Return values (k, ...) placed among all rows, shape (n, ...); NaN elsewhere."""
    whole = np.full((num_rows, *values.shape[1:]), np.nan, dtype=np.float16)
    whole[rows] = values
    return whole


class Presentations:
    """Rows that this process has presented in an epoch so far; of a row seen twice the first time counts.

    Args:
        before: Rows of the epoch that an interrupted training had presented, in the process that holds them.
    """

    def __init__(self, before: EpochRows | None = None) -> None:
        self.num_batches = 0
        self.problem: tuple[str, int] | None = None  # "loss" or "logits", the first that was not finite, and the step
        self._num_classes = 0 if before is None else before.log_probs.shape[1]  # 0: not known yet
        self._waiting: list[_Batch] = []
        self._steps: list[NDArray[np.int64]] = []
        self._parts: list[EpochRows] = []
        if before is not None:
            self._keep(before, np.zeros(len(before.rows), dtype=np.int64))  # batches count from 1

    def add(
        self,
        rows: torch.Tensor,
        labels: torch.Tensor | None = None,
        logits: torch.Tensor | None = None,
        loss: torch.Tensor | None = None,
        step: int = 0,
    ) -> None:
        """Note one batch; without logits, only that its rows were presented.

        Args:
            rows: Row numbers, shape (B,).
            labels: Shape (B,).
            logits: Shape (B, classes), detached.
            loss: Of the batch, detached; None in a pass without one.
            step: Step of the optimiser, for messages.

        Raises:
            ValueError: If the logits have another number of classes than before.
        """
        self.num_batches += 1
        if logits is not None and labels is not None:
            rows, labels = rows.to(logits.device), labels.to(logits.device)
            self._num_classes = self._num_classes or logits.shape[1]
            if logits.shape[1] != self._num_classes:
                raise InputError(
                    f"the model gave logits of {self._num_classes} and of {logits.shape[1]} classes: a record needs the "
                    "same classes in all batches"
                )
        self._waiting.append(_Batch(rows, torch.full_like(rows, -1) if labels is None else labels, logits, loss, step))
        held = sum(batch.logits.numel() for batch in self._waiting if batch.logits is not None)
        if len(self._waiting) >= FLUSH_STEPS or held > FLUSH_VALUES:
            self._flush()

    def collect(self) -> EpochRows:
        """Collect the rows that all processes have presented; every process must call it."""
        self._flush()
        steps, mine = self._own()
        if num_processes() == 1:
            return mine
        everyone = gather_objects([(mine.rows, steps)])
        rows = np.concatenate([part for part, _ in everyone])
        ranks = np.repeat(np.arange(len(everyone)), [len(part) for part, _ in everyone])
        order = np.lexsort((ranks, np.concatenate([part for _, part in everyone]), rows))
        seen, first = np.unique(rows[order], return_index=True)  # the earliest batch, in it the lowest rank
        places = np.flatnonzero(ranks[order[first]] == process_index())
        chosen = np.searchsorted(mine.rows, seen[places])
        log_probs = _at_main_process(places, mine.log_probs[chosen], len(seen))
        figures = gather_rows(places, mine.figures[chosen], len(seen))
        return EpochRows(seen, gather_rows(places, mine.labels[chosen], len(seen)), figures, log_probs)

    def _own(self) -> tuple[NDArray[np.int64], EpochRows]:
        """Return the batch and the figures of the first presentation of each row in this process."""
        parts = self._parts
        if not parts:
            empty = np.empty(0, dtype=np.int64)
            return empty, _unlabelled(empty)
        seen, first = np.unique(np.concatenate([part.rows for part in parts]), return_index=True)
        width = max(part.log_probs.shape[1] for part in parts)
        figures = np.concatenate([part.figures for part in parts])[first]
        # Only a mode that notes mere presentations has parts without classes, and then all are.
        log_probs = np.concatenate([part.log_probs for part in parts if part.log_probs.shape[1] == width])[first]
        self._parts = [EpochRows(seen, np.concatenate([part.labels for part in parts])[first], figures, log_probs)]
        self._steps = [np.concatenate(self._steps)[first]]
        return self._steps[0], self._parts[0]

    @torch.no_grad()
    def _flush(self) -> None:
        """Move the waiting batches to the CPU, together."""
        if not self._waiting:
            return
        batches, self._waiting = self._waiting, []
        last = self.num_batches + 1 - len(batches)
        steps = np.repeat(np.arange(last, self.num_batches + 1), [len(batch.rows) for batch in batches])
        rows = torch.cat([batch.rows for batch in batches])
        labels = torch.cat([batch.labels for batch in batches])
        given = [batch.logits for batch in batches if batch.logits is not None]
        self.problem = self.problem or _problem(batches)
        if not given:
            self._keep(_unlabelled(rows.cpu().numpy()), steps)
            return
        figures, log_probs = (part.cpu().numpy() for part in _figures_of(given, labels))
        found = EpochRows(rows.cpu().numpy(), labels.cpu().numpy().astype(np.int64), figures, log_probs)
        classed = (found.labels >= 0) & (found.labels < log_probs.shape[1])  # losses ignore -100
        if not classed.all():
            found = EpochRows(*(values[classed] for values in vars(found).values()))
        self._keep(found, steps[classed])

    def _keep(self, part: EpochRows, steps: NDArray[np.int64]) -> None:
        self._parts.append(part)
        self._steps.append(steps)


@dataclasses.dataclass(frozen=True)
class _Batch:
    """A batch that waits; see `Presentations.add`."""

    rows: torch.Tensor
    labels: torch.Tensor
    logits: torch.Tensor | None
    loss: torch.Tensor | None
    step: int


def _problem(batches: list[_Batch]) -> tuple[str, int] | None:
    """Return what was not finite first in some batches, and at which step; checked once for all of them."""
    given = [(name, batch.step, getattr(batch, name)) for batch in batches for name in ("logits", "loss")]
    given = [(name, step, values) for name, step, values in given if values is not None]
    if not given:
        return None
    device = given[-1][2].device  # parts of a model may lie on several
    finite = torch.stack([values.isfinite().all().to(device) for _, _, values in given]).tolist()
    return next(((name, step) for (name, step, _), good in zip(given, finite, strict=True) if not good), None)


def _figures_of(given: list[torch.Tensor], labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the figures of some batches, together where they are small, else one by one, as fits the caches."""
    if given[0].numel() < SMALL_BATCH:
        return logit_figures(torch.cat(given), labels)
    parts = zip(given, torch.split(labels, [len(logits) for logits in given]), strict=True)
    figures, log_probs = zip(*(logit_figures(*part) for part in parts), strict=True)
    return torch.cat(figures), torch.cat(log_probs)


def _unlabelled(rows: NDArray[np.int64]) -> EpochRows:
    """Return rows of which only the presentation is known."""
    count = len(rows)
    unknown = np.full((count, len(FIGURES)), np.nan, dtype=np.float16)
    return EpochRows(rows, np.full(count, -1), unknown, np.empty((count, 0), dtype=np.float16))


def _at_main_process(places: NDArray[np.int64], values: NDArray[Any], num_rows: int) -> NDArray[np.float16]:
    """Bring rows (k, classes) to the main process; no classes elsewhere."""
    width = all_max(values.shape[1])
    held = np.empty((num_rows, width if is_main_process() else 0), dtype=np.float16)
    for start, block in gather_blocks(places, values.reshape(-1, width), num_rows) if width else ():
        if is_main_process():
            held[start : start + len(block)] = block
    return held
