"""Small classifiers on the embeddings of subsets: how much can be learnt from each, with everything else the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets.utils import tqdm
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import torch

NUM_HIDDEN = 128
BATCH_SIZE = 64
LEARNING_RATE = 5e-3
WEIGHT_DECAY = 1e-2
MAX_EPOCHS, MIN_EPOCHS = 30, 5
MAX_ROWS_SEEN = 256_000  # epochs get fewer beyond 8,500 rows, until MIN_EPOCHS are left


def default_num_epochs(num_rows: int) -> int:
    """Epochs of a student whose full data set has so many rows; students of its subsets get as many.

    Example:
        >>> default_num_epochs(1_200), default_num_epochs(50_000)
        (30, 5)
    """
    return int(np.clip(MAX_ROWS_SEEN // max(num_rows, 1), MIN_EPOCHS, MAX_EPOCHS))


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

    A student is a network with one hidden layer of 128 units, trained with AdamW in batches of 64 rows, the learning
    rate falling to zero along a cosine. All subsets have one size and get the same number of epochs, so a subset of half
    the rows costs half the steps. A seed decides the first weights and the order of the rows; students share nothing
    else, though they are trained side by side.

    Args:
        features: Embeddings of all rows, shape (n, d); centred and divided by one number for all dimensions.
        labels: Class of each row, integers from 0, shape (n,).
        subsets: Row numbers that each student is trained on, shape (students, k).
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
    import torch

    from hf_prune.collectives import compute_device

    device = compute_device()
    points, test_points = (torch.from_numpy(part).to(device) for part in _scaled(features, test_features))
    classes = torch.tensor(np.asarray(labels, dtype=np.int64), device=device)
    rows = torch.tensor(np.asarray(subsets, dtype=np.int64), device=device)
    generators = [torch.Generator().manual_seed(int(seed)) for seed in np.asarray(seeds)]
    num_classes = int(max(np.max(np.asarray(labels)), np.max(np.asarray(test_labels)))) + 1
    weights = _first_weights(generators, points.shape[1], num_classes, device)
    epochs = default_num_epochs(len(points)) if num_epochs is None else num_epochs
    steps = epochs * -(-rows.shape[1] // BATCH_SIZE)
    fused = device.type in ("cpu", "cuda")
    optimiser = torch.optim.AdamW(weights, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=fused)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    with one_thread(), tqdm(total=steps, desc=desc, unit="step", leave=False) as bar:
        for _ in range(epochs):
            for batch in torch.split(_shuffled(rows, generators), BATCH_SIZE, dim=1):
                logits = _logits(points[batch], weights)
                # Summed over students, averaged within each: the gradients are those of separate trainings.
                loss = torch.nn.functional.cross_entropy(
                    logits.flatten(0, 1), classes[batch].flatten(), reduction="sum"
                )
                optimiser.zero_grad()
                torch.autograd.backward(loss / batch.shape[1])
                optimiser.step()
                schedule.step()
                bar.update()
    return _accuracies(test_points, np.asarray(test_labels), weights)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute in one thread while the block runs.

    For networks this small a second thread gains little, and on a busy machine, where the threads of every operation
    wait for each other, it makes the training some thirty times slower.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _scaled(features: ArrayLike, test_features: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Both centred on the training rows and divided by their one standard deviation."""
    train, test = np.asarray(features, dtype=np.float32), np.asarray(test_features, dtype=np.float32)
    centre = train.mean(axis=0)
    scale = float((train - centre).std()) or 1.0
    return (train - centre) / scale, (test - centre) / scale


def _first_weights(
    generators: "list[torch.Generator]", num_dimensions: int, num_classes: int, device: Any
) -> "list[torch.Tensor]":
    """Hidden layer (S, d, h) and (S, 1, h), then output layer (S, h, classes) and (S, 1, classes)."""
    import torch

    def drawn(inputs: int, outputs: int) -> torch.Tensor:
        draws = torch.stack([torch.randn(inputs, outputs, generator=generator) for generator in generators])
        return (draws * (2.0 / inputs) ** 0.5).to(device)  # He's scale for rectified units

    def zeros(width: int) -> torch.Tensor:
        return torch.zeros(len(generators), 1, width, device=device)

    hidden, output = drawn(num_dimensions, NUM_HIDDEN), drawn(NUM_HIDDEN, num_classes)
    layers = [hidden, zeros(NUM_HIDDEN), output, zeros(num_classes)]
    return [layer.requires_grad_() for layer in layers]


def _shuffled(rows: "torch.Tensor", generators: "list[torch.Generator]") -> "torch.Tensor":
    """Each student's rows in an order of its own, (S, k)."""
    import torch

    orders = torch.stack([torch.randperm(rows.shape[1], generator=generator) for generator in generators])
    return rows.gather(1, orders.to(rows.device))


def _logits(points: "torch.Tensor", weights: "list[torch.Tensor]") -> "torch.Tensor":
    """Points (S, b, d) through each student's layers to (S, b, classes)."""
    hidden, hidden_bias, output, output_bias = weights
    return (points @ hidden + hidden_bias).relu() @ output + output_bias


def _accuracies(points: "torch.Tensor", labels: NDArray[Any], weights: "list[torch.Tensor]") -> NDArray[np.float64]:
    import torch

    found = []
    with torch.no_grad():
        for student in zip(*weights, strict=True):  # one at a time: m rows by all students may not fit in memory
            guesses = _logits(points, list(student)).argmax(dim=-1).cpu().numpy()
            found.append(float((guesses.reshape(-1) == labels).mean()))
    return np.array(found)
