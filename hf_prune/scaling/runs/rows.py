"""The rows of a study: initial sets, their scores, and the rows that cuts keep."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.api import score_with
from hf_prune.data.columns import Labels
from hf_prune.data.digests import array_sha256
from hf_prune.metrics import get_metric
from hf_prune.scaling.runs.results import FULL
from hf_prune.scoring import Run
from hf_prune.scoring.scores import Scores, read_scores
from hf_prune.selection import select

Rows = NDArray[np.int64]

_MADE_HERE = {"embeddings", "labels", "rows"}


@dataclass(frozen=True)
class StudyRows:
    """The rows that initial sets are drawn from.

    Attributes:
        ds: The data set, n rows.
        labels: Its classes, or None.
        points: Embeddings, shape (n, d), or None where nothing needs them.
        scores: Scores of all rows, or None where every initial set is scored anew.
        metric: Name of the metric, or of the column.
        options: Of the metric.
        heads: Settings of the heads that stand in for teachers and trainings.
        class_balance: Floor of the classes, as in `hf_prune.prune`.
        seed: Of all draws.
        device: Device of the heads and of k-means; None leaves it to Accelerate.
    """

    ds: Dataset
    labels: Labels | None
    points: NDArray[np.float32] | None
    scores: Scores | None
    metric: str
    class_balance: float
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    heads: Any = "heads"
    device: str | None = None

    def initial(self, draw: int, size: int) -> Rows:
        """Draw the rows of an initial set, ascending; within a draw each holds the smaller ones."""
        order = np.random.default_rng((self.seed, draw)).permutation(len(self.ds))
        return np.sort(order[:size])

    def seed_of(self, draw: int) -> int:
        """Return the seed of ties, random cuts and students of a draw: the same for all cuts, so that they can be paired."""
        return int(np.random.SeedSequence((self.seed, draw)).generate_state(1)[0])

    def scores_of(self, rows: Rows, draw: int) -> Scores:
        """Return the scores of an initial set."""
        if self.scores is not None:
            return self.scores[rows]
        metric = get_metric(self.metric)
        names = set(metric.inputs_for(self.options, frozenset(_MADE_HERE)))
        heads = not names <= _MADE_HERE  # teachers or a training are wanted: heads stand in for both
        given: dict[str, Any] = {}
        if self.points is not None and (heads or "embeddings" in names):
            given["embeddings"] = self.points[rows]
        if self.labels is not None and (heads or "labels" in names):
            given["labels"] = self.labels.codes[rows]
        scored = score_with(
            Dataset.from_dict({"row": rows}),
            metric.name,
            inputs=given,
            teachers=self.heads if heads else None,
            column="score",
            seed=self.seed_of(draw),
            run=Run(device=self.device, load_from_cache_file=False),
            evidence=False,  # the runs are what compares
            **self.options,
        )
        return read_scores(scored, "score")

    def kept(self, rows: Rows, scores: Scores, keep: float, order: str, draw: int) -> Rows:
        """Return the rows of an initial set that a cut keeps."""
        if order == FULL:
            return rows
        codes = None if self.labels is None else self.labels.codes[rows]
        balance = 0.0 if codes is None else self.class_balance
        chosen = select(scores, keep=keep, order=order, labels=codes, class_balance=balance, seed=self.seed_of(draw))
        return rows[chosen.kept]

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of all arrays that decide which rows are kept."""
        arrays = {
            "labels": None if self.labels is None else self.labels.codes,
            "points": self.points,
            "scores": None if self.scores is None else np.ma.filled(self.scores.astype(np.float64), np.nan),
        }
        return {name: array_sha256(array) for name, array in arrays.items() if array is not None}
