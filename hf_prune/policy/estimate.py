"""Estimate of what scoring will take: a few rows through the models, and the rest by counting."""

import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.engine.breakdown import Pass, trial_passes
from hf_prune.heads.folds import NUM_FOLDS
from hf_prune.heads.settings import DEFAULTS, Heads
from hf_prune.metrics import Metric
from hf_prune.policy.budget import KEEPS, Trainings, expected_seconds, sample_rows
from hf_prune.policy.features import are_enough
from hf_prune.policy.gathering import EvidenceWhileScoring, has_embeddings, labels_to_judge_by
from hf_prune.policy.pace import Pace, measure_pace
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import gather_objects, in_step, num_processes, use_device
from hf_prune.scoring import InputBuilder, Request
from hf_prune.scoring.from_heads import heads_of, need_of
from hf_prune.scoring.from_prototypes import METRIC as PROTOTYPES
from hf_prune.scoring.from_prototypes import options_of
from hf_prune.scoring.pool import HELD_BYTES, labels_of
from hf_prune.scoring.request import take_rows
from hf_prune.scoring.several_labels import several_labels

TRIAL_ROWS, FEWEST_ROWS = 256, 64  # of few rows a tenth is tried, to be a small part of the work
# Measured: an iteration of k-means takes as long as so many multiplications for each number of a row and centroid, since it skips
# rows that stay, and as so many for each number whatever the centroids, to read it; few rows move after so many iterations.
PER_CENTROID, PER_NUMBER, ITERATIONS = 0.35, 250.0, 25
COPIES = 3  # of the largest results, held in float32 at once
KEY_BYTES = 16  # of a row in the store
STAYING_BYTES = 210  # of a row whose embedding stays where it is: keys and where they are found, and one number each


@dataclass(frozen=True)
class Estimate:
    """Estimate of what scoring takes; printed, it is a line and the seconds by part.

    Attributes:
        parts: Seconds by the clock, by what they go into.
        memory: Bytes of memory of one process at its peak, those that it has already included.
        disk: Bytes by which the cache grows.
    """

    parts: Mapping[str, float]
    memory: int
    disk: int

    @property
    def seconds(self) -> float:
        """Return the seconds of all parts."""
        return sum(self.parts.values())

    @property
    def line(self) -> str:
        """Return the estimate in one line.

        Example:
            >>> Estimate({"Embedding": 700.0, "evidence": 25.0}, 1_240_000_000, 310_000_000).line
            'about 12 min, 1.2 GB memory, 310 MB in the cache'
        """
        return f"about {_time(self.seconds)}, {_size(self.memory)} memory, {_size(self.disk)} in the cache"

    def __repr__(self) -> str:
        width = max(map(len, self.parts), default=0)
        lines = [f"  {part:{width}}  {_time(seconds)}" for part, seconds in self.parts.items()]
        return "\n".join([self.line, *lines])

    def __add__(self, other: "Estimate") -> "Estimate":
        names = dict.fromkeys((*self.parts, *other.parts))
        parts = {name: self.parts.get(name, 0.0) + other.parts.get(name, 0.0) for name in names}
        return Estimate(parts, max(self.memory, other.memory), self.disk + other.disk)


def _time(seconds: float) -> str:
    """Write a duration.

    Example:
        >>> [_time(seconds) for seconds in (0.4, 59.0, 725.0, 36_000.0, 400_000.0)]
        ['1 s', '59 s', '12 min', '10.0 h', '4.6 days']
    """
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def _size(number: float) -> str:
    """Write a number of bytes.

    Example:
        >>> [_size(number) for number in (0, 16_400, 310_000_000, 1_240_000_000)]
        ['0 MB', '0 MB', '310 MB', '1.2 GB']
    """
    return f"{number / 1e6:.0f} MB" if number < 1e9 else f"{number / 1e9:.1f} GB"


def estimate_dataset(
    ds: Dataset,
    metrics: Sequence[Metric],
    request: Request,
    options: Mapping[str, Any],
    judge: EvidenceWhileScoring | None,
    pace: Pace | None = None,
) -> Estimate:
    """Estimate what `hf_prune.scoring.score.score_dataset` takes with these arguments; a ``pace`` of None is measured."""
    if len(ds) == 0:
        raise InputError("the data set is empty: there is nothing to estimate")
    with in_step("estimate", request.run.device), use_device(request.run.device):
        own = {metric.name: options_of(request, metric, options) for metric in metrics}
        asked = [(metric, own[metric.name]) for metric in metrics]
        InputBuilder(ds, request, asked)  # refuses arrays that do not fit
        rows = trial_rows(ds, request)
        tried = ds.select(rows)
        given = {name: take_rows(name, np.asarray(array), rows) for name, array in request.given.items()}
        small = replace(request, inputs=given or None, on_error="skip")  # scoring names a bad row by its own number
        builder = InputBuilder(tried, small, asked)
        builder.keep_features(wanted=judge is not None and judge.wants_features(ds, request))
        with trial_passes() as passes:
            for metric in metrics:
                builder.run_models(metric)
        work = _Counted(ds, request, passes, measure_pace() if pace is None else pace)
        parts: dict[str, float] = {}
        for done in passes:
            parts[done.desc] = parts.get(done.desc, 0.0) + seconds_of(done, len(ds))
        parts |= work.of_metrics(metrics, own)
        if judge is not None and (seconds := work.of_evidence(metrics, own, judge)):
            parts["evidence"] = seconds
        return gather_objects([Estimate(parts, work.memory(metrics), sum(disk_of(done, len(ds)) for done in passes))])[
            0
        ]


def trial_rows(ds: Dataset, request: Request) -> NDArray[np.int64]:
    """Draw the rows to try, the same each time: 256, or two batches in each process, but of few rows only a tenth.

    Where classes have no names, one row of each is among them, since a teacher's outputs are compared with their number.
    """
    wanted = max(TRIAL_ROWS, 2 * request.run.batch_size * num_processes())
    count = min(wanted, max(FEWEST_ROWS, len(ds) // 10), len(ds))
    drawn = np.sort(np.random.default_rng(0).choice(len(ds), count, replace=False))
    has_models = request.teachers is not None or request.student is not None
    labels = labels_of(ds, request) if has_models and several_labels(ds, request) is None else None
    if labels is None or labels.names is not None:
        return drawn
    return np.union1d(drawn, np.unique(labels.codes, return_index=True)[1])


def seconds_of(done: Pass, num_rows: int) -> float:
    """Return the seconds of a pass over so many rows, by one that was tried on few.

    The slower of the loop and those that feed it decides. What is done once, and the first batch beyond its share, is added.
    """
    seconds, processes = done.seconds, num_processes()
    hashing = num_rows * seconds.read / 2 / max(done.rows, 1) / processes
    if done.computed == 0:
        return hashing
    later = done.computed - done.first_images
    running = seconds.transfer + seconds.forward
    each = (running - done.first_seconds) / later if later > 0 else running / done.computed
    loop = each + seconds.write / done.computed
    feeding = (seconds.read / 2 + seconds.decode + seconds.preprocess) / done.computed / max(1, done.num_workers)
    once = seconds.open + max(0.0, done.first_seconds - each * done.first_images)
    return hashing + (once + _missing(done, num_rows) * max(loop, feeding)) / processes


def disk_of(done: Pass, num_rows: int) -> int:
    """Return the bytes that the results of a pass over so many rows add to the cache."""
    row = done.width * done.number_bytes + KEY_BYTES
    return round(_missing(done, num_rows) * row) if done.number_bytes else 0


def _missing(done: Pass, num_rows: int) -> float:
    """Return the images that a pass over so many rows computes: neither known nor the same as another."""
    return num_rows * (1 - done.known / max(done.rows, 1)) * done.computed / max(done.rows, 1)


class _Counted:
    """Seconds of what is counted rather than tried."""

    def __init__(self, ds: Dataset, request: Request, passes: Sequence[Pass], pace: Pace) -> None:
        self._ds, self._request, self._passes, self._pace = ds, request, passes, pace
        self._heads = heads_of(request.teachers)
        given = np.shape(request.given.get("embeddings", ()))[1:]
        self._width = given[0] if given else max((done.width for done in passes), default=0)
        self._judged = 0  # rows of the largest sample of the evidence

    def of_metrics(self, metrics: Sequence[Metric], own: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
        """Return the seconds of clustering and of heads, by name; other metrics take next to none."""
        parts: dict[str, float] = {}
        needs: dict[str, None] = {}
        for metric in metrics:
            used = metric.resolve_options(own[metric.name], len(self._ds))
            if metric.name == PROTOTYPES and "centroids" not in self._request.sources:
                parts["k-means"] = self._pace.seconds(self._clustering(used), 0) / num_processes()
            needs |= dict.fromkeys(need for need in map(need_of, self._by_heads(metric, own)) if need in DEFAULTS)
        if self._heads is not None and needs:
            parts["heads"] = sum(self._of_heads(self._heads.resolve(need, len(self._ds)), need) for need in needs)
        return parts

    def _clustering(self, used: Mapping[str, Any]) -> float:
        """Count the multiplications of k-means; the hierarchical one compares a row with two levels of few centroids."""
        from hf_prune.metrics.kmeans.spherical import MANY_CLUSTERS

        centroids, algorithm = used["num_prototypes"], used["algorithm"]
        if algorithm == "hierarchical" or (algorithm == "auto" and centroids >= MANY_CLUSTERS):
            centroids = 2 * centroids**0.5
        iterations = used["num_init"] * min(used["num_iterations"], ITERATIONS)
        return float(len(self._ds) * self._width * iterations * (PER_CENTROID * centroids + PER_NUMBER))

    def _by_heads(self, metric: Metric, own: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Name the inputs of a metric that heads make."""
        names = metric.inputs_for(own[metric.name], self._request.sources)
        made = {"labels", "embeddings", "rows", "centroids", *self._request.given}
        return [] if self._heads is None else [name for name in names if name not in made]

    def _of_heads(self, heads: Heads, need: str) -> float:
        """Return the seconds of heads with nothing left open; in the course of a training all rows are predicted each epoch."""
        several = several_labels(self._ds, self._request)
        labels = labels_of(self._ds, self._request) if several is None else None
        classes = 2 if labels is None else labels.num_classes
        classes = classes if several is None else several.matrix.shape[1]
        assert heads.num_heads is not None and heads.hidden is not None  # noqa: PT018  # nothing is left open
        assert heads.num_epochs is not None and heads.subset is not None  # noqa: PT018
        seen = len(self._ds) * (1 - 1 / NUM_FOLDS if heads.out_of_fold else 1)
        rows, predicted = heads.subset * seen, len(self._ds) / (1 if need == "dynamics" else heads.num_epochs)
        kind = Trainings(1, heads.num_trainings, heads.hidden, rows, predicted, heads.num_epochs)
        steps = kind.steps(self._width, classes, self._pace.num_threads)
        return self._pace.seconds(kind.work(self._width, classes), steps) / num_processes()

    def of_evidence(
        self, metrics: Sequence[Metric], own: Mapping[str, Mapping[str, Any]], judge: EvidenceWhileScoring
    ) -> float:
        """Return the seconds of the evidence on all columns."""
        try:
            labels = labels_to_judge_by(self._ds, self._request)
        except ValueError:  # scoring says it
            return 0.0
        if labels is None or not self._width or not are_enough(labels.codes):
            return 0.0
        total, codes = 0.0, labels.codes[labels.codes >= 0]
        seen: set[bool] = set()
        for metric in metrics:
            if not metric.baseline:
                refitted = bool(self._by_heads(metric, own))
                seed = int(own[metric.name].get("seed", 0))
                how: Any = {"refitted": refitted, "by_embeddings": has_embeddings(self._request)}
                rows = sample_rows(codes, self._width, KEEPS, seed=seed, budget=judge.budget, **how)
                chosen = codes[rows]
                self._judged = max(self._judged, len(chosen))
                classes = len(np.unique(chosen))
                again = refitted in seen
                total += expected_seconds(len(chosen), self._width, classes, again=again, pace=self._pace, **how)
                seen.add(refitted)
        return total

    def memory(self, metrics: Sequence[Metric]) -> int:
        """Return the bytes of this process at its peak, as if the results of all rows were held in float32.

        Large embeddings are not where all metrics are ``blockwise``: then it is a sample for the evidence. The trial has had its
        peak: weights, and batches on their way.
        """
        import psutil  # type: ignore[import-untyped]  # it ships no types

        unit = 1 if sys.platform == "darwin" else 1024
        so_far = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        rows = len(self._ds)
        results = [4 * done.width * rows for done in self._passes]
        if all(metric.blockwise for metric in metrics) and max(results, default=0) > HELD_BYTES:
            held = STAYING_BYTES * rows + COPIES * 4 * self._width * self._judged
        else:
            held = sum(results) + (COPIES - 1) * max(results, default=0)
        return int(max(so_far, psutil.Process().memory_info().rss + held))
