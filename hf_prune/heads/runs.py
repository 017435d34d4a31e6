"""Train heads on the embeddings of a data set, in all processes and threads, and make training records of them."""

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
from hf_prune.dynamics.figures import OF_THE_END
from hf_prune.dynamics.record import TrainingRecord
from hf_prune.heads.folds import NUM_FOLDS, count_seen, drawn_rows, make_folds, members_of
from hf_prune.heads.results import HeadFiles, Passes, Values, hits_of, run_heads
from hf_prune.heads.settings import DEFAULTS, Heads
from hf_prune.heads.training import Training, Weights, scaled, train
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


@dataclass(frozen=True)
class HeadRuns:
    """Results of `train_heads`.

    Attributes:
        heads: The settings, none left open.
        records: One per head, usable as ``dynamics=``.
        probs: Class probabilities of all rows after the last epoch, float32, shape (heads, n, classes), or None.
        grad_norms: Norm of the gradient of the loss of each row alone after the last epoch, float32, shape (heads, n), or
            None.
        fit: Mean share of the rows it was trained on that a head gets right in the end, in [0, 1]; with ``out_of_fold`` of
            all rows, which heads predict that did not see them.
    """

    heads: Heads
    records: list[TrainingRecord]
    probs: NDArray[np.float32] | None
    grad_norms: NDArray[np.float32] | None
    fit: float


def train_heads(
    embeddings: ArrayLike,
    labels: ArrayLike,
    heads: Heads | None = None,
    *,
    num_classes: int | None = None,
    need: str = "runs",
    epoch_probs: bool = False,
    test_embeddings: ArrayLike | None = None,
    test_labels: ArrayLike | None = None,
    trainable: ArrayLike | None = None,
    dataset: str = "heads",
    folder: str | Path | None = None,
) -> HeadRuns:
    """Train many small classifiers on the embeddings of a data set, each as if it were alone.

    A head has one hidden layer or none, and is trained with AdamW on rows of its own in an order of its own. With the
    defaults of ``"runs"``, a head with a hidden layer fits nearly all labels it is trained on, wrong ones too, which is
    what memorization is about. Linear heads are several times as fast but hardly memorize where there are many more
    rows than dimensions: trained on 35,000 rows of 384 numbers they get a wrong label right about as rarely as heads that
    never saw it.

    On several processes each trains a part of the heads and all get all of them. On one machine's CPU the results are
    the same to the last bit, however many processes, threads or heads there are.

    Args:
        embeddings: Shape (n, d), all rows in every process, which holds them in float32; centred and divided by one number for all
            dimensions.
        labels: Class of each row, integers from 0, shape (n,).
        heads: The settings; None leaves all open.
        num_classes: Classes, two or more; None takes the largest label plus one.
        need: What the heads are for. ``"probs"``: an early ensemble on all rows, for its probabilities. ``"dynamics"``:
            all figures of all rows after each epoch. ``"runs"``: on random subsets, what they get right in the end.
        epoch_probs: With ``"dynamics"``, record the class probabilities after each epoch as well.
        test_embeddings: Shape (m, d), for records with hits on a test set.
        test_labels: Shape (m,).
        trainable: Rows that heads may be trained on, bool, shape (n,), such as those whose label is known; None is all.
        dataset: Name of the data set, for the records.
        folder: Where finished heads are kept, by content of embeddings, labels and settings, so that a killed run goes
            on and more heads add to those that are there; None keeps nothing.

    Returns:
        `HeadRuns`, the same in every process. With ``"probs"`` and ``"runs"`` records hold ``correct`` and
        ``label_probs`` of one pass over all rows after the last epoch.

    Raises:
        ValueError: If arrays or settings do not fit; the message says what would.
        OSError: If the folder cannot be written.

    Example:
        >>> points, classes = np.array([[1.0, 0.0], [0.0, 1.0]] * 8), [0, 1] * 8
        >>> runs = train_heads(points, classes, Heads(num_heads=4, subset=0.5))
        >>> len(runs.records), int(runs.records[0].trained_on.sum()), runs.fit
        (4, 8, 1.0)

    References:
        Feldman & Zhang (2020), arXiv:2008.03703, train 2,000 whole networks on random 70 % of the rows; heads on the
        frozen embeddings of an encoder see only what is left of a row there, and memorize relative to it.
    """
    with in_step("train_heads"):
        points, codes, num_classes = _checked(embeddings, labels, num_classes)
        tests = _checked_tests(test_embeddings, test_labels, points.shape[1], num_classes)
        if need not in DEFAULTS:
            raise InputError(f"need={need!r}; give one of {', '.join(DEFAULTS)}")
        job = _Job(
            points, codes, tests, num_classes, need, epoch_probs, heads or Heads(), _checked_mask(trainable, codes)
        )
        check_alike(job.described())
        ours = range(process_index(), job.heads.num_trainings, num_processes())
        way_out = "make room, give another folder with cache_dir=, or keep nothing with load_from_cache_file=False"
        with says_when_full(folder or ".", "the heads", way_out):
            parts = together(lambda: job.run(ours, folder))
        found = {number: values for part in parts for number, values in part.items()}
    made = members_of(found, job.folds)
    last = {name: np.stack([values.pop(name) for values in made]) for name in OF_THE_END if name in made[0]}
    records = [job.record(number, values, dataset) for number, values in enumerate(made)]
    fit = np.mean([record.read_epoch("correct", -1)[record.trained_on].mean(dtype=np.float64) for record in records])
    return HeadRuns(job.heads, records, last.get("probs"), last.get("grad_norms"), float(fit))


class _Job:
    """Everything that the heads of one call share."""

    def __init__(
        self,
        embeddings: NDArray[np.float32],
        labels: NDArray[np.int64],
        tests: tuple[NDArray[np.float32], NDArray[np.int64]] | None,
        num_classes: int,
        need: str,
        epoch_probs: bool,
        heads: Heads,
        trainable: NDArray[np.bool_] | None,
    ) -> None:
        device = compute_device()
        self.arrays: dict[str, NDArray[Any]] = {"embeddings": embeddings, "labels": labels}
        self.need, self.epoch_probs = need, epoch_probs and need == "dynamics"
        self.known = np.arange(len(labels)) if trainable is None else np.flatnonzero(trainable)
        if trainable is not None:
            self.arrays["trainable"] = trainable
        self.heads = heads.resolve(need, len(self.known))
        self.folds = self._folds(embeddings[self.known], labels[self.known]) if self.heads.out_of_fold else None
        self.num_own_rows = round((self.heads.subset or 1.0) * count_seen(self.known, self.folds))
        self.points, self.classes = scaled(embeddings, embeddings, device), torch.from_numpy(labels).to(device)
        self.tests = None
        if tests is not None:
            self.arrays |= {"test_embeddings": tests[0], "test_labels": tests[1]}
            self.tests = scaled(tests[0], embeddings, device), torch.from_numpy(tests[1]).to(device)
        names = [field.name for field in dataclasses.fields(Training)]
        settings = dataclasses.asdict(self.heads) | {"num_dimensions": embeddings.shape[1], "num_classes": num_classes}
        self.training = Training(**{name: settings[name] for name in names})

    def _folds(self, points: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the fold of each row, shape (n,); those that no head is trained on are in any."""
        folds = np.arange(len(self.arrays["labels"])) % NUM_FOLDS
        folds[self.known] = make_folds(points, labels, NUM_FOLDS, self.heads.seed)
        return folds

    def files(self, root: Path) -> HeadFiles:
        """Return the files of these heads, which are the same however many heads there are."""
        settings = dataclasses.asdict(dataclasses.replace(self.heads, num_heads=None))
        if not settings["out_of_fold"]:
            del settings["out_of_fold"]  # earlier heads lie under a name without it
        return HeadFiles(root, {"need": self.need, "epoch_probs": self.epoch_probs, **settings}, self.arrays)

    def described(self) -> dict[str, Any]:
        """Return what processes that train these heads together must have in common."""
        if num_processes() == 1:
            return {}
        digests = {name: f"{array.shape} {array_sha256(array)}".encode() for name, array in self.arrays.items()}
        settings = {"need": self.need, "epoch_probs": self.epoch_probs, "num_classes": self.training.num_classes}
        return digests | settings | dataclasses.asdict(self.heads)

    def rows_of(self, number: int) -> NDArray[np.int64]:
        """Return the rows that a head is trained on, ascending."""
        return drawn_rows(self.known, self.num_own_rows, self.heads.seeds_of(number)[0], number, self.folds)

    def run(self, numbers: Sequence[int], folder: str | Path | None) -> dict[int, Values]:
        """Return the results of some heads; those without a file are trained."""
        files = None if folder is None else self.files(Path(folder))
        return run_heads(numbers, files, self.training, self.points.device, self._train)

    def record(self, number: int, values: Values, dataset: str) -> TrainingRecord:
        """Make the training record of one head."""
        trained_on = np.zeros(len(self.classes), dtype=bool)
        trained_on[self.rows_of(number) if self.folds is None else self.known] = True  # out of fold by four of five
        return TrainingRecord.from_arrays(
            dataset=dataset,
            labels=self.arrays["labels"],
            arrays={name: array for name, array in values.items() if name != "test_hits"},
            mode="epoch" if self.need == "dynamics" else "end",
            trained_on=trained_on,
            num_classes=self.training.num_classes,
            test_hits=values.get("test_hits"),
        )

    def _train(self, part: Sequence[int], stop: Event, tick: Callable[[], None]) -> dict[int, Values]:
        num_classes, device = self.training.num_classes, self.points.device
        passes = Passes(self.points, self.classes, len(part), num_classes, self.need, self.epoch_probs)

        def after_epoch(weights: Weights) -> None:
            if self.need == "dynamics":
                passes.make(weights)
            tick()

        rows = torch.from_numpy(np.stack([self.rows_of(number) for number in part])).to(device)
        seeds = [self.heads.seeds_of(number)[1] for number in part]
        weights = train(self.points, self.classes, rows, seeds, self.training, after_epoch, stop)
        if self.need != "dynamics":
            passes.make(weights)
        found = dict(zip(part, passes.results(), strict=True))
        for head, values in enumerate(found.values()):
            if self.tests is not None:
                values["test_hits"] = hits_of(*self.tests, weights, head, num_classes)
        return found


def _checked(
    embeddings: ArrayLike, labels: ArrayLike, num_classes: int | None
) -> tuple[NDArray[np.float32], NDArray[np.int64], int]:
    """Check that embeddings and labels fit each other; return them, (n, d) and (n,), and the number of classes."""
    points, codes = np.asarray(embeddings, dtype=np.float32), np.asarray(labels)
    if points.ndim != 2 or codes.shape != points.shape[:1] or points.size == 0:
        raise InputError(
            f"embeddings {points.shape} and labels {codes.shape}; give (n, d) and (n,), neither n nor d 0"
        )
    if not np.isfinite(points).all():
        raise InputError(f"the embedding of row {np.flatnonzero(~np.isfinite(points).all(axis=1))[0]} is not finite")
    if not np.issubdtype(codes.dtype, np.integer):
        raise InputError(f"labels are {codes.dtype}; give integers from 0")
    classes = max(int(codes.max()) + 1, 2) if num_classes is None else num_classes
    bad = np.flatnonzero((codes < 0) | (codes >= classes))
    if classes < 2 or len(bad):
        first = f" (row {bad[0]}: {codes[bad[0]]})" if len(bad) else ""
        raise InputError(
            f"{classes} classes, {len(bad)} labels outside [0, {classes}){first}; two classes are the least"
        )
    return points, codes.astype(np.int64), classes


def _checked_mask(trainable: ArrayLike | None, labels: NDArray[np.int64]) -> NDArray[np.bool_] | None:
    """Check which rows may be trained on, shape (n,); None where all may."""
    if trainable is None:
        return None
    mask = np.asarray(trainable)
    if mask.shape != labels.shape or mask.dtype != bool or not mask.any():
        raise InputError(
            f"trainable= is {mask.dtype} of shape {mask.shape}; give {len(labels)} bools, one true at least"
        )
    return mask


def _checked_tests(
    embeddings: ArrayLike | None, labels: ArrayLike | None, num_dimensions: int, num_classes: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
    """Check the test set; None where there is none."""
    if embeddings is None and labels is None:
        return None
    if embeddings is None or labels is None:
        raise InputError("a test set has test_embeddings and test_labels; give both or neither")
    points, codes, _ = _checked(embeddings, labels, num_classes)
    if points.shape[1] != num_dimensions:
        raise InputError(f"test_embeddings have {points.shape[1]} dimensions, embeddings {num_dimensions}")
    return points, codes
