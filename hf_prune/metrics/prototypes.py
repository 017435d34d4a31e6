"""Distance to a prototype in embedding space: without labels the nearest of k centroids, with labels the class mean."""

import numpy as np
from numpy.typing import NDArray

from hf_prune.metrics.registry import register_metric
from hf_prune.metrics.rows import Array, row_blocks
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import all_sum, gather_objects

_LIMITS = (
    "The distance is one in the embedding space of this encoder: what the encoder cannot tell apart looks typical, and "
    "what it has rarely seen, be it valuable, damaged or wrongly labelled, looks hard."
)
_LIMITS_OF_CLASSES = (
    "The distance is one in the embedding space of this encoder, and the labels are taken as right: a wrong label looks "
    "hard, and a class of several kinds of images has a mean that is near none of them."
)


def default_num_prototypes(num_rows: int) -> int:
    """Return the default number of prototypes: sqrt(rows / 5), at most the paper's 1,000.

    It gives 19 for 1,797 digits, 100 for CIFAR and 506 for ImageNet, each within the factor of ten around the
    number of classes in which the paper saw no difference.

    Example:
        >>> default_num_prototypes(50_000)
        100
    """
    return int(np.clip(round((num_rows / 5) ** 0.5), 1, min(1000, max(num_rows, 1))))


@register_metric(
    "prototypes",
    paper="arXiv:2206.14486",
    aliases=("self-supervised-prototypes",),
    seeded=True,
    cost="one pass of the encoder, then k-means",
    default_options={"num_prototypes": default_num_prototypes},
    limits=_LIMITS,
    blockwise=True,
)
def prototypes(
    embeddings: Array,
    rows: Array | None = None,
    centroids: Array | None = None,
    *,
    num_prototypes: int | None = None,
    num_iterations: int = 100,
    num_init: int = 1,
    algorithm: str = "auto",
    seed: int = 0,
) -> Array:
    """Cosine distance to the nearest of k prototypes that k-means finds in the embedding space of an encoder.

    Args:
        embeddings: Unit rows, shape (n, d).
        rows: Global row numbers of the rows held by this process, shape (n,); None means all of them.
        centroids: Prototypes that were found before, unit rows, shape (k, d), which leave nothing to the options; None
            finds them in these embeddings.
        num_prototypes: Number of prototypes k; None takes `default_num_prototypes`.
        num_iterations: At most so many iterations of k-means.
        num_init: Starts of k-means, of which the one with the least mean distance counts.
        algorithm: ``"lloyd"`` is exact k-means, ``"hierarchical"`` a fast approximation for many prototypes, ``"mini_batch"``
            one that finds them on samples and reads the other rows once; ``"auto"`` is hierarchical from 10,000 prototypes on,
            else exact.
        seed: Seed of the first centroids.

    Returns:
        One score per row in [0, 2]; higher is farther from what is typical, that is harder.

    Raises:
        ValueError: If there are more prototypes than rows, the algorithm is unknown, or the centroids have other dimensions.

    Example:
        >>> prototypes(np.eye(2), num_prototypes=2).tolist()
        [0.0, 0.0]
        >>> prototypes(np.eye(2), centroids=np.array([[0.0, 1.0]])).tolist()
        [1.0, 0.0]

    References:
        Sorscher et al. (2022), arXiv:2206.14486, section 5. There k = 1000 with SwAV on ImageNet; how k-means was
        seeded is not stated. Here: k-means++.
    """
    from hf_prune.metrics.kmeans import distances_to, spherical_kmeans

    if centroids is not None:
        return distances_to(_checked_centroids(centroids, embeddings), _in_float32(embeddings))
    held = np.arange(len(embeddings), dtype=np.int64) if rows is None else np.asarray(rows)
    if num_prototypes is None:
        num_prototypes = default_num_prototypes(int(all_sum(np.array([len(held)]))[0]))
    return spherical_kmeans(
        _in_float32(embeddings),
        held,
        num_prototypes,
        num_iterations=num_iterations,
        num_init=num_init,
        algorithm=algorithm,
        seed=seed,
    ).distances


def _in_float32(embeddings: Array) -> Array:
    """Return rows of float32 as they are, wherever they are, and others as an array of it."""
    return embeddings if getattr(embeddings, "dtype", None) == np.float32 else np.asarray(embeddings, dtype=np.float32)


def _checked_centroids(centroids: Array, embeddings: Array) -> NDArray[np.float64]:
    """Check that the centroids have as many dimensions as the embeddings."""
    if np.ndim(centroids) != 2 or np.shape(centroids)[1] != embeddings.shape[1]:
        raise InputError(
            f"centroids of shape {np.shape(centroids)} for embeddings of {embeddings.shape[1]} dimensions: give (k, "
            f"{embeddings.shape[1]})"
        )
    return np.array(centroids, dtype=np.float64)  # torch takes no array that is read-only


@register_metric(
    "supervised_prototypes",
    paper="arXiv:2206.14486",
    aliases=("supervised-prototypes",),
    cost="one pass of the encoder",
    limits=_LIMITS_OF_CLASSES,
    blockwise=True,
)
def supervised_prototypes(embeddings: Array, labels: Array) -> Array:
    """Cosine distance to the mean embedding of the row's own class.

    Args:
        embeddings: Unit rows, shape (n, d).
        labels: Class of each row, any integers, shape (n,).

    Returns:
        One score per row in [0, 2]; higher is farther from its class, that is harder. A row whose class has a mean of
        zero, which has no direction, is at distance 1.

    Example:
        >>> supervised_prototypes(np.eye(2), np.array([0, 1])).tolist()
        [0.0, 0.0]

    References:
        Sorscher et al. (2022), arXiv:2206.14486, appendix on supervised prototypes.
    """
    embeddings = embeddings if hasattr(embeddings, "shape") else np.asarray(embeddings)
    # Each process holds other rows; all must agree on the classes, which are as many as occur: a label may be an id.
    classes = np.unique(gather_objects(np.unique(labels).tolist()))
    codes = np.searchsorted(classes, labels)
    means = all_sum(_sums(embeddings, codes, len(classes)))  # (classes, d), up to the length
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    means = np.divide(means, lengths, out=np.zeros_like(means), where=lengths > 1e-12)
    found = np.empty(len(codes))
    for block in row_blocks(*embeddings.shape):
        points = np.asarray(embeddings[block], dtype=np.float64)
        found[block] = 1.0 - np.einsum("ij,ij->i", points, means[codes[block]])
    return np.clip(found, 0.0, 2.0)


def _sums(embeddings: Array, codes: NDArray[np.int64], num_classes: int) -> NDArray[np.float64]:
    """Sum the rows of each class, shape (classes, d), one row after the other whatever the blocks are."""
    from scipy.sparse import csr_array

    sums = np.zeros((num_classes, embeddings.shape[1]))
    for block in row_blocks(*embeddings.shape):
        present, own = np.unique(codes[block], return_inverse=True)
        points = np.concatenate([sums[present], np.asarray(embeddings[block], dtype=np.float64)])
        which = np.concatenate([np.arange(len(present)), own])
        ones = (np.ones(len(which)), (which, np.arange(len(which))))
        sums[present] = csr_array(ones, shape=(len(present), len(which))) @ points
    return sums
