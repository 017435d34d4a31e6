"""What a study finds: contrasts, flips and sentences, by hand."""

import numpy as np
import pytest

from hf_prune.scaling.runs import contrast, sentences
from tests.helpers.scaling_runs import FLIPS, STAYS


def test_contrast_by_hand():
    # Less no pruning the five draws have 200 … 204 more wrong of 10,000: mean 0.0202, standard deviation sqrt(2.5) rows,
    # standard error sqrt(0.5) rows, and Student's quantile at four degrees of freedom is 2.776.
    found = contrast(STAYS, 500, 0.5, "easy", "full")
    assert found.mean == pytest.approx(0.0202)
    assert found.high - found.mean == pytest.approx(2.7764 * np.sqrt(0.5) / 10_000, rel=1e-4)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)
    assert found.num_draws == 5
    assert str(found) == "+2.02 points [+2.00, +2.04]"
    same = contrast(STAYS, 500, 0.5, "hard", "easy")  # paired: the scatter of the draws drops out
    assert (same.low, same.mean, same.high) == pytest.approx((0.02, 0.02, 0.02))


def test_a_flip_is_told_with_its_sizes():
    found = sentences(FLIPS)
    flip = [line for line in found if "flips" in line]
    assert flip == [
        "The better end flips from easy to hard as the data grow: at 50% from easy with 500 (hard less easy +2.00 points "
        "[+2.00, +2.00]) to hard with 4,000 (-2.00 points [-2.00, -2.00])."
    ]
    assert found[0].startswith(
        "At 4,000 examples keeping 50% hard loses nothing (+0.02 points [+0.00, +0.04] of error"
    )
    assert found[-3].startswith(
        "At 500 examples no fraction is shown to lose nothing (limit 0.5). There keep easy at 50%"
    )
    assert found[-1].startswith("Without pruning error = a * n^-nu + c: nu 0.5 [")


def test_no_flip_is_told_as_such():
    found = sentences(STAYS)
    assert any(
        line.startswith("No flip from easy to hard is shown as the data grow; hard less easy is at 50%")
        for line in found
    )
    assert not any("flips" in line for line in found)


def test_other_measures(tmp_path):
    # The worst class is the cat, with all wrong rows among its 8,000.
    assert contrast(STAYS, 500, 0.5, "hard", "easy", measure="worst class").mean == pytest.approx(200 / 8000)
    assert contrast(STAYS, 500, 0.5, "hard", "easy", measure="group night").mean == pytest.approx(50 / 4000, rel=0.02)
    with pytest.raises(ValueError, match="no 'class owl'"):
        sentences(STAYS, "class owl")
