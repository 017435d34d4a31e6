import numpy as np
import pytest

from hf_prune.scaling import compare_laws, fit_law

SIZES = np.repeat([500, 1000, 2000, 5000, 10_000, 20_000, 50_000], 3)
TOTAL = 10_000
TRUTHS = {
    "power": 2 * SIZES**-0.4,
    "power_floor": 5 * SIZES**-0.6 + 0.05,
    "exponential": 0.3 * np.exp(-SIZES / 4000) + 0.05,
}


def counts(law, seed=0):
    return np.random.default_rng(seed).binomial(TOTAL, TRUTHS[law])


@pytest.mark.parametrize("law", TRUTHS)
def test_the_truth_is_not_ruled_out(law):
    found = compare_laws(SIZES, counts(law), TOTAL)
    assert law in found.possible
    assert ("exponential" in found.behind) is (law != "exponential")


def test_points_that_cannot_tell_say_so():
    sizes, wrong = [1000, 2000, 3000, 4000], [21, 16, 14, 12]  # of 100: anything fits
    found = compare_laws(sizes, wrong, 100)
    assert len(found.possible) >= 2
    assert "cannot tell" in str(found)
    assert "apart" in str(found)
    assert found.left_out == {"broken_power": "law 'broken_power' has 4 parameters and there are 3 sizes"}
    assert "not tried: broken_power" in str(found)


def test_a_law_that_points_speak_against_is_named():
    found = compare_laws(SIZES, counts("power"), TOTAL, ["power", "exponential"])
    assert found.best == "power"
    assert found.behind == ["exponential"]
    assert str(found).startswith("The points speak for power; they speak against exponential (-")


def test_held_out_density_by_hand():
    # The held-out size has a normal density with the variance of its count and that of the curve fitted to the others.
    sizes, wrong = np.array([100, 200, 400, 800]), np.array([400, 290, 190, 140])
    found = compare_laws(sizes, wrong, 1000, ["power"])
    law = fit_law(sizes[:-1], wrong[:-1], 1000, "power")
    error = float(law.error(800))
    variance = error * (1 - error) / 1000 + law.standard_error(800) ** 2
    expected = -0.5 * ((0.14 - error) ** 2 / variance + np.log(2 * np.pi * variance))
    assert found.held_out["power"][-1] == pytest.approx(expected, rel=1e-4)
    assert str(found) == "Only power could be tried."


@pytest.mark.parametrize(
    ("sizes", "laws", "message"),
    [([1, 2, 3], ["cubic"], "give some of power"), ([1, 2, 3], [], "give some of"), ([1, 2], ["power"], "too few")],
)
def test_refuses(sizes, laws, message):
    with pytest.raises(ValueError, match=message):
        compare_laws(sizes, [2] * len(sizes), 10, laws)
