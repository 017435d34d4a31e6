import numpy as np
import pytest
from scipy.optimize import minimize

from hf_prune.scaling.counts import read_counts
from hf_prune.scaling.laws import LAWS
from hf_prune.scaling.maximum import Likelihood

SIZES, TOTAL = np.array([100, 200, 400, 800, 1600]), 10_000


def problem(law, pinned=None):
    errors = {"power": 3.0 * SIZES**-0.5, "power_floor": 2.0 * SIZES**-0.5 + 0.05}[law]
    counts = read_counts(SIZES, np.round(errors * TOTAL).astype(int), np.full(len(SIZES), TOTAL))
    return Likelihood(LAWS[law], counts, reference=400.0, pinned=pinned)


@pytest.mark.parametrize("law", ["power", "power_floor"])
def test_it_is_where_a_general_minimiser_ends(law):
    found = problem(law).maximise()
    free = found.values[problem(law).high > problem(law).low]
    lengths = problem(law).high > problem(law).low

    def deviance(values):
        whole = problem(law).low.copy()
        whole[lengths] = values
        return problem(law).deviance(whole)

    other = minimize(
        deviance, free * 1.05 + 0.01, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000}
    )
    assert found.deviance <= other.fun + 1e-8
    np.testing.assert_allclose(free, other.x, rtol=1e-3)


def test_the_exponent_that_made_the_counts_is_found():
    found = problem("power").maximise()
    assert found.values[1] == pytest.approx(0.5, abs=3 * found.errors[1])
    assert np.exp(found.values[0]) == pytest.approx(3 * 400**-0.5, rel=0.02)
    assert found.deviance < 1


def test_a_fixed_value_stays_and_has_no_error():
    found = problem("power_floor").maximise(fixed={2: 0.05})
    assert found.values[2] == 0.05
    assert found.errors[2] == 0
    assert found.deviance >= problem("power_floor").maximise().deviance - 1e-9


def test_a_pinned_curve_goes_through_its_point():
    pinned = problem("power", pinned=(800.0, 0.2))
    errors, _ = pinned.curve(pinned.maximise().values)
    assert errors[3] == pytest.approx(0.2, rel=1e-12)
