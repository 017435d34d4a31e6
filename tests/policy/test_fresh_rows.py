"""What RS2 gains beside a recommendation, by hits that are known."""

from types import SimpleNamespace

import numpy as np
import pytest

import hf_prune
from hf_prune.policy.features import Features
from hf_prune.policy.fresh_rows import check_equal, fresh_rows
from hf_prune.policy.judge import Judge
from hf_prune.policy.rules import RANDOM, Rule
from tests.helpers.weighed_sets import telling

HARD, JUDGED = Rule("hard"), 40
FEATURES = Features(np.arange(100), np.zeros((100, 2), np.float32), np.arange(100) % 2, 2)


class KnownTrial:
    """A trial in which RS2 gains 0.25 over random rows and loses as much against every rule; with more steps 0.1 more."""

    def __init__(self, equal, chance):
        self.repeat, self.equal, self.chance = SimpleNamespace(judged=np.arange(JUDGED)), equal, chance

    def fresh(self, rules, keep):
        assert keep == 0.3
        gains = np.float32([0.25, *[-0.25 for rule in rules if rule == HARD]]) + 0.1 * (self.equal == "steps")
        return np.tile(gains + self.chance, (JUDGED, 1)).astype(np.float32)


class KnownJudge(Judge):
    def trials(self, *, confirming, desc):
        assert (confirming, desc) == (True, "RS2")
        yield from (KnownTrial(self.equal, chance) for chance in (-0.05, 0.0, 0.05))


JUDGE = KnownJudge(FEATURES, lambda _: None, optimistic=False, class_balance=0.5, seed=0)


@pytest.mark.parametrize(("equal", "more"), [("epochs", 0.0), ("steps", 0.1)])
def test_gains_are_those_over_random_rows_and_over_the_rule(equal, more):
    found = fresh_rows(JUDGE, HARD, 0.3, equal)
    assert (found.keep, found.equal) == (0.3, equal)
    assert found.over_random.gain == pytest.approx(0.25 + more)
    assert found.over_kept.gain == pytest.approx(-0.25 + more)
    assert found.over_kept.low < found.over_kept.gain < found.over_kept.high


def test_where_random_rows_are_kept_there_is_one_gain():
    found = fresh_rows(JUDGE, RANDOM, 0.3, "epochs")
    assert found.over_kept == found.over_random
    assert found.over_random.gain == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rs2": True, "inputs": None}, r"no evidence on 'wrongness' in the history against rs2: pass encoder="),
        ({"rs2": "yes"}, r"^rs2='yes'; give True or False$"),
        ({"equal": "steps"}, r"^equal='steps' is how students of rs2 are compared: pass rs2=True, too"),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line(given, message):
    ds, points = telling()
    with pytest.raises(ValueError, match=message):
        hf_prune.recommend(ds, "wrongness", **{"keep": 0.5, "inputs": {"embeddings": points}} | given)


def test_what_trainings_have_in_common_is_one_of_two():
    check_equal("steps")
    with pytest.raises(ValueError, match=r"^equal='rows'; give 'epochs' or 'steps'$"):
        check_equal("rows")
