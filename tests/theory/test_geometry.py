import math

import numpy as np
import pytest

from hf_prune.theory.geometry import half_width, kept_region, project


def sample(keep, theta, order, count=400_000):
    """Coordinates (v, w) of kept examples, label turned positive."""
    v, w = np.random.default_rng(3).standard_normal((2, count))
    v, w = np.abs(v), w * np.sign(v)
    output = np.abs(v * math.cos(theta) + w * math.sin(theta))
    edge = np.quantile(output, keep if order == "hard" else 1 - keep)
    kept = output <= edge if order == "hard" else output >= edge
    return v[kept], w[kept]


@pytest.mark.parametrize("order", ["hard", "easy"])
@pytest.mark.parametrize("theta", [0.0, 0.3, 1.2])
@pytest.mark.parametrize("turn", [0.0, 0.8, -0.5])
def test_moments_are_those_of_kept_examples(order, theta, turn):
    v, w = sample(0.3, theta, order)
    direction = (math.cos(turn), math.sin(turn))
    law = project(kept_region(0.3, theta, order), direction, 0.0, 0.0)
    along, across = v * direction[0] + w * direction[1], w * direction[0] - v * direction[1]
    exact = [law.mass.sum(), law.mass @ law.along, law.mass @ law.along**2]
    exact += [law.first.sum(), law.first @ law.along, law.second.sum()]
    drawn = [1, along.mean(), (along**2).mean(), across.mean(), (along * across).mean(), (across**2).mean()]
    assert exact[0] == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(exact, drawn, atol=0.015)


@pytest.mark.parametrize("keep", [1e-12, 1e-3, 0.3, 0.5, 0.999, 1 - 1e-12])
def test_the_strip_holds_the_fraction(keep):
    edge = half_width(keep)
    assert math.erf(edge / math.sqrt(2)) == pytest.approx(keep, rel=1e-14)


def test_nodes_stop_where_the_functions_vanish():
    law = project(kept_region(0.5, 0.3, "hard"), (1.0, 0.0), 1000.0, 2.0)
    assert law.along.max() < 0.013
