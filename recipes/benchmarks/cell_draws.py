"""What the benchmarks of selections draw: rows, labels of which some are redrawn, and scores that know nothing of it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, Features, Value
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

import hf_prune
from hf_prune import Heads
from hf_prune.data.columns import find_label_column, read_labels
from hf_prune.data.loading import open_dataset
from hf_prune.metrics.kmeans import spherical_kmeans
from hf_prune.scoring import Request
from hf_prune.scoring.embeddings import all_embeddings
from hf_prune.scoring.pool import unit
from hf_prune.scoring.scores import read_scores

NUM_DIMENSIONS = 256  # principal components of the embeddings
NUM_CLUSTERS = 100
IMAGE_SIZE = 64  # pixels, of the images that the encoder sees
ROWS, NOISE = 0, 1  # what is drawn


@dataclass(frozen=True)
class Source:
    """Features of a data set and of its test rows, unit rows.

    Attributes:
        name: As the tables call it.
        points: Shape (n, d).
        labels: Shape (n,), as they came.
        test_points: Shape (m, d).
        test_labels: Shape (m,).
        sizes: Numbers of rows that are drawn.
    """

    name: str
    points: NDArray[np.float32]
    labels: NDArray[np.int64]
    test_points: NDArray[np.float32]
    test_labels: NDArray[np.int64]
    sizes: tuple[int, ...]

    @property
    def num_classes(self) -> int:
        """Classes of the labels."""
        return int(self.labels.max()) + 1


@dataclass(frozen=True)
class Draw:
    """The rows of one draw, their labels and their scores.

    Attributes:
        source: Where they come from.
        column: ``"el2n"`` from heads on the features, or ``"prototypes"``, which no label enters.
        size: Rows that are drawn, n.
        noise: Share of the labels that is redrawn over all classes.
        number: Of the draw; also the seed of the heads, the clusters, ties and random rows.
        work: Folder where scores and clusters are kept.
    """

    source: Source
    column: str
    size: int
    noise: float
    number: int
    work: Path

    @property
    def name(self) -> str:
        """For files."""
        return f"{self.source.name}-{self.column}-{self.size}-{round(100 * self.noise)}-{self.number}"

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Row numbers in the source, ascending; drawn apart from the labels, so that both noises have the same."""
        generator = np.random.default_rng((self.number, ROWS, self.size))
        return np.sort(generator.choice(len(self.source.labels), self.size, replace=False))

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Labels of the rows, as a student sees them."""
        generator = np.random.default_rng((self.number, NOISE, self.size))
        labels = self.source.labels[self.rows].copy()
        redrawn = generator.choice(self.size, round(self.noise * self.size), replace=False)
        labels[redrawn] = generator.integers(0, self.source.num_classes, len(redrawn))
        return labels

    @property
    def points(self) -> NDArray[np.float32]:
        """Features of the rows, shape (n, d)."""
        return self.source.points[self.rows]

    @property
    def has_classes(self) -> bool:
        """Whether the selection may see the labels."""
        return self.column != "prototypes"

    def scored(self, evidence: str | bool = "auto") -> Dataset:
        """The data set as a user has it, with the score column."""
        columns: dict[str, Any] = {"row": self.rows}
        features = {"row": Value("int64")}
        if self.has_classes:
            columns["label"] = self.labels
            features["label"] = ClassLabel(num_classes=self.source.num_classes)
        ds = Dataset.from_dict(columns, features=Features(features))
        given = {"embeddings": self.points}
        if not self.has_classes:
            return hf_prune.score_with(
                ds,
                self.column,
                inputs=given,
                num_prototypes=NUM_CLUSTERS,
                seed=self.number,
                run=hf_prune.Run(load_from_cache_file=False),
                evidence=evidence,
            )
        return hf_prune.score_with(
            ds,
            self.column,
            inputs=given,
            teachers=Heads(seed=self.number),
            run=hf_prune.Run(load_from_cache_file=False),
            evidence=evidence,
        )

    def scores(self) -> NDArray[np.float32]:
        """The score column, shape (n,), kept in the work folder."""
        return self._kept("scores", lambda: np.ma.getdata(read_scores(self.scored(evidence=False), self.column)))

    def classes(self) -> NDArray[np.int64]:
        """What the class floor balances, shape (n,): the labels, or clusters as ``label_column="clusters"`` finds them."""
        if self.has_classes:
            return self.labels
        rows = np.arange(self.size)
        return self._kept(
            "clusters", lambda: spherical_kmeans(self.points, rows, NUM_CLUSTERS, seed=self.number).assignments
        )

    def _kept(self, what: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        path = self.work / what / f"{self.name}.npy"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, make())
        return np.load(path)


def embedded(name: str, folder: Path, sizes: tuple[int, ...]) -> Source:
    """A data set from ``emb.npy``, ``labels.npy``, ``emb_test.npy`` and ``labels_test.npy`` in a folder."""
    points, test_points = (unit(np.load(folder / name))[0] for name in ("emb.npy", "emb_test.npy"))
    components = PCA(NUM_DIMENSIONS, svd_solver="covariance_eigh").fit(points)
    points, test_points = (unit(components.transform(rows).astype(np.float32))[0] for rows in (points, test_points))
    labels, test_labels = (np.load(folder / name).astype(np.int64) for name in ("labels.npy", "labels_test.npy"))
    return Source(name, points, labels, test_points, test_labels, sizes)


def cifar10(folder: Path) -> Source:
    """CIFAR-10, embedded."""
    return embedded("cifar10", folder, (50_000, 5_000, 1_000))


def clothing(folder: Path) -> Source:
    """Photographs of ten kinds of clothes, embedded; a draw takes two thirds of the 3,068."""
    return embedded("clothing", folder, (2_000,))


def embed(encoder: str, train: str, test: str, folder: Path, image_size: int | None = IMAGE_SIZE) -> None:
    """Write the four files that `embedded` reads: embeddings of images brought to a size, None for the encoder's own, and labels."""
    folder.mkdir(parents=True, exist_ok=True)
    for path, end in ((train, ""), (test, "_test")):
        ds = open_dataset(path)
        column = find_label_column(ds) or "label"
        points, _ = all_embeddings(
            ds, Request(encoder=encoder, run=hf_prune.Run(image_size=image_size, load_from_cache_file=False))
        )
        np.save(folder / f"emb{end}.npy", points)
        np.save(folder / f"labels{end}.npy", read_labels(ds, column).codes)


def digits() -> Source:
    """The digits of scikit-learn as raw pixels; a third of them, always the same, is the test set."""
    pixels, labels = load_digits(return_X_y=True)
    points, labels = unit(pixels.astype(np.float32))[0], labels.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(labels))
    test, train = order[: len(order) // 3], order[len(order) // 3 :]
    return Source("digits", points[train], labels[train], points[test], labels[test], (len(train),))
