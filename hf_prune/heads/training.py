"""Training of small classifiers on embeddings: many side by side, each as if it were alone."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from threading import Event
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike

from hf_prune.runtime.slices import slices
from hf_prune.runtime.threads import one_thread

Weights: TypeAlias = list[torch.Tensor]
Part = TypeVar("Part")
Found = TypeVar("Found")

# Widths are filled up with zeros to multiples of 16 numbers: 64 bytes, the widest vectors of a processor. Then every matrix
# starts at such an address and no vector is left half full, both of which change roundings, so that a head's numbers do
# not depend on the heads beside it. Products with ten columns are also twice as fast with sixteen.
VECTOR = 16
IMPOSSIBLE = -1e30  # logit of a class that only fills up
SIDE_BY_SIDE_NUMBERS = 2**20  # numbers in work at once, 4 MB: about what a core's caches hold
SIDE_BY_SIDE_ELSEWHERE = 2**27  # 512 MB of an accelerator's memory
MOST_SIDE_BY_SIDE = 64
FALLING = 0.3  # share of the steps; a rate that falls from the start leaves rows unlearnt that it could have learnt
EVALUATED_ROWS = 4096  # at once: 4 MB of 256 hidden units


@dataclass(frozen=True)
class Training:
    """Settings of a training, all of them known.

    Attributes:
        num_dimensions: Of the embeddings.
        num_classes: Of the labels.
        hidden: Units of the hidden layer; 0 has none, the head is linear.
        num_epochs: Passes of each head over its own rows.
        batch_size: Rows per step.
        learning_rate: Of AdamW; in the last three tenths of the steps it falls to zero along a line.
        weight_decay: Of AdamW.
    """

    num_dimensions: int
    num_classes: int
    hidden: int
    num_epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float

    def rates(self, num_rows: int) -> Iterator[float]:
        """Yield the learning rate of each step of a training on so many rows."""
        steps = self.num_epochs * -(-num_rows // self.batch_size)
        return (self.learning_rate * min(1.0, (steps - step) / (FALLING * steps)) for step in range(steps))

    def side_by_side(self, device: torch.device) -> int:
        """Return how many heads share a step: many small ones, so that the cost of calling torch is small against computing."""
        inputs, outputs = _filled(self.num_dimensions), _filled(self.num_classes)
        batch = self.batch_size * (inputs + self.hidden + outputs)
        weights = self.hidden * (inputs + outputs) if self.hidden else inputs * outputs
        room = SIDE_BY_SIDE_NUMBERS if device.type == "cpu" else SIDE_BY_SIDE_ELSEWHERE
        return int(np.clip(room // (batch + 4 * weights), 1, MOST_SIDE_BY_SIDE))

    def parts(self, heads: Sequence[Part], device: torch.device) -> list[Sequence[Part]]:
        """Split heads into parts that are trained side by side, at least one for each thread."""
        size = max(1, min(self.side_by_side(device), -(-len(heads) // threads_for(device))))
        return [heads[part] for part in slices(len(heads), size)]


def train(
    points: torch.Tensor,
    classes: torch.Tensor,
    rows: torch.Tensor,
    seeds: Iterable[int],
    training: Training,
    after_epoch: Callable[[Weights], object] = lambda _: None,
    stop: Event | None = None,
) -> Weights:
    """Train one head on each subset of the rows.

    A seed decides the first weights and the order of the rows. Heads share nothing but the calls of torch: on a CPU, in
    one thread, a head is the same to the last bit whatever is beside it.

    Args:
        points: Embeddings of all rows, shape (n, d filled up), as `scaled` gives them.
        classes: Integers from 0, shape (n,); or of rows with several classes what `padded` makes of them, for a sigmoid output
            per class.
        rows: Row numbers that each head is trained on, shape (S, k), or in each epoch, shape (S, epochs, k).
        seeds: Seed of each head, S of them.
        training: The settings.
        after_epoch: Called with the weights after each epoch.
        stop: Checked at each epoch; set when the result is no longer wanted.

    Returns:
        Weights for `logits_of`, the first axis of each counts the heads.

    Raises:
        CancelledError: If ``stop`` was set.
    """
    generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
    weights, flat = _in_one(_first_weights(generators, training), points.device)
    gradients, flat_gradient = _in_one([torch.zeros_like(layer) for layer in weights], points.device)
    optimiser = AdamW(flat, flat_gradient, training.weight_decay)
    rates = training.rates(rows.shape[-1])
    for epoch in range(training.num_epochs):
        if stop is not None and stop.is_set():
            raise CancelledError
        own = rows if rows.ndim == 2 else rows[:, epoch]
        orders = torch.stack([torch.randperm(own.shape[1], generator=generator) for generator in generators])
        for batch in torch.split(own.gather(1, orders.to(own.device)), training.batch_size, dim=1):
            batch_points = points.index_select(0, batch.flatten()).view(*batch.shape, points.shape[1])
            write_gradients(gradients, weights, batch_points, classes[batch])
            optimiser.step(next(rates))
        after_epoch(weights)
    return weights


class AdamW:
    """The optimiser of Loshchilov & Hutter (2019), arXiv:1711.05101, with PyTorch's defaults, on one tensor.

    PyTorch's own is no faster here, and takes seconds to load its compiler, which nobody needs. Each step changes the weights in
    place by the gradient that the caller has written.
    """

    BETAS, EPSILON = (0.9, 0.999), 1e-8

    def __init__(self, weights: torch.Tensor, gradient: torch.Tensor, weight_decay: float) -> None:
        self._weights, self._gradient, self._weight_decay = weights, gradient, weight_decay
        self._mean, self._square, self._root = (torch.zeros_like(weights) for _ in range(3))
        self._steps = 0

    def step(self, rate: float) -> None:
        """Take one step."""
        self._steps += 1
        mean_so_far, square_so_far = (1 - beta**self._steps for beta in self.BETAS)
        if self._weight_decay:
            self._weights.mul_(1 - rate * self._weight_decay)
        self._mean.lerp_(self._gradient, 1 - self.BETAS[0])
        self._square.mul_(self.BETAS[1]).addcmul_(self._gradient, self._gradient, value=1 - self.BETAS[1])
        torch.sqrt(self._square, out=self._root).add_(self.EPSILON * square_so_far**0.5)
        self._weights.addcdiv_(self._mean, self._root, value=-rate * square_so_far**0.5 / mean_so_far)


def write_gradients(gradients: Weights, weights: Weights, points: torch.Tensor, classes: torch.Tensor) -> None:
    """Write the gradients of each head's mean cross-entropy: by hand, since autograd costs as much again.

    Gradients are tensors like the weights, points (S, b, d filled up), classes (S, b), or (S, b, classes filled up) where
    the loss is the sum of binary cross-entropies.
    """
    units, logits = _units_and_logits(points, weights)
    if classes.ndim == 3:
        slopes = logits.sigmoid().sub_(classes)
    else:
        slopes = logits.softmax(dim=2).scatter_add_(2, classes[..., None], -torch.ones_like(logits[..., :1]))
    slopes /= classes.shape[1]  # of the loss by the logits, (S, b, classes)
    torch.bmm(slopes.transpose(1, 2), units, out=gradients[-2])
    torch.sum(slopes, dim=1, keepdim=True, out=gradients[-1])
    if len(weights) > 2:
        slopes = (slopes @ weights[-2]).mul_(units > 0)  # by the hidden units, (S, b, h)
        torch.bmm(points.transpose(1, 2), slopes, out=gradients[0])
        torch.sum(slopes, dim=1, keepdim=True, out=gradients[1])


def logits_of(points: torch.Tensor, weights: Weights, head: int, num_classes: int) -> Iterator[torch.Tensor]:
    """Yield the logits of one head in blocks of at most 4,096 rows, (b, classes) each, in the order of the points (n, d filled up)."""
    own = [layer[head] for layer in weights]
    for block in torch.split(points, EVALUATED_ROWS):
        yield _units_and_logits(block, own)[1][:, :num_classes]


def gradient_norms(points: torch.Tensor, classes: torch.Tensor, weights: Weights, head: int) -> Iterator[torch.Tensor]:
    """Yield the norm of the gradient of one head's cross-entropy at each single row, in blocks of at most 4,096 rows, (b,) each.

    A layer's gradient at one row is the product of its slopes with its inputs and a 1 for the bias, so that its norm needs
    no gradient.
    """
    own = [layer[head] for layer in weights]
    for block, labels in zip(torch.split(points, EVALUATED_ROWS), torch.split(classes, EVALUATED_ROWS), strict=True):
        units, logits = _units_and_logits(block, own)
        if labels.ndim == 2:
            slopes = logits.sigmoid().sub_(labels)
        else:
            slopes = logits.softmax(dim=1)
            slopes[torch.arange(len(labels)), labels] -= 1
        squares = slopes.square().sum(dim=1) * (units.square().sum(dim=1) + 1)
        if len(own) > 2:
            slopes = (slopes @ own[-2]) * (units > 0)
            squares += slopes.square().sum(dim=1) * (block.square().sum(dim=1) + 1)
        yield squares.sqrt()


def scaled(features: ArrayLike, reference: ArrayLike, device: torch.device) -> torch.Tensor:
    """Centre features (m, d) on the mean of a reference, the rows (n, d) that heads are trained on, and scale them.

    All are divided by the one standard deviation of the reference. Returned are float32, shape (m, d filled up).
    """
    given, known = np.asarray(features, dtype=np.float32), np.asarray(reference, dtype=np.float32)
    centre = known.mean(axis=0, dtype=np.float64)
    squares = np.einsum("ij,ij->", known, known, dtype=np.float64) / len(known)  # one sum, no copy of the rows
    deviation = np.sqrt(max(squares - centre @ centre, 0.0) / known.shape[1])
    points = np.zeros((len(given), _filled(given.shape[1])), dtype=np.float32)
    points[:, : given.shape[1]] = (given - centre.astype(np.float32)) / np.float32(deviation or 1.0)
    return torch.from_numpy(points).to(device)


def padded(labels: ArrayLike, device: torch.device) -> torch.Tensor:
    """Turn zeros and ones (n, classes) into float32 of shape (n, classes filled up)."""
    given = np.asarray(labels)
    found = np.zeros((len(given), _filled(given.shape[1])), dtype=np.float32)
    found[:, : given.shape[1]] = given
    return torch.from_numpy(found).to(device)


def on_threads(work: Callable[[Part, Event], Found], parts: Sequence[Part], device: torch.device) -> Iterator[Found]:
    """Do the parts of a work on as many threads as torch has, each in one thread, and yield what each found, as it ends.

    Operations this small gain little from threads of their own, and on a busy machine, where those wait for each other at
    every operation, they get some thirty times slower; whole parts wait for nobody. Another device than a CPU gets one part
    at a time. The work is called with a part and an event: when that is set, the result is no longer wanted.
    """
    workers = max(1, min(threads_for(device), len(parts)))
    stop = Event()
    with one_thread(), ThreadPoolExecutor(workers) as pool:
        tasks = [pool.submit(work, part, stop) for part in parts]
        try:
            for task in as_completed(tasks):
                yield task.result()
        finally:  # after an error, an interrupt, or when nobody reads on: the threads end at their next epoch
            stop.set()
            pool.shutdown(cancel_futures=True)


def threads_for(device: torch.device) -> int:
    """Return how many parts run at the same time: on a CPU as many as torch has threads, elsewhere one."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def _units_and_logits(points: torch.Tensor, weights: Weights) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs and outputs of the output layer; points are (S, b, d) or, for one head, (b, d)."""
    *hidden, output, output_bias = weights
    units = (points @ hidden[0]).add_(hidden[1]).relu_() if hidden else points
    return units, (units @ output.transpose(-1, -2)).add_(output_bias)


def _first_weights(generators: Sequence[torch.Generator], training: Training) -> Weights:
    """Draw the hidden layer (S, d, h) and (S, 1, h) unless linear, the output layer (S, classes, h) and (S, 1, classes), filled up."""
    heads, inputs, hidden, outputs = len(generators), training.num_dimensions, training.hidden, training.num_classes
    wide_inputs, wide_hidden, wide_outputs = (_filled(width) for width in (inputs, hidden or inputs, outputs))

    def drawn(inputs: int, outputs: int) -> torch.Tensor:
        draws = torch.stack([torch.randn(inputs, outputs, generator=generator) for generator in generators])
        return draws * (2.0 / inputs) ** 0.5  # He's scale for rectified units

    output, output_bias = torch.zeros(heads, wide_outputs, wide_hidden), torch.zeros(heads, 1, wide_outputs)
    output_bias[..., outputs:] = IMPOSSIBLE
    layers = [output, output_bias]
    if hidden:
        layers = [torch.zeros(heads, wide_inputs, wide_hidden), torch.zeros(heads, 1, wide_hidden), *layers]
        layers[0][:, :inputs, :hidden] = drawn(inputs, hidden)
        output[:, :outputs, :hidden] = drawn(hidden, outputs).transpose(1, 2)
    return layers


def _in_one(layers: Weights, device: torch.device) -> tuple[Weights, torch.Tensor]:
    """Copy the layers into one tensor; return views of it as layers, and the tensor."""
    sizes = [layer.numel() for layer in layers]
    flat = torch.cat([layer.flatten() for layer in layers]).to(device)
    views = zip(layers, torch.split(flat, sizes), strict=True)
    return [part.view(layer.shape) for layer, part in views], flat


def _filled(width: int) -> int:
    return -(-width // VECTOR) * VECTOR
