"""Plans: options that are checked, rows of epochs, and draws from any epoch on."""

import re

import numpy as np
import pytest

from hf_prune import InputError, InputTypeError
from hf_prune.dynamic_pruning.methods import Drawer, make_plan

LOSSES = np.linspace(0, 1, 10, dtype=np.float32)
WEIGHTS = np.arange(10.0)


@pytest.mark.parametrize(
    ("method", "keep", "options", "message"),
    [
        ("rs3", 0.5, {}, "unknown method 'rs3'. Did you mean 'rs2'?"),
        ("rs2", 0.0, {}, "keep=0.0 selects 0 of 10 rows"),
        ("rs2", 11, {}, "keep=11 of 10 rows"),
        ("rs2", 0.5, {"pool": 0.5}, "method='rs2' takes no pool=, only 'orderdp' does: leave it out"),
        ("rs2", 0.5, {"replacement": "yes"}, "replacement='yes'; give True or False"),
        ("infobatch", 0.5, {"delta": 0.0}, "delta=0.0; give a share in (0, 1]"),
        ("infobatch", 0.5, {"delta": True}, "delta=True; give a share"),
        ("orderdp", 0.5, {"pool": 0.4}, "pool=0.4 holds 4 rows and keep= takes 5 of them"),
        ("weighted", 0.5, {}, 'method="weighted" needs weights='),
        ("weighted", 0.5, {"weights": WEIGHTS[:9]}, "weights= of shape (9,) for 10 rows"),
        ("weighted", 0.5, {"weights": -WEIGHTS}, "finite and not negative"),
        ("weighted", 0.5, {"weights": WEIGHTS + np.inf}, "finite and not negative"),
        ("weighted", 1.0, {"weights": WEIGHTS}, "weights= has 9 rows above 0, keep= takes 10"),
    ],
)
def test_bad_options_are_refused(method, keep, options, message):
    with pytest.raises((InputError, KeyError), match=re.escape(message)):
        make_plan(method, keep, 10, 0, options)


def test_a_share_is_no_text():
    with pytest.raises(InputTypeError, match="keep='half' is a str"):
        make_plan("rs2", "half", 10, 0, {})


def test_rows_of_the_epochs_of_infobatch():
    """Eight epochs: the first has no losses to go by, and the eighth comes after 0.875 of them."""
    plan = make_plan("infobatch", 0.6, 10, 0, {})
    assert [plan.rows_of(epoch, 8) for epoch in range(8)] == [10, *[6] * 6, 10]
    assert [plan.rows_of(epoch, 10) for epoch in range(10)] == [10, *[6] * 7, 10, 10]
    assert [plan.rows_of(epoch, 1) for epoch in range(1)] == [10]
    assert [make_plan("infobatch", 0.6, 10, 0, {"delta": 1}).rows_of(epoch, 3) for epoch in range(3)] == [10, 6, 6]


def test_the_pool_of_orderdp():
    assert make_plan("orderdp", 0.25, 100, 0, {}).pool == 50
    assert make_plan("orderdp", 0.25, 100, 0, {"pool": 0.8}).pool == 80
    assert make_plan("orderdp", 1.0, 100, 0, {}).pool == 100


@pytest.mark.parametrize("method", ["rs2", "infobatch", "orderdp", "weighted"])
@pytest.mark.parametrize("replacement", [False, True])
def test_a_part_is_the_same_whichever_epochs_were_drawn_before(method, replacement):
    options = {"rs2": {"replacement": replacement}, "weighted": {"weights": WEIGHTS}}.get(method, {})
    plan = make_plan(method, 0.4, 10, 7, options)
    in_turn = Drawer(plan)
    parts = [in_turn.draw(epoch, 6, LOSSES).kept for epoch in range(6)]
    for epoch in (5, 2, 3):
        assert (Drawer(plan).draw(epoch, 6, LOSSES).kept == parts[epoch]).all()
        assert (in_turn.draw(epoch, 6, LOSSES).kept == parts[epoch]).all()
    other = Drawer(make_plan(method, 0.4, 10, 8, options))
    assert any((other.draw(epoch, 6, LOSSES).kept != part).any() for epoch, part in enumerate(parts))


@pytest.mark.parametrize("method", ["rs2", "infobatch", "orderdp", "weighted"])
def test_all_rows_are_all_rows(method):
    plan = make_plan(method, 1.0, 10, 0, {"weights": WEIGHTS + 1} if method == "weighted" else {})
    part = Drawer(plan).draw(3, 6, LOSSES)
    assert part.kept.all()
    assert part.weights is None
    assert not plan.needs_losses


def test_settings_are_plain_values():
    settings = make_plan("weighted", 0.4, 10, 7, {"weights": WEIGHTS}).settings()
    assert {**settings, "weights": None} == {
        "method": "weighted",
        "num_rows": 10,
        "budget": 4,
        "seed": 7,
        "replacement": False,
        "delta": 1.0,
        "pool": 0,
        "weights": None,
    }
    assert settings["weights"] != make_plan("weighted", 0.4, 10, 7, {"weights": WEIGHTS + 1}).settings()["weights"]


def test_epochs_have_the_rows_of_a_part_of_all_or_either():
    assert make_plan("rs2", 0.5, 10, 0, {}).lengths(4) == {5}
    assert make_plan("infobatch", 0.5, 10, 0, {}).lengths(4) == {5, 10}
    assert make_plan("infobatch", 0.5, 10, 0, {}).lengths(1) == {10}
    assert make_plan("orderdp", 1.0, 10, 0, {}).lengths(4) == {10}
