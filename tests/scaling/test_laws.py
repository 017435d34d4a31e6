import numpy as np
import pytest

from hf_prune.scaling.laws import LAWS

PARAMETERS = {"power": [0.7], "power_floor": [0.7], "exponential": [0.3], "broken_power": [0.3, 1.2, 0.1]}


@pytest.mark.parametrize("name", LAWS)
def test_derivatives_are_those_of_differences(name):
    logs, parameters = np.log(np.array([0.3, 0.9, 1.2, 4.0])), np.array(PARAMETERS[name])
    _, derivatives = LAWS[name].shape(logs, parameters)
    for place in range(len(parameters)):
        step = np.zeros(len(parameters))
        step[place] = 1e-6
        above, below = (LAWS[name].shape(logs, parameters + sign * step)[0] for sign in (1, -1))
        np.testing.assert_allclose(derivatives[:, place], (above - below) / 2e-6, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", LAWS)
def test_starts_lie_within_the_bounds(name):
    law, logs = LAWS[name], np.log(np.array([0.1, 0.5, 1.0, 2.0, 8.0]))
    low, high = law.bounds(logs)
    assert len(low) == len(high) == len(law.names)
    for start in law.starts(logs):
        assert (np.array(low) <= start).all()
        assert (np.array(start) <= high).all()


def test_errors_by_hand():
    logs = np.log(np.array([1.0, 2.0, 4.0]))
    np.testing.assert_allclose(np.exp(LAWS["power"].shape(logs, np.array([1.0]))[0]), [1, 1 / 2, 1 / 4])
    np.testing.assert_allclose(LAWS["exponential"].shape(logs, np.array([0.5]))[0], [-0.5, -1, -2])
    # Far from its bend a broken law is either of its two; the bend at 1 is 20 widths away from exp(4).
    broken, _ = LAWS["broken_power"].shape(np.array([-4.0, 4.0]), np.array([0.5, 2.0, 0.0]))
    np.testing.assert_allclose(broken, [2.0, -8.0], atol=1e-6)


def test_parameters_are_counted_with_factor_and_floor():
    assert {name: law.num_parameters for name, law in LAWS.items()} == {
        "power": 2,
        "power_floor": 3,
        "exponential": 3,
        "broken_power": 4,
    }
