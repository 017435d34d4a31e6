"""Small classifiers on the embeddings of subsets: how much can be learnt from each, with everything else the same."""

import itertools
from collections.abc import Sequence
from threading import Event
from typing import Any

import numpy as np
from datasets.utils import tqdm
from numpy.typing import ArrayLike, NDArray

from hf_prune.heads.settings import batch_size_for, num_epochs_for

NUM_HIDDEN = 128
BATCH_SIZE = 64
LEARNING_RATE = 5e-3
WEIGHT_DECAY = 1e-2
MAX_EPOCHS, MIN_EPOCHS = 30, 5
MAX_ROWS_SEEN = 256_000  # epochs get fewer beyond 8,500 rows, until MIN_EPOCHS are left


def default_num_epochs(num_rows: int) -> int:
    """Return the epochs of a student whose full data set has so many rows; students of its subsets get as many.

    Example:
        >>> default_num_epochs(1_200), default_num_epochs(50_000)
        (30, 5)
    """
    return num_epochs_for(max(num_rows, 1), MAX_ROWS_SEEN, MIN_EPOCHS, MAX_EPOCHS)


def steady_training(num_rows: int) -> dict[str, Any]:
    """Return settings of `student_hits` with large steps and a strong pull to zero, which make the order of the rows matter less.

    With them random halves of a data set give students of nearly one accuracy, so that small differences between subsets
    show; the defaults are those that the published comparisons were made with. The rows are those of one student.

    Example:
        >>> steady_training(40_000)["batch_size"], steady_training(100)["batch_size"]
        (256, 16)
    """
    return {"batch_size": batch_size_for(num_rows), "learning_rate": 2e-3, "weight_decay": 0.1}


def train_students(
    features: ArrayLike,
    labels: ArrayLike,
    subsets: ArrayLike,
    seeds: ArrayLike,
    test_features: ArrayLike,
    test_labels: ArrayLike,
    *,
    num_epochs: int | None = None,
    desc: str = "Students",
) -> NDArray[np.float64]:
    """Train one student on each subset and return its accuracy on the test rows.

    A student is a network with one hidden layer of 128 units, trained with AdamW in batches of 64 rows. All subsets have
    one size and get the same number of epochs, so a subset of half the rows costs half the steps. A seed decides the
    first weights and the order of the rows; students share nothing, though they are trained side by side.

    Args:
        features: Embeddings of all rows, shape (n, d); centred and divided by one number for all dimensions.
        labels: Class of each row, integers from 0, shape (n,).
        subsets: Row numbers that each student is trained on, shape (students, k), or (students, epochs, k) where they are
            others in each epoch.
        seeds: Seed of each student, shape (students,).
        test_features: Shape (m, d).
        test_labels: Shape (m,).
        num_epochs: Passes over the subset; None takes `default_num_epochs` of n.
        desc: Label of the progress bar.

    Returns:
        Accuracies in [0, 1], shape (students,).

    Example:
        >>> points, classes = np.array([[1.0, 0.0], [0.0, 1.0]] * 8), [0, 1] * 8
        >>> train_students(points, classes, [range(16), range(16)], [0, 1], points[:2], [0, 1]).tolist()
        [1.0, 1.0]

    References:
        Sorscher et al. (2022), arXiv:2206.14486, compare at equal epochs as well.
    """
    hits = student_hits(features, labels, subsets, seeds, test_features, test_labels, num_epochs=num_epochs, desc=desc)
    return hits.mean(axis=1, dtype=np.float64)


def student_hits(
    features: ArrayLike,
    labels: ArrayLike,
    subsets: ArrayLike,
    seeds: ArrayLike,
    test_features: ArrayLike,
    test_labels: ArrayLike,
    *,
    hidden: int = NUM_HIDDEN,
    num_epochs: int | None = None,
    batch_size: int = BATCH_SIZE,
    learning_rate: float = LEARNING_RATE,
    weight_decay: float = WEIGHT_DECAY,
    every_epoch: bool = False,
    desc: str | None = "Students",
) -> NDArray[np.bool_]:
    """Train one student on each subset and return which test rows it gets right, shape (students, m).

    The arguments are those of `train_students`; ``hidden=0`` makes linear students, ``every_epoch`` looks at the test rows
    after each epoch and makes the shape (students, epochs, m), and without a ``desc`` there is no bar.
    """
    import torch

    from hf_prune.heads.results import hits_of
    from hf_prune.heads.training import Training, Weights, on_threads, scaled, train
    from hf_prune.runtime.processes import compute_device

    device, train_labels = compute_device(), np.asarray(labels, dtype=np.int64)
    points, test_points = scaled(features, features, device), scaled(test_features, features, device)
    classes, test_classes = (torch.tensor(np.asarray(given), device=device) for given in (train_labels, test_labels))
    num_classes = int(max(train_labels.max(), np.max(np.asarray(test_labels)))) + 1
    epochs = default_num_epochs(len(points)) if num_epochs is None else num_epochs
    training = Training(np.shape(features)[1], num_classes, hidden, epochs, batch_size, learning_rate, weight_decay)
    rows = torch.tensor(np.asarray(subsets, dtype=np.int64), device=device)
    found = np.empty((len(rows), epochs if every_epoch else 1, len(test_classes)), dtype=bool)

    def work(students: Sequence[int], stop: Event) -> Sequence[int]:
        own_seeds, passes = np.asarray(seeds)[list(students)], itertools.count()

        def look(weights: Weights) -> None:
            epoch = next(passes)
            if every_epoch or epoch == epochs - 1:
                for head, student in enumerate(students):
                    hits = hits_of(test_points, test_classes, weights, head, num_classes)
                    found[student, epoch if every_epoch else 0] = hits

        train(points, classes, rows[list(students)], own_seeds, training, look, stop)
        return students

    with tqdm(total=len(found), desc=desc, unit="student", leave=False, disable=desc is None) as bar:
        for students in on_threads(work, training.parts(range(len(found)), device), device):
            bar.update(len(students))
    return found if every_epoch else found[:, 0]
