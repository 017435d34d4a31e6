"""Which rule is chosen, and whether it is confirmed, by gains that are known."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from hf_prune.policy.evidence import LINEAR, TWO_LAYER
from hf_prune.policy.features import Features
from hf_prune.policy.intervals import ONE_SET, Draw, intervals, paired_interval
from hf_prune.policy.judge import Judge
from hf_prune.policy.rules import RANDOM, Rule, rules_for
from hf_prune.policy.trial import CONFIRMING_FOLDS, NUM_FOLDS, NUM_REPEATS, Student

KEEP, NUM_TRIALS, JUDGED = 0.8, 5, 20
HARD, EASY, CUT = Rule("hard"), Rule("easy"), Rule("hard", 0.2)
UNSEEN = ONE_SET * 1.645 / CONFIRMING_FOLDS  # share of a gain by which its interval is wider at least
OFFSETS = np.linspace(-1, 1, NUM_TRIALS)  # of the trials from the mean, which is 0


class KnownTrial:
    """One trial, in which every judged row shows the same gain of each rule: a mean, and an offset of the trial."""

    def __init__(self, number, linear, two_layer, spread=0.0, student=()):
        self.repeat = SimpleNamespace(judged=np.arange(JUDGED))
        self.asked = []
        self._number, self._linear, self._two_layer, self._student = number, linear, two_layer, student
        self._offset = spread * OFFSETS[number]

    def _rows(self, gains):
        return np.tile(np.float32(gains), (JUDGED, 1)) + np.float32(self._offset)

    def linear(self, rules, _):
        return self._rows([self._linear.get(rule, -0.1) for rule in rules])

    def two_layer(self, rules, keep):
        self.asked.append((keep, list(rules)))
        return self._rows([self._two_layer[rule] for rule in rules])

    def two_layer_and_all(self, rules, _):
        """Random rows lose 0.03 against all rows."""
        gains = [self._two_layer[rule] for rule in rules]
        return self._rows([*gains, -0.03, *(gain - 0.03 for gain in gains)])

    def student_accuracy(self, student, rule=None, keep=1.0):
        """All rows are right in 0.9, random ones in 0.85."""
        self.asked.append((student.name, rule, keep))
        return 0.9 if rule is None else 0.85 + (rule != RANDOM) * self._student[self._number]


class KnownJudge(Judge):
    """Takes its trials from two lists: those that choose and those that confirm."""

    choosing: list
    confirming: list

    def trials(self, *, confirming, desc, most=None):  # noqa: ARG002  # which is shown on the bar
        yield from (self.confirming if confirming else self.choosing)[:most]


FEATURES = Features(np.arange(100), np.zeros((100, 2), np.float32), np.arange(100) % 2, 2)


def judge(choosing, confirming, *, optimistic=False, student=None):
    """Gains of the rules by head, (linear, two-layer), and more settings of the trials."""
    found = KnownJudge(FEATURES, None, optimistic, 0.5, 0, student)
    for name, settings in (("choosing", choosing), ("confirming", confirming)):
        trials = [KnownTrial(number, *settings[:2], **dict(settings[2:])) for number in range(NUM_TRIALS)]
        object.__setattr__(found, name, trials)
    return found


def judged(*args, **settings):
    [found] = judge(*args, **settings).judge([KEEP])
    return found


def test_the_best_with_the_two_layer_head_of_those_that_gain_with_a_linear_one_is_confirmed():
    linear = {HARD: 0.10, EASY: 0.05}
    two_layer = {HARD: 0.02, EASY: 0.03, CUT: 0.9}  # the cut rows never get there
    found = judged((linear, two_layer), ({EASY: 0.01}, {EASY: 0.04}))
    assert (found.keep, found.rule) == (KEEP, EASY)
    ends = (0.04 * (1 - UNSEEN), 0.04 * (1 + UNSEEN))
    assert (found.gain, found.low, found.high) == pytest.approx((0.04, *ends), rel=1e-3)
    assert (found.against_all.gain, found.against_all.rule) == (pytest.approx(0.01), EASY)
    assert (found.tried.gain, found.tried.rule, found.tried.head) == (pytest.approx(0.04), EASY, TWO_LAYER)
    by_head = {head: [item for item in found.candidates if item.head == head] for head in (LINEAR, TWO_LAYER)}
    assert [item.rule for item in by_head[LINEAR]] == rules_for(KEEP)
    assert {item.rule: item.gain for item in by_head[TWO_LAYER]} == pytest.approx({HARD: 0.02, EASY: 0.03})
    assert found.gain_of(EASY).gain == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("linear", "two_layer", "heads"),
    [
        ({}, {}, {LINEAR}),  # none gains with the linear head, and no other is trained
        ({HARD: 0.0}, {}, {LINEAR}),
        ({HARD: 0.1}, {HARD: -0.02}, {LINEAR, TWO_LAYER}),
        ({HARD: 0.1}, {HARD: 0.0}, {LINEAR, TWO_LAYER}),
    ],
)
def test_where_none_gains_with_both_heads_random_rows_are_kept(linear, two_layer, heads):
    found = judged((linear, two_layer), ({}, {}))
    assert (found.rule, found.gain, found.low, found.high, found.tried) == (RANDOM, 0.0, 0.0, 0.0, None)
    assert (found.against_all.rule, found.against_all.gain) == (RANDOM, pytest.approx(-0.03))
    assert {item.head for item in found.candidates} == heads


def test_a_rule_that_loses_where_it_was_not_chosen_is_reported_and_not_followed():
    found = judged(({HARD: 0.1}, {HARD: 0.1}), ({HARD: 0.1}, {HARD: -0.02}))
    assert (found.rule, found.gain) == (RANDOM, 0.0)
    assert (found.tried.rule, found.tried.gain) == (HARD, pytest.approx(-0.02))
    assert (found.against_all.rule, found.against_all.gain) == (RANDOM, pytest.approx(-0.03))


@pytest.mark.parametrize(("confirmed", "rule"), [(-0.05, RANDOM), (-0.01, RANDOM), (-0.009, HARD), (0.0, HARD)])
def test_the_linear_head_agrees_over_all_repeats(confirmed, rule):
    """It gained 0.01 where the rule was chosen: the two together have to be above 0."""
    assert judged(({HARD: 0.01}, {HARD: 0.1}), ({HARD: confirmed}, {HARD: 0.1})).rule == rule


@pytest.mark.parametrize(
    ("times", "plain", "optimistic"), [(0.9, RANDOM, RANDOM), (1.5, HARD, RANDOM), (2.7, HARD, HARD)]
)
def test_a_gain_is_beyond_its_interval_or_twice_where_the_scores_saw_the_labels(times, plain, optimistic):
    spread = 0.02
    draws = [Draw(np.arange(JUDGED), np.full((JUDGED, 1), spread * offset, np.float32)) for offset in OFFSETS]
    around = intervals(draws, 0)[0]
    gain = times * (around.mean - around.low)
    for told, rule in ((False, plain), (True, optimistic)):
        confirming = ({HARD: 0.1}, {HARD: gain}, ("spread", spread))
        found = judged(({HARD: 0.1}, {HARD: 0.1}), confirming, optimistic=told)
        assert found.rule == rule
        assert found.tried.gain == pytest.approx(gain, rel=1e-3)
        assert (found.tried.low > 0) == (times > ONE_SET)


@pytest.mark.parametrize(("gains", "rule"), [((0.02, 0.03, 0.01), HARD), ((0.02, -0.03, 0.02), RANDOM)])
def test_a_students_own_gains_decide(gains, rule):
    """Three repeats alone are asked, whatever the heads found."""
    student = Student(None, None, "mine")
    confirming = ({HARD: -0.9}, {HARD: 0.2}, ("student", gains))
    own = judge(({HARD: 0.1}, {HARD: 0.1}), confirming, student=student)
    [found] = own.judge([KEEP])
    assert found.rule == rule
    assert found.tried.head == found.against_all.head == "mine"
    assert (found.tried.gain, found.tried.low, found.tried.high) == pytest.approx(paired_interval(gains))
    assert found.gain == (pytest.approx(0.02) if rule == HARD else 0.0)
    lost = [gain - 0.05 for gain in gains] if rule == HARD else [-0.05] * 3
    against = found.against_all
    assert against.rule == rule
    assert (against.gain, against.low, against.high) == pytest.approx(paired_interval(lost))
    asked = [trial.asked for trial in own.confirming]
    each = [("mine", None, 1.0), ("mine", RANDOM, KEEP), ("mine", HARD, KEEP)]
    assert asked == [each] * NUM_REPEATS + [[]] * (NUM_TRIALS - NUM_REPEATS)


@pytest.mark.parametrize(
    ("rows_per_class", "linear", "rule"),
    [
        (5000, {CUT: -0.01}, HARD),  # the rule for where nothing was tried: rows are many
        (100, {CUT: -0.01}, EASY),  # they are few
        (500, {CUT: -0.01}, CUT),  # random rows there, and the linear head lost least by this one
    ],
)
def test_a_student_is_asked_where_no_rule_gains_with_heads(rows_per_class, linear, rule):
    student, confirming = Student(None, None, "mine"), ({}, {}, ("student", (0.02, 0.03, 0.01)))
    own = judge((linear, {}), confirming, student=student)
    codes = np.repeat([0, 1], rows_per_class)
    object.__setattr__(
        own, "features", Features(np.arange(len(codes)), np.zeros((len(codes), 2), np.float32), codes, 2)
    )
    [found] = own.judge([KEEP])
    assert (found.rule, found.tried.rule) == (rule, rule)
    assert found.gain == pytest.approx(0.02)


def test_a_student_trains_on_all_rows_once_for_several_fractions():
    own = judge(({}, {}), ({}, {}, ("student", (0.02, 0.03, 0.01))), student=Student(None, None, "mine"))
    own.judge([0.8, 0.5])
    keeps = [keep for _, _, keep in own.confirming[0].asked]
    assert keeps == [1.0, 0.8, 0.8, 0.5, 0.5]


def test_each_fraction_is_judged_by_itself():
    own = judge(({HARD: 0.1}, {HARD: 0.1, CUT: 0.2}), ({HARD: 0.1, CUT: 0.1}, {HARD: 0.1, CUT: 0.2}))
    for trial in own.choosing:
        trial.linear = lambda rules, keep, trial=trial: trial._rows(
            [0.1 if rule == (HARD if keep == 0.8 else CUT) else -0.1 for rule in rules]
        )
    assert [(found.keep, found.rule) for found in own.judge([0.8, 0.5])] == [(0.8, HARD), (0.5, CUT)]
    assert own.choosing[0].asked == [(0.8, [HARD]), (0.5, [CUT])]


def test_trials_score_the_rows_that_are_trained_on_alone():
    points = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    features = replace(FEATURES, rows=np.arange(100) + 1000, points=points)
    scored = []

    def scorer(rows):
        scored.append(rows)
        return np.ma.arange(float(len(rows)))

    own = Judge(features, scorer, False, 0.5, 0)
    for confirming in (False, True):
        scored.clear()
        trials = list(own.trials(confirming=confirming, desc="Trying"))
        assert len(trials) == 2 * (CONFIRMING_FOLDS if confirming else NUM_FOLDS)  # two splits
        for trial, rows in zip(trials, scored, strict=True):
            assert rows.tolist() == features.rows[trial.repeat.train].tolist()
            assert not set(trial.repeat.train) & set(trial.repeat.judged)
