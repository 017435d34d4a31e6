"""Settings of heads: their ranges, what is left open, and those that records bring."""

import dataclasses

import pytest

from hf_prune.heads.settings import Heads, batch_size_for, num_epochs_for


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_heads": 0}, "num_heads=0; give an integer from 1 up, or None"),
        ({"num_epochs": 2.0}, "num_epochs=2.0; give an integer from 1 up"),
        ({"hidden": -1}, "hidden=-1; give an integer from 0 up"),
        ({"batch_size": True}, "batch_size=True; give an integer"),
        ({"subset": 0}, "subset=0; give a number in (0, 1], or None"),
        ({"subset": "70%"}, "subset='70%'; give a number in (0, 1]"),
        ({"learning_rate": float("nan")}, "learning_rate=nan; give a number above 0"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1; give a number from 0 up"),
        ({"seed": -1}, "seed=-1; give an integer"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is compared below
        Heads(**settings)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_what_is_left_open_depends_on_need_and_size():
    assert Heads().resolve("probs", 50_000) == Heads(10, 3, 256, 1.0, 0.003, 0.0, 256)
    assert Heads().resolve("dynamics", 1_797) == Heads(4, 15, 256, 1.0, 0.003, 0.0, 32)
    assert Heads().resolve("runs", 1_797) == Heads(200, 30, 256, 0.7, 0.003, 0.0, 32)
    assert Heads().resolve("runs", 5) == Heads(200, 60, 256, 0.7, 0.003, 0.0, 16)
    mine = Heads(1, 2, 0, 0.5, 0.1, 0.2, 7, 9)
    assert mine.resolve("runs", 50_000) == mine


@pytest.mark.parametrize(
    ("size", "round_up", "expected"),
    [
        (100, False, 10),
        (99, False, 10),
        (99, True, 11),
        (100, True, 10),
        (101, True, 10),
        (334, False, 3),
        (1, True, 12),
    ],
)
def test_epochs_by_hand(size, round_up, expected):
    assert num_epochs_for(size, 1000, 3, 12, round_up=round_up) == expected


@pytest.mark.parametrize(("rows", "expected"), [(0, 16), (543, 16), (544, 17), (8191, 255), (8192, 256), (10**9, 256)])
def test_batches_by_hand(rows, expected):
    assert batch_size_for(rows) == expected


def test_batches_of_heads_are_powers_of_two_of_their_own_rows():
    assert Heads().resolve("probs", 8191).batch_size == 128
    assert Heads(subset=0.5).resolve("probs", 16_384).batch_size == 256
    assert Heads(subset=0.5).resolve("probs", 16_382).batch_size == 128


def test_runs_that_were_given_their_epochs_keep_them():
    # Of 1,000 rows 700 are trained on, in steps of 16: 44 an epoch, 28 epochs make the 1,200 steps that are wanted.
    assert Heads().resolve("runs", 1000).num_epochs == 28
    assert Heads(num_epochs=2).resolve("runs", 1000).num_epochs == 2
    assert Heads().resolve("dynamics", 1000).num_epochs == 15


def test_a_subset_of_no_row_is_refused():
    assert Heads(subset=0.3).resolve("runs", 2).batch_size == 16  # one row
    with pytest.raises(ValueError, match=r"^subset=0\.3 of 1 rows is none; give a larger share$"):
        Heads(subset=0.3).resolve("runs", 1)


def test_settings_on_record_are_read_back():
    for heads in (Heads(), Heads(1000, 1000, 4096, 0.5, 0.1, 0.2, 65_536, 9)):
        assert Heads.from_record(dataclasses.asdict(heads)) == heads


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 3, "depth": 3}, "a record gives heads the setting 'depth', which they do not have"),
        ({3: 4}, "a record gives heads the setting '3', which they do not have"),
        ({"num_heads": 1001}, "a record asks for num_heads=1001: at most 1,000 are trained by its word"),
        ({"num_epochs": float("inf")}, "a record asks for num_epochs=inf: at most 1,000 are trained by its word"),
        ({"hidden": float("nan")}, "a record asks for hidden=nan: at most 4,096 are trained by its word"),
        ({"batch_size": 65_537}, "a record asks for batch_size=65537: at most 65,536 are trained by its word"),
        ({"num_heads": "many"}, "num_heads='many'; give an integer from 1 up, or None"),
        ({"seed": None}, "seed=None; give an integer"),
    ],
)
def test_what_a_record_may_not_ask_for(settings, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is compared below
        Heads.from_record(settings)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
