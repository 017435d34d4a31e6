"""Arrays that a pruning needs besides the scores: embeddings, clusters, duplicates and noise suspects."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.data.digests import array_sha256
from hf_prune.metrics.prototypes import default_num_prototypes
from hf_prune.metrics.rows import row_blocks
from hf_prune.policy.gathering import with_recorded_model
from hf_prune.pruning.target import target_rows
from hf_prune.runtime.arguments import check_count
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import join_processes, use_device
from hf_prune.runtime.row_arrays import gather_rows
from hf_prune.scoring import Request
from hf_prune.scoring.embedding_rows import share
from hf_prune.scoring.embeddings import check_first_axes, embedding_rows
from hf_prune.scoring.pool import Rows
from hf_prune.scoring.scores import Scores, read_scores
from hf_prune.selection import list_orders

if TYPE_CHECKING:
    from hf_prune.cleaning.label_noise import LabelNoise


Array = NDArray[Any]


CONFIDENCE = "confidence"  # the metric and its column
GIVEN = ("embeddings", "clusters", "similarity", "confidence", "suspects", "duplicate_of")


@dataclass
class PruningInputs:
    """Arrays over the n rows of one data set, each computed when it is first asked for.

    Attributes:
        ds: The data set.
        scores: Its scores; the images of rows without one are not read.
        request: The source of embeddings, and the arrays that were given.
        num_clusters: Clusters to find, None for a number from the rows.
        seed: Seed of k-means and of the folds.
        target: Rows to be like or unlike: a data set, embeddings (t, d), or numbers of rows, shape (t,); None for none.
        made_from: The origin of each array, for the record.
        figures: Estimates for the record.
        num_clusters_used: Clusters that were found, if any were.
    """

    ds: Dataset
    scores: Scores
    request: Request
    num_clusters: int | None
    seed: int
    target: Any = None
    made_from: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    num_clusters_used: int | None = None
    _embeddings: Rows | None = None
    _clusters: Array | None = None

    def __post_init__(self) -> None:
        """Check the arrays that were given."""
        for name in self.request.given:
            if name not in GIVEN:
                raise InputError(f"inputs={{{name!r}: …}}, but prune takes {', '.join(GIVEN)}")
        check_first_axes(self.request.given, len(self.ds))

    @property
    def scored(self) -> NDArray[np.int64]:
        """Rows with a score."""
        return np.flatnonzero(~np.ma.getmaskarray(self.scores))

    @property
    def has_embeddings(self) -> bool:
        """Whether embeddings are given, or an encoder for them."""
        return self.request.encoder is not None or "embeddings" in self.request.given

    def take_encoder_of(self, column: str) -> bool:
        """Take the encoder that a column was scored with, as the history names it, where no embeddings were given.

        Whether there are embeddings then is returned.

        Raises:
            ValueError: If the record of the encoder is damaged.
        """
        if not self.has_embeddings:
            own = with_recorded_model(self.ds, column, self.request)
            self.request = replace(self.request, encoder=None if own is None else own.encoder)
        return self.has_embeddings

    def embeddings(self, who: str) -> Array:
        """Return unit rows (n, d), zero for some rows without a score; ``who`` needs them, for the message.

        Every process then holds (n, d) of float32.
        """
        self._embeddings = np.asarray(self.embedding_rows(who))
        return self._embeddings

    def embedding_rows(self, who: str) -> Rows:
        """Return the same where they are, see `InputPool.embedding_rows`."""
        if self._embeddings is not None:
            return self._embeddings
        from hf_prune.scoring.from_models import encoder_of

        if not self.has_embeddings:
            raise InputError(f"{who} needs embeddings: pass encoder=, or inputs={{'embeddings': array}}")
        with use_device(self.request.run.device):
            join_processes(self.request.run.device)
            found, unscored = embedding_rows(self.ds, self.request)
        missing = sorted(unscored.keys() & set(self.scored.tolist()))
        if missing:
            raise InputError(
                f"row {missing[0]} has a score but no embedding ({len(missing)} such rows): {unscored[missing[0]]}"
            )
        if self._given("embeddings") is None:
            self.made_from["embeddings"] = {"encoder": encoder_of(self.request).identity}
        self._embeddings = found
        return found

    def clusters(self, who: str) -> Array:
        """Return the cluster of each row, shape (n,), -1 without a score."""
        if self._clusters is None:
            instead = "" if self.num_clusters is None else f"num_clusters={self.num_clusters}"
            self._clusters = self._given("clusters", instead)
        if self._clusters is not None:
            return self._clusters
        from hf_prune.metrics.kmeans import spherical_kmeans

        points, scored = self.embedding_rows(who), self.scored
        count = default_num_prototypes(len(scored)) if self.num_clusters is None else self.num_clusters
        check_count("num_clusters", count, 1, len(scored))
        places, own = share(points, scored)
        with use_device(self.request.run.device):
            found = spherical_kmeans(own, places, int(count), seed=self.seed)
        self._clusters = np.full(len(self.ds), -1, dtype=np.int64)
        self._clusters[scored] = gather_rows(places, found.assignments, len(scored))
        self.num_clusters_used = int(count)
        return self._clusters

    def similarity(self, who: str) -> Array:
        """Return the cosine of each row to the nearest target row, float32, shape (n,), in [-1, 1]."""
        given = self._given("similarity", "" if self.target is None else "target=")
        if given is not None:
            return given
        if self.target is None:
            raise InputError(f"{who} needs target=: a data set, embeddings of shape (t, d), or numbers of rows")
        points, everyone = self.embedding_rows(who), np.arange(len(self.ds))
        targets = target_rows(self.target, points, self.request)
        self.made_from["similarity"] = {"target_sha256": array_sha256(targets), "target_rows": len(targets)}
        places, own = share(points, everyone)
        found = np.empty(len(places), dtype=np.float32)
        for block in row_blocks(len(places), max(targets.shape)):
            found[block] = (own[block] @ targets.T).max(axis=1)
        return gather_rows(places, found, len(self.ds))

    def confidence(self, who: str) -> Array:
        """Return the score `confidence` of each row, 1 less the mean probability of its label, shape (n,); 0 without a score."""
        given = self._given("confidence")
        if given is not None:
            return given
        if CONFIDENCE not in self.ds.column_names:
            raise InputError(
                f"{who} needs the scores {CONFIDENCE!r}: score them, too, from the same record or heads, or pass "
                f"inputs={{{CONFIDENCE!r}: array}}"
            )
        found = read_scores(self.ds, CONFIDENCE)
        missing = np.intersect1d(np.flatnonzero(np.ma.getmaskarray(found)), self.scored)
        if len(missing):
            raise InputError(f"row {missing[0]} has a score but no {CONFIDENCE!r} ({len(missing)} such rows)")
        self.made_from[CONFIDENCE] = {"column": CONFIDENCE}
        return np.where(np.ma.getmaskarray(found), 0, np.ma.getdata(found))

    def duplicate_of(self, threshold: float | None) -> Array | None:
        """Return for each row the row that it repeats, or -1; None where duplicates stay."""
        given = self._given("duplicate_of", "" if threshold is None else f"drop_duplicates={threshold}")
        if given is not None or threshold is None:
            return given
        from hf_prune.cleaning.duplicates import duplicates

        scored = self.scored  # a row without a score is dropped, and must not take those like it along
        if threshold == 1 and self.request.encoder is None and "embeddings" not in self.request.given:
            rows = self.ds if len(scored) == len(self.ds) else self.ds.select(scored)
            found = duplicates(rows, image_column=self.request.image_column, run=self.request.run).duplicate_of
        else:
            points = self.embeddings(f"drop_duplicates={threshold}")[scored]
            found = duplicates(points, threshold, run=self.request.run).duplicate_of
        copies = np.full(len(self.ds), -1, dtype=np.int64)
        copies[scored] = np.where(found < 0, -1, scored[found])
        return copies

    def suspects(self, labels: Array | None) -> Array:
        """Mark the rows whose label looks wrong."""
        given = self._given("suspects")
        if given is not None:
            return given
        if labels is None:
            raise InputError("hardest_cutoff='noise' needs labels: name their column with label_column=")
        rows, found = self._label_noise(labels, "hardest_cutoff='noise'", planted=0.1)
        suspects = np.zeros(len(self.ds), dtype=bool)
        suspects[rows] = found.suspects
        known = {"noise_rate": found.rate, "noise_low": found.low, "noise_high": found.high}
        known |= {} if found.precision is None else {"suspects_precision": found.precision}
        self.figures |= known
        return suspects

    def class_errors(self, labels: Array) -> dict[int, float]:
        """Return class code → share of its rows that classifiers on the embeddings of other rows get wrong."""
        if not self.has_embeddings:
            raise InputError(
                "quotas='error' needs class_errors=, or encoder= or inputs={'embeddings': array} to find them out"
            )
        rows, found = self._label_noise(labels, "quotas='error'", planted=0.0)
        wrong = found.scores > 0  # another class is likelier than the label
        return {int(code): float(wrong[labels[rows] == code].mean()) for code in np.unique(labels[rows])}

    def _label_noise(self, labels: Array, who: str, planted: float) -> "tuple[NDArray[np.int64], LabelNoise]":
        """Predict the rows with score and label out of fold; return their numbers, too."""
        from hf_prune.cleaning.label_noise import label_noise

        points, scored = self.embeddings(who), self.scored
        rows = scored[labels[scored] >= 0]
        given = {"labels": labels[rows]}
        return rows, label_noise(points[rows], inputs=given, planted=planted, seed=self.seed, run=self.request.run)

    def check_all_used(self, *, decided: bool = False) -> None:
        """Raise a one-line ValueError if something was given that the pruning did not use; a decision may do without embeddings."""
        spare = ("embeddings",) if decided else ()
        unused = [name for name in self.request.given if name not in (*self.made_from, *spare)]
        if unused:
            raise InputError(f"inputs[{unused[0]!r}] has no part in this pruning: leave it out")
        if self.target is not None and "similarity" not in self.made_from:
            raise InputError("target= has no part in this pruning: it is for order='like' and order='unlike'")
        if self.num_clusters is not None and self._clusters is None:
            orders = [f"order={order.name!r}" for order in list_orders() if "clusters" in order.needs]
            raise InputError(
                f"num_clusters={self.num_clusters} has no part in this pruning: it is for {', '.join(orders)} and "
                "label_column='clusters'"
            )

    def _given(self, name: str, instead: str = "") -> Array | None:
        """Return an array that was given, which goes into the record; ``instead`` is an argument that excludes it."""
        if name not in self.request.given:
            return None
        if instead:
            raise InputError(f"{instead} and inputs[{name!r}] were given; give one of them")
        found = np.asarray(self.request.given[name])
        self.made_from[name] = {"given_sha256": array_sha256(found)}
        return found
