"""Intervals of paired differences: against formulas, and how often they hold the truth."""

import numpy as np
import pytest

from hf_prune.policy.intervals import ONE_SET, Clusters, Draw, intervals


def crossed(row_sd, draw_sd, answer_sd, num_rows, splits, generator):
    """Differences with a share of the row, of the draw and of the single answer; the truth is 0."""
    of_rows = generator.normal(0, row_sd, num_rows)
    draws = []
    for _ in range(splits):
        order = generator.permutation(num_rows)
        for fold in range(5):
            rows = np.sort(order[fold::5])
            found = of_rows[rows] + generator.normal(0, draw_sd) + generator.normal(0, answer_sd, len(rows))
            draws.append(Draw(rows, found.astype(np.float32)[:, None]))
    return draws


def two_way_variance(draws):
    """Cameron, Gelbach & Miller (2011): by rows, plus by draws (k / (k - 1)), less by answers."""
    mean = np.concatenate([draw.found[:, 0] for draw in draws]).mean(dtype=np.float64)
    total = sum(len(draw.rows) for draw in draws)
    by_row = {}
    for draw in draws:
        for row, value in zip(draw.rows, draw.found[:, 0], strict=True):
            by_row[row] = by_row.get(row, 0.0) + value - mean
    by_draw = [float((draw.found[:, 0] - mean).sum()) for draw in draws]
    answers = sum(float(np.square(draw.found[:, 0] - mean).sum()) for draw in draws)
    widening = len(draws) / (len(draws) - 1)
    return (sum(v**2 for v in by_row.values()) + widening * sum(v**2 for v in by_draw) - answers) / total**2


@pytest.mark.parametrize(("row_sd", "draw_sd", "answer_sd"), [(0.3, 0, 0.4), (0.2, 0.05, 0.2), (0.1, 0.1, 0.5)])
def test_the_width_is_that_of_the_two_way_formula(row_sd, draw_sd, answer_sd):
    draws = crossed(row_sd, draw_sd, answer_sd, 500, 3, np.random.default_rng(1))
    found = intervals(draws, seed=0)[0]
    width = 2 * 1.645 * two_way_variance(draws) ** 0.5
    assert found.high - found.low == pytest.approx(width, rel=0.15)  # 400 resamples


@pytest.mark.parametrize(("row_sd", "draw_sd", "answer_sd"), [(0.3, 0, 0.3), (0, 0.05, 0.3), (0.1, 0.02, 0.5)])
def test_nine_in_ten_intervals_hold_the_truth(row_sd, draw_sd, answer_sd):
    generator = np.random.default_rng(2)
    found = [intervals(crossed(row_sd, draw_sd, answer_sd, 200, 3, generator), seed)[0] for seed in range(200)]
    assert 0.84 <= np.mean([ends.low <= 0 <= ends.high for ends in found]) <= 0.96


def test_quantities_are_judged_side_by_side():
    generator = np.random.default_rng(3)
    draws = crossed(0.2, 0.02, 0.3, 300, 2, generator)
    doubled = [Draw(draw.rows, np.concatenate([draw.found, 2 * draw.found], axis=1)) for draw in draws]
    first, second = intervals(doubled, seed=5)
    assert second == pytest.approx([2 * end for end in first], rel=1e-5)
    assert first == pytest.approx(intervals(draws, seed=5)[0], rel=1e-5)


def test_what_never_differs_has_an_interval_of_no_width():
    found = intervals([Draw(np.arange(9), np.zeros((9, 1), np.float32)) for _ in range(2)], seed=0)[0]
    assert found == (0.0, 0.0, 0.0)


def test_rows_that_a_draw_does_not_train_on_widen_the_interval_by_a_share_of_the_mean_and_a_fifth():
    draws = crossed(0.2, 0.02, 0.3, 300, 2, np.random.default_rng(4))
    draws = [Draw(draw.rows, np.concatenate([draw.found + 2, draw.found], axis=1)) for draw in draws]
    plain, wide = (intervals(draws, seed=1, unseen=unseen) for unseen in (0.0, 0.1))
    for before, after in zip(plain, wide, strict=True):
        assert after.mean == before.mean
        for end in ("low", "high"):
            own, change = getattr(before, end) - before.mean, 1.645 * 0.1 * before.mean
            assert abs(getattr(after, end) - after.mean) == pytest.approx(
                ONE_SET * (own**2 + change**2) ** 0.5, rel=1e-3
            )
    assert wide[0].low < plain[0].low < plain[0].high < wide[0].high


def test_what_classes_have_in_common_widens_the_interval_where_they_are_a_sample():
    """Twenty classes of 25 rows, each with a gain of its own: the spread of the mean of few is that of the classes."""
    generator = np.random.default_rng(0)
    codes, of_classes = np.repeat(np.arange(20), 25), generator.normal(0, 0.2, 20)
    found = (of_classes[codes] + generator.normal(0, 0.1, 500)).astype(np.float32)[:, None]
    draws = [Draw(np.arange(part, 500, 5), found[part::5]) for part in range(5)]
    few, half, whole = (intervals(draws, 0, clusters=Clusters(codes, share))[0] for share in (0.001, 0.5, 1.0))
    widths = [ends.high - ends.low for ends in (few, half, whole)]
    assert widths[0] > widths[1] > widths[2] == pytest.approx(np.subtract(*intervals(draws, 0)[0][:0:-1]))
    # 90 % of a mean of 20 classes, each with a spread of 0.2.
    assert widths[0] == pytest.approx(2 * 1.645 * of_classes.std(ddof=1) / 20**0.5, rel=0.2)
