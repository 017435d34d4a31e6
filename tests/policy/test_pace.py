import pytest

from hf_prune.policy import pace
from hf_prune.policy.pace import Pace, measure_pace


def test_seconds_follow_work_steps_and_what_else_runs():
    free = Pace(products=100.0, step=0.5, crowding=1.0, num_threads=1)
    assert free.seconds(150.0, 4) == pytest.approx(150 / (pace.SHARE * 100) + 2.0)
    assert Pace(100.0, 0.5, 3.0, 1).seconds(150.0, 4) == pytest.approx(3 * free.seconds(150.0, 4))
    assert Pace(100.0, 0.5, 1.0, 4).seconds(150.0, 0) == pytest.approx(free.seconds(150.0, 0) / 4**pace.BY_THREADS)


def test_the_pace_is_measured_by_the_clock_of_the_processor(monkeypatch):
    """On a machine that gives this process a quarter of its time, where a product and a step take as long as they are."""
    seconds = {"clock": 0.0, "own": 0.0}

    def spend(own: float) -> None:
        seconds["own"] += own
        seconds["clock"] += 4 * own

    monkeypatch.setattr(pace.time, "perf_counter", lambda: seconds["clock"])
    monkeypatch.setattr(pace.time, "thread_time", lambda: seconds["own"])
    monkeypatch.setattr(pace.np, "matmul", lambda *_, **__: spend(0.01))
    monkeypatch.setattr("hf_prune.heads.training.train", lambda *_: spend(0.05))
    found = measure_pace()
    assert found.products == pytest.approx(256 * 256 * 128 / 0.01)
    assert found.step == pytest.approx(0.05 / pace._SMALL[-1])
    assert found.crowding == pytest.approx(4.0)


def test_a_machine_without_time_is_given_up_on(monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr(pace.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(pace.time, "thread_time", lambda: 0.0)
    assert measure_pace().crowding > 1000


def test_a_real_machine_has_a_pace():
    found = measure_pace()
    assert found.products > 1e6
    assert 0 < found.step < 1
    assert found.crowding >= 1
