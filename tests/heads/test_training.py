"""The trainer of heads against PyTorch's own modules, and heads that do not notice each other."""

from concurrent.futures import CancelledError
from threading import Event

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from hf_prune.heads.training import (
    Training,
    gradient_norms,
    logits_of,
    on_threads,
    scaled,
    train,
    write_gradients,
)
from hf_prune.runtime.threads import one_thread

CPU = torch.device("cpu")
WIDTHS = {"narrow": (17, 3, 5, 16), "linear": (17, 3, 0, 16), "wide": (31, 18, 33, 50)}  # d, classes, hidden, batch


def problem(num_dimensions, num_classes, num_rows=130, num_heads=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(num_rows, num_dimensions, generator=generator).numpy()
    classes = torch.randint(0, num_classes, (num_rows,), generator=generator)
    rows = torch.stack([torch.randperm(num_rows, generator=generator)[:90] for _ in range(num_heads)])
    return scaled(features, features, CPU), classes, rows


def all_logits(points, weights, head, num_classes):
    return torch.cat(list(logits_of(points, weights, head, num_classes)))


def torch_module(training, seed):
    """The head that a seed begins with, built of PyTorch's modules, and the generator for the order of its rows."""
    generator = torch.Generator().manual_seed(seed)
    wide, hidden = training.num_dimensions, training.hidden
    layers = [torch.nn.Linear(hidden or wide, training.num_classes)]
    torch.nn.init.zeros_(layers[0].weight)
    if hidden:
        layers = [torch.nn.Linear(wide, hidden), torch.nn.ReLU(), *layers]
        with torch.no_grad():
            layers[0].weight.copy_((torch.randn(wide, hidden, generator=generator) * (2 / wide) ** 0.5).T)
            drawn = torch.randn(hidden, training.num_classes, generator=generator)
            layers[2].weight.copy_((drawn * (2 / hidden) ** 0.5).T)
    for layer in layers[::2]:
        torch.nn.init.zeros_(layer.bias)
    return torch.nn.Sequential(*layers), generator


@pytest.mark.parametrize("widths", WIDTHS.values(), ids=WIDTHS)
def test_a_head_is_trained_as_pytorch_trains_its_modules(widths):
    num_dimensions, num_classes, hidden, batch_size = widths
    training = Training(num_dimensions, num_classes, hidden, 4, batch_size, 0.01, 0.1)
    points, classes, rows = problem(num_dimensions, num_classes)
    weights = train(points, classes, rows, range(5), training)
    module, generator = torch_module(training, 3)
    optimiser, step = torch.optim.AdamW(module.parameters(), lr=0.01, weight_decay=0.1), 0
    steps = 4 * -(-90 // batch_size)
    for _ in range(4):
        for batch in torch.split(rows[3][torch.randperm(90, generator=generator)], batch_size):
            optimiser.param_groups[0]["lr"] = 0.01 * min(1.0, (steps - step) / (0.3 * steps))
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(module(points[batch, :num_dimensions]), classes[batch]).backward()
            optimiser.step()
            step += 1
    with torch.no_grad():
        expected = module(points[:, :num_dimensions])
    torch.testing.assert_close(all_logits(points, weights, 3, num_classes), expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("hidden", [0, 16])
def test_gradients_are_those_of_autograd(hidden):
    generator = torch.Generator().manual_seed(1)
    shapes = [(3, 32, 16), (3, 1, 16)] * bool(hidden) + [(3, 16, hidden or 32), (3, 1, 16)]
    weights = [torch.randn(shape, generator=generator) / 4 for shape in shapes]
    points, classes = torch.randn(3, 7, 32, generator=generator), torch.randint(0, 16, (3, 7), generator=generator)
    gradients = [torch.full_like(layer, torch.nan) for layer in weights]
    write_gradients(gradients, weights, points, classes)
    leaves = [layer.clone().requires_grad_() for layer in weights]
    units = (points @ leaves[0] + leaves[1]).relu() if hidden else points
    logits = units @ leaves[-2].transpose(1, 2) + leaves[-1]
    loss = sum(torch.nn.functional.cross_entropy(logits[head], classes[head]) for head in range(3))
    for found, expected in zip(gradients, torch.autograd.grad(loss, leaves), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("hidden", [0, 16])
def test_gradient_norms_are_those_of_single_rows(hidden):
    generator = torch.Generator().manual_seed(2)
    shapes = [(2, 32, 16), (2, 1, 16)] * bool(hidden) + [(2, 16, hidden or 32), (2, 1, 16)]
    weights = [torch.randn(shape, generator=generator) / 4 for shape in shapes]
    points, classes = torch.randn(7, 32, generator=generator), torch.randint(0, 16, (7,), generator=generator)
    found = torch.cat(list(gradient_norms(points, classes, weights, 1)))
    own = [layer[1:] for layer in weights]
    for row in range(7):
        gradients = [torch.zeros_like(layer) for layer in own]
        write_gradients(gradients, own, points[None, row : row + 1], classes[None, row : row + 1])
        expected = torch.cat([gradient.flatten() for gradient in gradients]).norm()
        torch.testing.assert_close(found[row], expected, atol=1e-5, rtol=1e-5)


def test_a_linear_head_comes_to_what_scikit_learn_finds():
    points, classes, _ = problem(4, 3, num_rows=200)
    training = Training(4, 3, 0, 400, 200, 0.05, 0.0)
    weights = train(points, classes, torch.arange(200)[None], [0], training)
    reference = LogisticRegression(C=1e9, tol=1e-8, max_iter=1000).fit(points[:, :4].numpy(), classes.numpy())
    found = all_logits(points, weights, 0, 3).softmax(dim=1).numpy()
    np.testing.assert_allclose(found, reference.predict_proba(points[:, :4].numpy()), atol=1e-3)


@pytest.mark.parametrize("widths", WIDTHS.values(), ids=WIDTHS)
def test_a_head_is_the_same_to_the_last_bit_whatever_is_beside_it(widths):
    num_dimensions, num_classes, hidden, batch_size = widths
    training = Training(num_dimensions, num_classes, hidden, 3, batch_size, 0.01, 0.1)
    points, classes, rows = problem(num_dimensions, num_classes)
    with one_thread():
        together = train(points, classes, rows, range(5), training)
        for start, stop in ((0, 1), (1, 3), (2, 5), (4, 5)):
            apart = train(points, classes, rows[start:stop], range(start, stop), training)
            assert all(torch.equal(mine, all_of[start:stop]) for mine, all_of in zip(apart, together, strict=True)), (
                start,
                stop,
            )


def test_rows_may_be_others_in_each_epoch():
    points, classes, rows = problem(5, 3)
    training = Training(5, 3, 4, 2, 16, 1e-2, 0.1)
    plain = train(points, classes, rows, range(5), training)
    twice = train(points, classes, torch.stack([rows, rows], dim=1), range(5), training)
    assert all(torch.equal(one, other) for one, other in zip(plain, twice, strict=True))
    unread = torch.full_like(classes, -1)  # a label that would fail: only rows of an epoch are looked at
    first, second = rows[:1, :40], rows[:1, 40:80]
    unread[torch.cat([first, second], dim=1)[0]] = classes[torch.cat([first, second], dim=1)[0]]
    train(points, unread, torch.stack([first, second], dim=1), [0], training)


def test_features_are_scaled_by_one_number_and_filled_up():
    features = np.array([[1000.0, 3.0], [3000.0, 3.0], [2000.0, 3.0]])
    points = scaled(features, features, CPU)
    assert points.shape == (3, 16)
    deviation = np.sqrt(((features - features.mean(axis=0)) ** 2).mean())
    np.testing.assert_allclose(points[:, :2], (features - features.mean(axis=0)) / deviation, atol=1e-5)
    assert not points[:, 2:].any()
    np.testing.assert_allclose(scaled([[2000.0, 4.0]], features, CPU)[0, :2], [0, 1 / deviation], atol=1e-5)
    assert scaled([[5.0], [5.0]], [[5.0], [5.0]], CPU).eq(0).all()  # no spread to divide by


def test_small_heads_are_trained_side_by_side_and_every_thread_gets_some():
    small, large = Training(8, 2, 4, 1, 16, 0.1, 0.0), Training(2000, 1000, 1000, 1, 256, 0.1, 0.0)
    assert (small.side_by_side(CPU), large.side_by_side(CPU)) == (64, 1)
    assert large.side_by_side(torch.device("cuda")) > 1
    with one_thread():
        assert list(map(len, small.parts(range(150), CPU))) == [64, 64, 22]
        torch.set_num_threads(4)
        assert list(map(len, small.parts(range(10), CPU))) == [3, 3, 3, 1]
        assert small.parts([], CPU) == []


def test_parts_are_worked_on_by_threads_of_one_thread_each():
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        found = dict(on_threads(lambda part, _: (part, torch.get_num_threads()), range(7), CPU))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert found == dict.fromkeys(range(7), 1)


def test_a_failure_in_one_part_is_raised_and_ends_the_others():
    stopped = []

    def work(part, stop):
        if part == 0:
            raise ValueError("the first part failed")
        stopped.append(stop.wait(timeout=60))

    with one_thread():
        torch.set_num_threads(2)
        with pytest.raises(ValueError, match="the first part failed"):
            list(on_threads(work, range(8), CPU))
    assert all(stopped)
    assert len(stopped) < 7  # those that had not begun did not begin


def test_a_training_that_nobody_wants_ends():
    points, classes, rows = problem(4, 2)
    stop, epochs = Event(), []

    def after_epoch(_):
        epochs.append(len(epochs))
        stop.set()

    with pytest.raises(CancelledError):
        train(points, classes, rows, range(5), Training(4, 2, 0, 50, 16, 0.1, 0.0), after_epoch, stop)
    assert epochs == [0]
