"""Inference loop, the only one: runs images of a data set through a model and stores the results, in one process or many.

Rows travel with their numbers, so that neither sharding nor batch size can reorder them. An image goes through the model
once, however many rows hold it. A result is stored under the key of the bytes that went through the model, which comes with
them: no process can store it under another image.
"""

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import send_to_device
from datasets import Dataset
from datasets.utils import tqdm
from numpy.typing import NDArray

from hf_prune.data.images import EncodedImages
from hf_prune.engine.breakdown import Breakdown, Pass, finish, is_trial
from hf_prune.engine.image_batches import Batch, Collate, ImageRows, choose_workers, load_batches
from hf_prune.engine.image_keys import Keys, content_keys, with_targets
from hf_prune.engine.plan import make_plan
from hf_prune.engine.shards import Shard
from hf_prune.engine.store import Store
from hf_prune.engine.stored_rows import StoredRows
from hf_prune.models.loaded_model import LoadedModel
from hf_prune.runtime.errors import InputError, StateError
from hf_prune.runtime.processes import check_alike, check_others, compute_device, in_step, together
from hf_prune.runtime.row_arrays import held_once
from hf_prune.runtime.slices import slices

CHUNK_ROWS = 4096  # a killed run computes at most so many rows again ...
CHUNK_SECONDS = 30.0  # ... or so much work, whichever is less
# Of the norm of an output: kernels and number formats differ by less, other models by more.
ONE_MODEL = 0.05


@dataclass
class ModelRows:
    """Rows of a model's results that this process holds.

    Attributes:
        rows: Global row numbers, ascending, shape (n_local,); every readable row is in one process only.
        stored: Their values where they are kept, shape (n_local, d); d is the same in every process.
        unreadable: Global row number → why a row has no value; the same in every process.
        computed: Images that went through the model in this call, in all processes.
        reused: Rows with a value from the store or of an equal image, in all processes.
        seconds: Where the time of all processes and their workers went.
        rows_sha256: Digest of the content keys of all rows of the data set.
    """

    rows: NDArray[np.int64]
    stored: StoredRows
    unreadable: dict[int, str]
    computed: int
    reused: int
    seconds: Breakdown
    rows_sha256: str = ""

    @property
    def values(self) -> NDArray[np.float32]:
        """Read all values: this holds (n_local, d) of float32."""
        return self.stored[:]


def run_model(
    ds: Dataset,
    model: LoadedModel,
    *,
    image_column: str,
    state: PartialState,
    batch_size: int = 64,
    num_workers: int | None = None,
    store_root: Path | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    targets: NDArray[np.int64] | None = None,
    desc: str = "Running the model",
    chunk_rows: int = CHUNK_ROWS,
    chunk_seconds: float = CHUNK_SECONDS,
    shard: Shard | None = None,
) -> ModelRows:
    """Run a model over every image that the store does not have yet, and return this process's share of all rows.

    Every process calls this with the same arguments; an error in one is raised in all. Rows and models of the processes are
    compared first: rows by their content, models by their identity, or by their outputs for one image if they have none.

    Args:
        ds: The data set, n rows; its format and transform are not used.
        model: A loaded model; its weights are opened only if there is something to compute.
        image_column: Name of the image column.
        state: Accelerate's view of the processes, from `hf_prune.runtime.processes.process_state`.
        batch_size: Images per batch.
        num_workers: Further processes that decode and preprocess; 0 is a thread, None takes `choose_workers`.
        store_root: Folder of the store; ``None`` keeps nothing on disk.
        on_error: ``"raise"`` stops at an image that cannot be read, ``"skip"`` lists it in ``unreadable``.
        targets: For a model whose forward pass takes a pair (inputs, classes): the class of each row, shape (n,).
        desc: Text of the progress bar.
        chunk_rows: Most rows written to the store at once.
        chunk_seconds: Most seconds of work before results are written.
        shard: Part of the images to which the run is confined; its results lie in a store of its own in ``store_root``.

    Returns:
        The rows and values of this process.

    Raises:
        ValueError: If an image cannot be read and ``on_error="raise"``, the model gives NaN, infinity or anything but one
            vector per image, or processes hold other rows, models or settings than process 0.
        OSError: If the store cannot be written.
    """
    with in_step(desc), model:
        check_alike({"batch_size": batch_size, "on_error": on_error} | _shared_facts(model, targets))
        images, seconds = EncodedImages(ds, image_column), Breakdown()
        root = store_root if model.cacheable else None
        with seconds.timed("read"):
            known_root = None if is_trial() else root
            keys, unreadable = content_keys(ds, image_column, images, known_root, state, shard)
        problems = _Problems(image_column, on_error, unreadable)
        image_rows = ImageRows(images, keys)
        keys = keys if targets is None else _paired(keys, targets)
        store = Store(root if root is None or shard is None else root / shard.name, model.identity)
        known = int(store.lookup(keys).sum()) if is_trial() else 0
        if is_trial() and known < len(keys) - len(unreadable):
            store = Store(None, model.identity)
        plan = make_plan(keys, unreadable, store, batch_size, state.process_index, state.num_processes, shard)
        loop = _Loop(model, store, targets, problems, state, chunk_rows, chunk_seconds, seconds)
        workers = choose_workers(num_workers, model.collate, loop.device)

        def compute() -> tuple[int, dict[int, str], Breakdown, int, float]:
            if plan.batches:  # no loader, and so no workers, when everything is in the store
                loop.run(plan.batches, image_rows, workers, desc)
            return loop.computed, problems.found, seconds, *loop.first

        if state.num_processes > 1 and not model.cacheable:
            _check_outputs(loop, image_rows, plan.first_row[plan.readable])
        counts, found, parts, first_images, first_seconds = zip(*together(compute), strict=True)
        for part in found:
            unreadable |= plan.spread(part)
        unreadable = dict(sorted(unreadable.items()))
        rows = plan.rows_of(state.process_index, keys, store, unreadable)
        stored = _stored_rows(store, keys, rows)
        num_readable = len(plan.wanted_rows(unreadable))
        whole = sum(parts, Breakdown())
        first = sum(first_images), sum(first_seconds)
        number_bytes = 0 if root is None else _packed_bytes(model)
        done = Pass(desc, num_readable, known, sum(counts), whole, *first, workers, stored.shape[1], number_bytes)
        finish(done, shown=state.is_main_process)
        digest = hashlib.sha256(keys.view(np.uint8).data).hexdigest()
        return ModelRows(rows, stored, unreadable, sum(counts), num_readable - sum(counts), whole, digest)


def _paired(keys: Keys, targets: NDArray[np.int64]) -> Keys:
    """Return the keys of images with their classes, which the processes of a machine hold once."""
    return held_once(lambda: {"keys": with_targets(keys, targets)})["keys"]


def _packed_bytes(model: LoadedModel) -> int:
    """Return the bytes that a number of a result takes in the store, which packs those of 16 bits."""
    return 2 if model.identity.get("dtype") in ("bfloat16", "float16") else 4


def _shared_facts(model: LoadedModel, targets: NDArray[np.int64] | None) -> dict[str, Any]:
    """Return the facts of a model and of the classes of the rows that all processes must share."""
    identity = {f"model {name}": value for name, value in sorted(model.identity.items())}
    classes = b"" if targets is None else hashlib.sha256(targets.astype("<i8").tobytes()).digest()
    return identity | {"cacheable": model.cacheable, "class names": model.names, "labels": classes}


def _check_outputs(loop: "_Loop", images: ImageRows, rows: NDArray[np.integer]) -> None:
    """Compare the outputs of the processes' models for one image, where these have no identity to compare."""
    if len(rows) == 0:
        return
    outputs = together(lambda: loop.output_of(images, int(rows[0])))
    for rank, output in enumerate(outputs):
        first = outputs[0]
        same = output.shape == first.shape and np.linalg.norm(output - first) <= ONE_MODEL * np.linalg.norm(first)
        if not same and np.isfinite(first).all() and np.isfinite(output).all():
            raise InputError(
                f"process {rank} runs another model than process 0: they give image {int(rows[0])} other outputs; give every "
                "process the same model"
            )


class _Problems:
    """Images that cannot be read: they are collected, or the first ends the run, as the caller chose."""

    def __init__(self, column: str, on_error: Literal["raise", "skip"], known: dict[int, str]) -> None:
        self.column, self.on_error = column, on_error
        self.found: dict[int, str] = {}
        self._check(known)

    def add(self, unreadable: dict[int, str]) -> None:
        self.found |= unreadable
        self._check(unreadable)

    def _check(self, unreadable: dict[int, str]) -> None:
        if unreadable and self.on_error == "raise":
            row = min(unreadable)
            raise InputError(
                f"row {row}: the image in column {self.column!r} cannot be read: {unreadable[row]}; repair or drop "
                'the row, or pass on_error="skip" to leave its score null'
            )


class _Loop:
    """Runs the images of this process through the model and writes the results to the store."""

    def __init__(
        self,
        model: LoadedModel,
        store: Store,
        targets: NDArray[np.int64] | None,
        problems: _Problems,
        state: PartialState,
        chunk_rows: int,
        chunk_seconds: float,
        seconds: Breakdown,
    ) -> None:
        self.model, self.store, self.problems, self.state = model, store, problems, state
        self.targets = None if targets is None else torch.tensor(targets)  # a copy: those of a column are read-only
        self.chunk_rows, self.chunk_seconds = chunk_rows, chunk_seconds
        self.device = compute_device()  # the caller's choice, which need not be the one of the process group
        self.computed = 0
        self.seconds = seconds
        self.first = (0, 0.0)  # images of the first batch, and seconds of transfer and forward
        self._clock = _Clock(self.device)
        self._marks: list[list[Any]] = []  # of the batches since the last were written: before, moved, done
        self._rows: list[int] = []
        self._keys: list[Keys] = []  # of the bytes that went through the model
        self._outputs: list[torch.Tensor] = []  # on the device, which would wait if each were fetched
        self._forward: Callable[[Any], torch.Tensor] | None = None

    def run(self, batches: list[list[int]], images: ImageRows, num_workers: int, desc: str) -> None:
        """Compute the batches of this process; results before an error are kept."""
        self.store.prepare()
        total = sum(map(len, batches))
        self._flushed = self._last = time.monotonic()
        loaded = load_batches(images, batches, Collate(self.model.collate), self.device, num_workers)
        with (
            exact_settings(self.device),
            contextlib.closing(loaded),
            tqdm(total=total, desc=desc, unit="img", disable=is_trial() or not self.state.is_main_process) as bar,
        ):
            try:
                while (batch := self._next(loaded)) is not None:
                    self._step(batch)
                    bar.update(len(batch.rows) + len(batch.unreadable))
                self._flush()
            except BaseException:
                with contextlib.suppress(Exception):  # the first error is the one to report
                    self._flush()
                raise

    def output_of(self, images: ImageRows, row: int) -> NDArray[np.float32]:
        """Return the output for one image alone, (d,); empty where it cannot be read."""
        batch = Collate(self.model.collate)([images[row]])
        if not batch.rows:
            return np.empty(0, np.float32)
        with exact_settings(self.device):
            output = self._output(batch)[0]
        return np.asarray(output.flatten().float().cpu().numpy())

    def _next(self, loaded: Iterator[Batch]) -> Batch | None:
        with self.seconds.timed("waiting"):
            batch = next(loaded, None)
        if batch is not None:
            self.seconds.add(read=batch.read, decode=batch.decode, preprocess=batch.preprocess)
        return batch

    def _step(self, batch: Batch) -> None:
        self.problems.add(batch.unreadable)
        if not batch.rows:
            return
        output, keys = self._output(batch)
        if len(self._rows) + len(batch.rows) > self.chunk_rows:
            self._flush()
        self._rows += batch.rows
        self._keys.append(keys)
        self._outputs.append(output)
        now = time.monotonic()
        after_next = now + (now - self._last) - self._flushed  # seconds at stake if the next batch takes as long
        self._last = now
        if after_next >= self.chunk_seconds or len(self._rows) >= self.chunk_rows:
            self._flush()
            check_others()

    def _output(self, batch: Batch) -> tuple[torch.Tensor, Keys]:
        # Not under inference_mode: a module of the caller's own must stay trainable after .to(device).
        if self._forward is None:
            with self.seconds.timed("open"):
                self._forward = self.model.open(self.device)
        inputs, keys = batch.inputs, np.frombuffer(b"".join(batch.keys), dtype="V16")
        if self.targets is not None:
            targets = self.targets[batch.rows]
            inputs, keys = (inputs, targets), with_targets(keys, targets.numpy())
        with torch.inference_mode():
            marks = [self._clock.mark()]
            if self.device.type != "cpu":
                inputs = send_to_device(inputs, self.device, non_blocking=True)
            marks.append(self._clock.mark())
            output = self._forward(inputs)
            self._marks.append([*marks, self._clock.mark(), len(batch.rows)])
            if output.ndim != 2 or len(output) != len(batch.rows):
                raise InputError(
                    f"the model gave an output of shape {tuple(output.shape)} for {len(batch.rows)} images; it must give "
                    f"one vector per image, shape ({len(batch.rows)}, d)"
                )
            return output.clone(), keys  # a compiled model may write its next output over this one

    def _flush(self) -> None:
        """Write the outputs collected so far, and raise if some are not finite, which are left out."""
        rows, keys, outputs = np.array(self._rows, np.int64), self._keys, self._outputs
        self._rows, self._keys, self._outputs = [], [], []
        self._flushed = time.monotonic()
        if len(rows) == 0:
            return
        with self.seconds.timed("forward") if self._clock.is_of_host else contextlib.nullcontext():
            values, filed = torch.cat(outputs).float().cpu().numpy(), np.concatenate(keys)
        self._settle()
        finite = np.isfinite(values).all(axis=1)
        good = np.flatnonzero(finite)
        for part in (good[some] for some in slices(len(good), self.chunk_rows)):
            with self.seconds.timed("write"):
                self.store.append(filed[part], values[part])
            self.computed += len(part)
        if not finite.all():
            raise InputError(
                f"row {rows[~finite].min()}: the model gave NaN or infinity ({int((~finite).sum())} such rows in a chunk of "
                f"{len(rows)}); check its weights and preprocessing, or use dtype='float32', without embedding_dtype"
            )

    def _settle(self) -> None:
        """Add up what the batches took whose outputs have come."""
        for before, moved, done, images in self._marks:
            transfer, forward = self._clock.between(before, moved), self._clock.between(moved, done)
            self.seconds.add(transfer=transfer, forward=forward)
            if self.first[0] == 0:
                self.first = images, transfer + forward
        self._marks = []


class _Clock:
    """Clock of the work that a device does in its own time: events in CUDA's stream, elsewhere the clock of the host."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.is_of_host = device.type != "cuda"

    def mark(self) -> Any:
        """Return a mark of now, or of when the device has come so far."""
        if self.is_of_host:
            return time.perf_counter()
        event: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event

    def between(self, first: Any, second: Any) -> float:
        """Return the seconds between two marks, which the device has passed."""
        return second - first if self.is_of_host else first.elapsed_time(second) / 1e3


@contextlib.contextmanager
def exact_settings(device: torch.device) -> Iterator[None]:
    """Compute float32 as float32, and restore torch's settings and generators, which a training may use.

    By default cuDNN rounds the inputs of float32 convolutions to TF32, which changes scores by up to 0.02 against those of
    a CPU or an older GPU. Opening a model may draw from the generators.
    """
    cudnn = torch.backends.cudnn
    forked = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    with forked, cudnn.flags(enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=False):
        yield


def _stored_rows(store: Store, keys: Keys, rows: NDArray[np.int64]) -> StoredRows:
    """Return the values of this process's rows, whose width is the same in a process without rows."""
    stored: list[StoredRows] = []

    def find() -> int:
        wanted = keys if len(rows) == len(keys) else keys[rows]
        found = store.has(wanted)
        if not found.all():
            raise StateError(f"row {rows[~found][0]} was never written: the store lost it, or a batch lost its row")
        stored.append(store.rows(wanted))
        return stored[0].shape[1]

    width = max(together(find))
    return stored[0].of_width(width)
