"""Map of embeddings: a sample of the rows on their two leading principal components."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.data.images import EncodedImages
from hf_prune.reports.rows import Rows
from hf_prune.runtime.errors import InputError
from hf_prune.scoring import Request, Run
from hf_prune.scoring.embeddings import all_embeddings, check_first_axes

MAX_POINTS = 5000
_SEED = 0


@dataclass(frozen=True)
class EmbeddingMap:
    """Places of m rows on a plane.

    Attributes:
        rows: Their numbers, ascending, shape (m,).
        places: Shape (m, 2), scaled to [0, 1] along the longer side.
        explained: Share of the variance of the embeddings that the plane shows, in [0, 1].
    """

    rows: NDArray[np.int64]
    places: NDArray[np.float64]
    explained: float


def make_map(rows: Rows, request: Request) -> EmbeddingMap | None:
    """Project at most 5,000 rows, drawn at random, on a plane by PCA.

    Embeddings are those that were given, those of ``encoder=``, or those that scoring left in the cache. None where there are
    none of these, or fewer than three rows.

    Raises:
        ValueError: If what was given does not have a row for each of the data set.
    """
    sample = _sample(len(rows))
    found = _given(rows, request, sample)
    if found is None:
        return None
    is_finite = np.isfinite(found[1]).all(axis=1)
    sample, points = found[0][is_finite], found[1][is_finite]
    if len(sample) < 3 or points.shape[1] < 2:
        return None
    from sklearn.decomposition import PCA

    pca = PCA(2, svd_solver="randomized", random_state=_SEED)
    places = pca.fit_transform(points.astype(np.float64))
    places -= places.min(axis=0)
    share = float(np.nan_to_num(pca.explained_variance_ratio_.sum()))
    return EmbeddingMap(sample, places / (float(places.max()) or 1.0), share)


def _sample(num_rows: int) -> NDArray[np.int64]:
    if num_rows <= MAX_POINTS:
        return np.arange(num_rows)
    return np.sort(np.random.default_rng(_SEED).choice(num_rows, MAX_POINTS, replace=False))


def _given(
    rows: Rows, request: Request, sample: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
    """Return the rows of the sample that have an embedding, and these, (m, d)."""
    if "embeddings" in request.given:
        check_first_axes({"embeddings": request.given["embeddings"]}, len(rows))
        given = np.asarray(request.given["embeddings"])
        if given.ndim != 2:
            raise InputError(f"embeddings of shape {given.shape}; give one vector per row, shape (n, d)")
        return sample, given[sample]
    if request.encoder is not None:
        if rows.images is None:
            raise InputError(
                "encoder= needs images, and there is no single column of them: name it with image_column="
            )
        points, unscored = all_embeddings(rows.ds.select(sample), request)
        known = np.setdiff1d(np.arange(len(sample)), list(unscored))
        return sample[known], points[known]
    return None if rows.images is None else _kept(rows, rows.images, request.run, sample)


def _kept(
    rows: Rows, images: EncodedImages, run: Run, sample: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
    """Return embeddings that scoring left in the cache; no model is opened for it."""
    from hf_prune.engine.image_keys import image_keys
    from hf_prune.engine.store import Store

    keys, unreadable = image_keys(images, sample.tolist())
    readable = np.array([row not in unreadable for row in sample.tolist()], dtype=bool)
    for identity in _encoders(rows):
        store = Store(run.store_root, identity)
        there = store.lookup(keys) & readable
        if there.sum() >= min(len(sample), 3) and there.mean() > 0.5:
            return sample[there], store.gather(keys[there])
    return None


def _encoders(rows: Rows) -> list[Any]:
    """Return the identities of the encoders in the history, the last first."""
    inputs = [made for step in rows.history.steps for made in step.inputs.values() if isinstance(made, dict)]
    return [made["encoder"] for made in inputs if "encoder" in made][::-1]
