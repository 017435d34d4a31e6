"""Predictions of trained heads on all rows, the files of finished heads, and the training of those without one."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event, Lock
from typing import Any, TypeAlias

import numpy as np
import torch
from datasets.utils import tqdm
from numpy.typing import NDArray

from hf_prune.data.digests import array_sha256
from hf_prune.dynamics.figures import FIGURES, OF_THE_END, divergences, logit_figures
from hf_prune.heads.training import EVALUATED_ROWS, Training, Weights, gradient_norms, logits_of, on_threads
from hf_prune.runtime.cache import use
from hf_prune.runtime.files import DamagedFile, discard, read_arrays, remove_stale_parts, write_arrays
from hf_prune.runtime.processes import is_main_process

Values: TypeAlias = dict[str, NDArray[Any]]

FORMAT = 2  # of the files and of all that decides their content beside the settings
AT_THE_END = ("correct", "label_probs")


class Passes:
    """Passes over all rows with the heads of one part, one after each epoch or one after the last.

    Points are (n, d filled up), classes (n,); ``need`` and ``epoch_probs`` are as in `train_heads`.
    """

    def __init__(
        self,
        points: torch.Tensor,
        classes: torch.Tensor,
        num_heads: int,
        num_classes: int,
        need: str,
        epoch_probs: bool,
    ) -> None:
        self._points, self._classes, self._num_classes = points, classes, num_classes
        self._need, self._epoch_probs = need, epoch_probs
        self._passes: list[list[Values]] = [[] for _ in range(num_heads)]  # by head
        self._before: list[NDArray[np.float16] | None] = [None] * num_heads  # logarithms of the last probabilities

    def make(self, weights: Weights) -> None:
        """Make one pass with all heads."""
        for head, passes in enumerate(self._passes):
            passes.append(self._pass_of(head, weights))

    def results(self) -> list[Values]:
        """Return by head the arrays of all passes, (passes, n) each, ``epoch_probs`` (passes, n, classes), and those `OF_THE_END`."""
        found = []
        for passes in self._passes:
            last = {name: passes[-1][name] for name in OF_THE_END if name in passes[-1]}
            every = {name: np.stack([values[name] for values in passes]) for name in passes[0] if name not in last}
            found.append(every | last)
        return found

    def _pass_of(self, head: int, weights: Weights) -> Values:
        figures, log_probs, probs = [], [], []
        blocks = logits_of(self._points, weights, head, self._num_classes)
        for logits, classes in zip(blocks, torch.split(self._classes, EVALUATED_ROWS), strict=True):
            block_figures, block_log_probs = logit_figures(logits, classes)
            figures.append(block_figures.cpu().numpy())
            if self._need == "dynamics":
                log_probs.append(block_log_probs.cpu().numpy())
            if self._need == "probs" or self._epoch_probs:
                probs.append(logits.softmax(dim=1).cpu().numpy())
        values = dict(zip(FIGURES, np.concatenate(figures).T, strict=True))
        if self._need != "dynamics":
            return {name: values[name] for name in AT_THE_END} | self._last(head, weights, probs)
        now, before = np.concatenate(log_probs), self._before[head]
        self._before[head] = now
        values["divergences"] = np.full(len(now), np.nan, np.float16) if before is None else divergences(now, before)
        return values | ({"epoch_probs": np.concatenate(probs).astype(np.float16)} if probs else {})

    def _last(self, head: int, weights: Weights, probs: list[NDArray[np.float32]]) -> Values:
        if not probs:
            return {}
        norms = [norms.cpu().numpy() for norms in gradient_norms(self._points, self._classes, weights, head)]
        return {"probs": np.concatenate(probs), "grad_norms": np.concatenate(norms)}


def hits_of(
    points: torch.Tensor, classes: torch.Tensor, weights: Weights, head: int, num_classes: int
) -> NDArray[Any]:
    """Return whether one head gets each of some rows right, (m,) bool."""
    guesses = [logits.argmax(dim=1) for logits in logits_of(points, weights, head, num_classes)]
    return np.asarray((torch.cat(guesses) == classes).cpu().numpy())


class HeadFiles:
    """One file per finished head, in a folder named by the content of everything that decides its results."""

    def __init__(self, root: Path, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        digests = {name: array_sha256(array) for name, array in arrays.items()}
        known = {"format": FORMAT, "torch": torch.__version__, **settings, **digests}
        name = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:32]
        self.folder = root / name
        # Held as long as this lives: what it reads and writes is not evicted.
        self._lock = use(self.folder, {"format": FORMAT, "identity": {"kind": "heads", **known}})
        remove_stale_parts(self.folder)

    def read(self, number: int) -> Values | None:
        """Return the arrays of a head, or None if it is missing or damaged and must be trained again."""
        path = self._path(number)
        try:
            return read_arrays(path)[0]
        except FileNotFoundError:
            return None
        except DamagedFile:
            discard(path)
            return None

    def write(self, number: int, values: Values) -> None:
        """Write the arrays of a head."""
        write_arrays(self._path(number), values)

    def _path(self, number: int) -> Path:
        return self.folder / f"head-{number:05d}.safetensors"


def run_heads(
    numbers: Sequence[int],
    files: HeadFiles | None,
    training: Training,
    device: torch.device,
    train_part: Callable[[Sequence[int], Event, Callable[[], None]], dict[int, Values]],
) -> dict[int, Values]:
    """Return the results of some heads by their numbers: what their files hold; heads without one are trained, and get one.

    Args:
        numbers: Of the heads.
        files: Where finished heads are kept; None keeps nothing.
        training: How they are trained.
        device: Where.
        train_part: Trains heads side by side, by their numbers; the event says that the results are no longer wanted, the
            function is called after each epoch.
    """
    kept = {number: files.read(number) if files else None for number in numbers}
    found = {number: values for number, values in kept.items() if values is not None}
    missing = [number for number in numbers if number not in found]
    desc, hidden, lock = f"Training {len(missing)} heads", not (missing and is_main_process()), Lock()
    with tqdm(total=len(missing) * training.num_epochs, desc=desc, unit="epoch", disable=hidden, leave=False) as bar:

        def work(part: Sequence[int], stop: Event) -> dict[int, Values]:
            def after_epoch() -> None:
                with lock:
                    bar.update(len(part))

            made = train_part(part, stop, after_epoch)
            for number, values in made.items():
                if files is not None:
                    files.write(number, values)
            return made

        for made in on_threads(work, training.parts(missing, device), device):
            found |= made
    return found
