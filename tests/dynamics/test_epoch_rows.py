import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from hf_prune.dynamics import epoch_rows
from hf_prune.dynamics.epoch_rows import FLUSH_STEPS, Presentations
from hf_prune.dynamics.figures import logit_figures


def present(seen, rows, seed=0):
    """Rows with random logits, in batches of three; gives logits and labels."""
    generator = torch.Generator().manual_seed(seed)
    logits, labels = torch.randn(len(rows), 4, generator=generator), torch.tensor(rows) % 4
    for start in range(0, len(rows), 3):
        batch = slice(start, start + 3)
        seen.add(torch.tensor(rows[batch]), labels[batch], logits[batch])
    return logits, labels


@given(st.lists(st.integers(0, 200), min_size=1, max_size=150), st.integers(0, 150))
def test_each_row_once_with_its_first_presentation(rows, interrupted):
    seen = Presentations()
    logits, labels = present(seen, rows)
    found = seen.collect()
    first = {row: place for place, row in reversed(list(enumerate(rows)))}
    assert found.rows.tolist() == sorted(first)
    places = [first[row] for row in sorted(first)]
    figures, log_probs = logit_figures(logits[places], labels[places])
    np.testing.assert_array_equal(found.figures, figures.numpy())
    np.testing.assert_array_equal(found.log_probs, log_probs.numpy())
    np.testing.assert_array_equal(found.labels, labels[places])
    assert seen.num_batches == -(-len(rows) // 3)
    # Collected in between and gone on with elsewhere, it is the same.
    cut = interrupted // 3 * 3
    early, late = Presentations(), None
    for start in range(0, len(rows), 3):
        if start == cut:
            late = Presentations(early.collect())
        batch = slice(start, start + 3)
        (late or early).add(torch.tensor(rows[batch]), labels[batch], logits[batch])
        (late or early).collect()
    for name, values in vars((late or early).collect()).items():
        np.testing.assert_array_equal(values, getattr(found, name), err_msg=name)


def test_large_batches_give_what_small_ones_give(monkeypatch):
    whole, parted = Presentations(), Presentations()
    present(whole, list(range(20)))
    found = whole.collect()
    monkeypatch.setattr(epoch_rows, "SMALL_BATCH", 0)
    present(parted, list(range(20)))
    for name, values in vars(parted.collect()).items():
        np.testing.assert_array_equal(values, getattr(found, name), err_msg=name)


def test_figures_along_all_rows():
    seen = Presentations()
    present(seen, [4, 1])
    spread = seen.collect().spread(6)
    assert np.flatnonzero(~np.isnan(spread["margins"])).tolist() == [1, 4]
    assert set(spread) == {"correct", "label_probs", "margins", "entropies", "errors"}


def test_without_logits_presence_is_noted():
    seen = Presentations()
    for _ in range(FLUSH_STEPS + 1):
        seen.add(torch.tensor([3, 5]))
    found = seen.collect()
    assert (found.rows.tolist(), found.labels.tolist(), found.log_probs.shape) == ([3, 5], [-1, -1], (2, 0))


def test_nothing_was_presented():
    found = Presentations().collect()
    assert (len(found.rows), found.figures.shape, found.log_probs.shape) == (0, (0, 5), (0, 0))


def test_logits_wait_for_many_batches(monkeypatch):
    moved = []
    seen = Presentations()
    monkeypatch.setattr(seen, "_keep", lambda part, _: moved.append(len(part.rows)))
    present(seen, list(range(3 * FLUSH_STEPS * 2 + 3)))
    assert moved == [3 * FLUSH_STEPS] * 2


def test_what_is_not_finite_is_known_by_its_step_and_its_rows():
    seen = Presentations()
    logits, labels = torch.randn(3, 4), torch.tensor([0, 1, -100])
    seen.add(torch.tensor([4, 1, 2]), labels, logits, loss=torch.tensor(1.0), step=7)
    logits = logits.clone()
    logits[0, 2] = torch.inf
    seen.add(torch.tensor([5, 3, 0]), labels, logits, loss=torch.tensor(torch.nan), step=8)
    found = seen.collect()
    assert seen.problem == ("logits", 8)
    assert found.not_finite.tolist() == [5]
    only_loss = Presentations()
    for step in range(FLUSH_STEPS):
        only_loss.add(torch.tensor([step]), loss=torch.tensor(torch.nan if step == 3 else 0.0), step=step)
    assert only_loss.problem == ("loss", 3)
