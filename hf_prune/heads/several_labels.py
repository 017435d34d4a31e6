"""Heads on embeddings of rows with several classes each: one sigmoid output per class, trained side by side."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from hf_prune.data.digests import array_sha256
from hf_prune.heads.folds import NUM_FOLDS, count_seen, drawn_rows, make_folds, members_of
from hf_prune.heads.results import HeadFiles, Values, run_heads
from hf_prune.heads.settings import Heads
from hf_prune.heads.training import Training, gradient_norms, logits_of, padded, scaled, train
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.files import says_when_full
from hf_prune.runtime.processes import (
    check_alike,
    compute_device,
    in_step,
    num_processes,
    process_index,
    together,
)

NEED = "probs"


@dataclass(frozen=True)
class LabelHeads:
    """Results of `train_label_heads`.

    Attributes:
        heads: The settings, none left open.
        probs: Probability of each class of each row, float32, shape (heads, n, classes).
        grad_norms: Norm of the gradient of the loss of each row alone, float32, shape (heads, n).
        fit: Mean share of the labels of its own rows that a head gets right, in [0, 1]; with ``out_of_fold`` of all rows, which
            heads predict that did not see them.
    """

    heads: Heads
    probs: NDArray[np.float32]
    grad_norms: NDArray[np.float32]
    fit: float


def train_label_heads(
    embeddings: ArrayLike, labels: ArrayLike, heads: Heads | None = None, *, folder: str | Path | None = None
) -> LabelHeads:
    """Train small classifiers with a sigmoid output per class, for their probabilities early in training.

    All is as in `hf_prune.train_heads` with ``need="probs"``, but for the loss, the sum over the classes of the binary
    cross-entropies.

    Args:
        embeddings: Shape (n, d), in every process.
        labels: 1 where a row has a class, else 0, shape (n, classes).
        heads: The settings; None leaves all open.
        folder: Where finished heads are kept, by content of embeddings, labels and settings; None keeps nothing.

    Returns:
        `LabelHeads`, the same in every process.

    Raises:
        ValueError: If arrays or settings do not fit.
        OSError: If the folder cannot be written.

    Example:
        >>> points, classes = np.array([[1.0, 0.0], [0.0, 1.0]] * 8), np.array([[1, 1], [0, 1]] * 8)
        >>> found = train_label_heads(points, classes, Heads(num_heads=2, num_epochs=30))
        >>> found.probs.shape, found.fit
        ((2, 16, 2), 1.0)
    """
    with in_step("train_label_heads"):
        points, targets = _checked(embeddings, labels)
        job = _Job(points, targets, heads or Heads())
        check_alike(job.described())
        ours = range(process_index(), job.heads.num_trainings, num_processes())
        way_out = "make room, give another folder with cache_dir=, or keep nothing with load_from_cache_file=False"
        with says_when_full(folder or ".", "the heads", way_out):
            parts = together(lambda: job.run(ours, folder))
    found = {number: values for part in parts for number, values in part.items()}
    made = members_of(found, job.folds)
    probs = np.stack([values["probs"] for values in made])
    hits = [
        ((probs[number, rows] > 0.5) == targets[rows]).mean(dtype=np.float64)
        for number, rows in ((number, job.judged_rows(number)) for number in range(len(made)))
    ]
    return LabelHeads(job.heads, probs, np.stack([values["grad_norms"] for values in made]), float(np.mean(hits)))


class _Job:
    """Everything that the heads of one call share."""

    def __init__(self, embeddings: NDArray[np.float32], labels: NDArray[np.uint8], heads: Heads) -> None:
        device = compute_device()
        self.arrays: dict[str, NDArray[Any]] = {"embeddings": embeddings, "labels": labels}
        self.heads = heads.resolve(NEED, len(labels))
        # Rows are in folds whatever their classes, of which each row has several.
        is_apart = self.heads.out_of_fold
        self.folds = make_folds(embeddings, None, NUM_FOLDS, self.heads.seed) if is_apart else None
        self.known = np.arange(len(labels))
        self.num_own_rows = round((self.heads.subset or 1.0) * count_seen(self.known, self.folds))
        self.points, self.targets = scaled(embeddings, embeddings, device), padded(labels, device)
        names = [field.name for field in dataclasses.fields(Training)]
        settings = dataclasses.asdict(self.heads)
        settings |= {"num_dimensions": embeddings.shape[1], "num_classes": labels.shape[1]}
        self.training = Training(**{name: settings[name] for name in names})

    def described(self) -> dict[str, Any]:
        """Return what processes that train these heads together must have in common."""
        if num_processes() == 1:
            return {}
        digests = {name: f"{array.shape} {array_sha256(array)}".encode() for name, array in self.arrays.items()}
        return digests | dataclasses.asdict(self.heads)

    def rows_of(self, number: int) -> NDArray[np.int64]:
        """Return the rows that a head is trained on, ascending."""
        return drawn_rows(self.known, self.num_own_rows, self.heads.seeds_of(number)[0], number, self.folds)

    def judged_rows(self, number: int) -> NDArray[np.int64]:
        """Return the rows that tell how well a head fits: its own, or all that heads predict which did not see them."""
        return self.rows_of(number) if self.folds is None else self.known

    def run(self, numbers: Sequence[int], folder: str | Path | None) -> dict[int, Values]:
        """Return the results of some heads; those without a file are trained."""
        settings = dataclasses.asdict(dataclasses.replace(self.heads, num_heads=None))
        files = None if folder is None else HeadFiles(Path(folder), {"need": "labels", **settings}, self.arrays)
        return run_heads(numbers, files, self.training, self.points.device, self._train)

    def _train(self, part: Sequence[int], stop: Event, tick: Callable[[], None]) -> dict[int, Values]:
        rows = torch.from_numpy(np.stack([self.rows_of(number) for number in part])).to(self.points.device)
        seeds = [self.heads.seeds_of(number)[1] for number in part]
        weights = train(self.points, self.targets, rows, seeds, self.training, lambda _: tick(), stop)
        found: dict[int, Values] = {}
        for head, number in enumerate(part):
            logits = torch.cat([*logits_of(self.points, weights, head, self.training.num_classes)])
            norms = torch.cat([*gradient_norms(self.points, self.targets, weights, head)])
            found[number] = {"probs": logits.sigmoid().cpu().numpy(), "grad_norms": norms.cpu().numpy()}
        return found


def _checked(embeddings: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Check that embeddings and labels fit each other."""
    points, targets = np.asarray(embeddings, dtype=np.float32), np.asarray(labels)
    if points.ndim != 2 or targets.ndim != 2 or len(points) != len(targets) or 0 in (*points.shape, *targets.shape):
        raise InputError(
            f"embeddings {points.shape} and labels {targets.shape}; give (n, d) and (n, classes), none of them 0"
        )
    if not np.isfinite(points).all():
        raise InputError(f"the embedding of row {np.flatnonzero(~np.isfinite(points).all(axis=1))[0]} is not finite")
    if not np.isin(targets, (0, 1)).all():
        raise InputError(
            "labels of shape (n, classes) hold other values than 0 and 1: give 1 where a row has the class"
        )
    return points, targets.astype(np.uint8)
