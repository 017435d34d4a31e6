"""When scoring has paid."""

import pytest
from transformers.trainer_utils import TrainOutput

from hf_prune import InputTypeError, break_even
from hf_prune.policy.break_even import BreakEven


def test_by_hand():
    """Scoring takes 100 s; a training of 50 s on all rows takes 30 s on six tenths of them, so it saves 20 s."""
    for found in (break_even(100, 50, keep=0.6), break_even(100, 50, 30)):
        assert (found.scoring, found.saved, found.trainings) == (100, pytest.approx(20), pytest.approx(5))
    assert str(break_even(101, 50, 30)) == "scoring pays after 6 training(s)"
    assert str(break_even(0, 50, 30)) == "scoring pays after 1 training(s)"
    assert str(BreakEven(1, 2, of="30 epochs")) == "scoring pays after 1 training(s) of 30 epochs"


def test_measured_trainings():
    class Report:  # as of prune_while_training
        seconds = 12.0

    whole = TrainOutput(10, 0.5, {"train_runtime": 20.0})
    assert break_even(16.0, whole, Report()).trainings == 2


@pytest.mark.parametrize("pruned", [50, 60])
def test_what_saves_nothing_never_pays(pruned):
    found = break_even(1, 50, pruned)
    assert found.trainings is None
    assert str(found) == "scoring never pays: no training is shorter for it"


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ((1, 2), {}, "either pruned=, .* or keep="),
        ((1, 2, 1), {"keep": 0.5}, "either pruned=, .* or keep="),
        ((1, 2), {"keep": 0}, r"keep=0; give the share .* in \(0, 1\]"),
        ((1, 2), {"keep": 1.5}, "keep=1.5"),
        ((1, -2), {"keep": 0.5}, "training=-2; give seconds"),
        ((float("nan"), 2), {"keep": 0.5}, "scoring=nan"),
    ],
)
def test_bad_figures_are_refused(given, options, message):
    with pytest.raises(ValueError, match=message):
        break_even(*given, **options)


def test_what_holds_no_seconds_is_refused():
    with pytest.raises(InputTypeError, match="scoring=TrainOutput holds no seconds"):
        break_even(TrainOutput(1, 0.0, {}), 2, keep=0.5)
