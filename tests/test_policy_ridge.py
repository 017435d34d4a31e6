"""The linear head: sums that subsets share, against scikit-learn's ridge regression."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from hf_prune.policy.ridge import STRENGTHS, RidgeHeads


@pytest.fixture(scope="module")
def fold():
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 3, 150)
    points = (generator.normal(size=(150, 6)) + np.eye(3, 6)[codes] * 2).astype(np.float32)
    return points[:120], codes[:120], points[120:], codes[120:]


@pytest.mark.parametrize("count", [10, 59, 61, 110, 120])
def test_every_subset_gives_the_head_that_scikit_learn_fits(fold, count):
    points, codes, judged, judged_codes = fold
    rows = np.sort(np.random.default_rng(count).permutation(120)[:count])
    found = RidgeHeads(points, codes, judged, judged_codes, 3).right(rows)
    targets = np.eye(3)[codes[rows]]
    with_constant = np.concatenate([points[rows], np.ones((count, 1))], axis=1)
    unit = np.square(with_constant).sum(axis=0)[:-1].mean()
    for strength, right in zip(STRENGTHS, found, strict=True):
        model = Ridge(alpha=strength * unit).fit(points[rows], targets)
        assert right.tolist() == (model.predict(judged).argmax(axis=1) == judged_codes).tolist()


def test_a_subset_of_one_class_guesses_that_class(fold):
    points, codes, judged, judged_codes = fold
    found = RidgeHeads(points, codes, judged, judged_codes, 3).right(np.flatnonzero(codes == 1)[:1])
    assert (found == (judged_codes == 1)).all()
