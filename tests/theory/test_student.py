"""The student against its definition, without the integrals and the Newton steps of the package."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.special import ndtr
from scipy.stats import norm

from hf_prune.theory.geometry import kept_region
from hf_prune.theory.student import solve

NODES, WEIGHTS = (6 * part for part in np.polynomial.legendre.leggauss(200))  # of [-6, 6], moved to [0, 12]
V = NODES + 6
DENSITY = 2 * WEIGHTS * norm.pdf(V)


def level(slope, alpha):
    """Largest level with alpha * E[(level - slope |v| - s)_+^2] <= 1 for unpruned examples and a probe like the teacher."""

    def excess(value):
        x = value - slope * V
        return alpha * float(DENSITY @ ((1 + x * x) * ndtr(x) + x * norm.pdf(x))) - 1

    return brentq(excess, -20, 40, xtol=1e-12)


@pytest.mark.parametrize("alpha", [0.5, 2.0, 6.0])
def test_the_margin_is_the_largest_that_any_slope_allows(alpha):
    found = solve(kept_region(1.0, 0.0, "hard"), alpha)
    best = minimize_scalar(
        lambda slope: -level(slope, alpha) / math.hypot(1, slope),
        bounds=(0, 30),
        method="bounded",
        options={"xatol": 1e-9},
    )
    margin = found.level / math.hypot(1, *found.slope)
    assert margin == pytest.approx(-best.fun, rel=1e-8)
    assert found.slope[0] == pytest.approx(best.x, rel=1e-4)  # the margin is flat at its largest
    assert found.slope[1] == pytest.approx(0, abs=1e-7)  # nothing pulls it away from the teacher


def test_more_examples_turn_the_student_to_the_teacher_and_narrow_the_margin():
    students = [solve(kept_region(0.5, 0.2, "hard"), alpha) for alpha in (1.0, 3.0, 9.0)]
    slopes = [student.slope[0] for student in students]
    margins = [student.level / np.hypot(1, np.linalg.norm(student.slope)) for student in students]
    assert slopes == sorted(slopes)
    assert margins == sorted(margins, reverse=True)
    assert all(student.slope[1] != 0 for student in students)  # a probe at an angle prunes one side more
