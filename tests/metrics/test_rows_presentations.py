import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.metrics.rows import as_runs, blocks, mean_over_runs, present_mean, scatter


def recorded(seed, shape=(2, 5, 7)):
    generator = np.random.default_rng(seed)
    values = generator.normal(size=shape)
    values[generator.random(shape) < 0.4] = np.nan
    return values


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_means_and_scatter_agree_with_plain_loops(seed):
    values = recorded(seed)
    means, (squares, counts) = present_mean(values, axis=1), scatter(values)
    for run, row in np.ndindex(2, 7):
        present = [value for value in values[run, :, row].tolist() if value == value]
        assert counts[run, row] == len(present)
        if not present:
            assert np.isnan(means[run, row])
            assert squares[run, row] == 0
            continue
        mean = sum(present) / len(present)
        assert means[run, row] == pytest.approx(mean, abs=1e-12)
        assert squares[run, row] == pytest.approx(sum((value - mean) ** 2 for value in present), abs=1e-12)


@pytest.mark.parametrize("size", [2**22, 21])
def test_blocks_are_in_double_precision_and_change_nothing(monkeypatch, size):
    monkeypatch.setattr("hf_prune.metrics.rows.BLOCK_NUMBERS", size)
    values = recorded(0).astype(np.float16)
    found = np.concatenate([block for _, block in blocks(values, "margins")], axis=2)
    assert found.dtype == np.float64
    assert found.tobytes() == values.astype(np.float64).tobytes()
    assert len(list(blocks(values, "margins"))) == (1 if size > 70 else 4)


def test_a_run_without_a_score_does_not_count():
    values = np.array([[[1.0, np.nan, np.nan]], [[3.0, 5.0, np.nan]]])
    found = mean_over_runs(values, "margins", lambda block: block[:, 0])
    np.testing.assert_array_equal(found, [2.0, 5.0, np.nan])


def test_one_record_is_one_run():
    assert as_runs(np.zeros((4, 3)), "correct").shape == (1, 4, 3)
    assert as_runs(np.zeros((2, 4, 3)), "correct").shape == (2, 4, 3)
    assert as_runs(np.zeros((4, 0)), "correct").shape == (1, 4, 0)


@pytest.mark.parametrize("shape", [(3,), (0, 3), (0, 4, 3), (2, 0, 3), (1, 2, 3, 4)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"^correct of shape .*; give \(epochs, n\), or \(runs, epochs, n\)"):
        as_runs(np.zeros(shape), "correct")


@pytest.mark.parametrize(
    ("value", "bounds", "message"),
    [
        (
            1.5,
            {"low": 0, "high": 1},
            r"label_probs from 0.5 to 1.5; every value must be finite and in \[0, 1\], or NaN",
        ),
        (-1.5, {"low": 0, "high": 1}, "label_probs from -1.5 to 0.5"),
        (np.inf, {"low": 0}, r"finite and in \[0, inf\]"),
        (-np.inf, {}, "from -inf to 0.5; every value must be finite, or NaN where the row was not presented"),
    ],
)
def test_values_out_of_bounds_are_refused(value, bounds, message):
    with pytest.raises(ValueError, match=message) as caught:
        list(blocks(np.array([[np.nan, 0.5, value]]), "label_probs", **bounds))
    assert "\n" not in str(caught.value)


def test_nothing_but_missing_presentations_is_no_error():
    assert [block.shape for _, block in blocks(np.full((2, 3), np.nan), "correct", 0, 1)] == [(1, 2, 3)]
