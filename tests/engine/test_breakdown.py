import time

import datasets
import pytest

from hf_prune.engine.breakdown import Breakdown, Pass, finish, trial_passes
from tests.helpers.clock import Clock
from tests.helpers.tiny_sets import WEIGHTS, make_model, make_set, noise, run, to_tensor


@pytest.fixture
def clock(monkeypatch):
    own = Clock()
    monkeypatch.setattr(time, "perf_counter", own)
    return own


def test_parts_add_up(clock):
    seconds = Breakdown(read=1.0)
    with seconds.timed("write"):
        clock.now += 2.0
    seconds.add(read=0.5, forward=3.0)
    assert seconds + seconds == Breakdown(read=3.0, forward=6.0, write=4.0)
    assert str(seconds) == (
        "read 1.5, decode 0.0, preprocess 0.0, waiting 0.0, open 0.0, transfer 0.0, forward 3.0, write 2.0"
    )


def test_a_block_that_fails_is_counted(clock):
    seconds = Breakdown()

    def fail():
        with seconds.timed("forward"):
            clock.now += 1.0
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert seconds.forward == 1.0


def test_a_pass_knows_where_its_seconds_went(clock, tmp_path):
    def load(device):
        clock.now += 7.0

        def forward(batch):
            clock.now += len(batch)
            return batch @ WEIGHTS

        return forward, lambda: None

    def collate(images):
        clock.now += 0.5 * len(images)
        return to_tensor(images)

    ds, model = make_set(noise(10)), make_model(load=load, collate=collate)
    whole = Breakdown(preprocess=5.0, open=7.0, forward=10.0)
    assert run(ds.select(range(4)), model, store_root=tmp_path).seconds.forward == 4.0
    with trial_passes() as passes:
        assert run(ds, model, store_root=tmp_path).seconds == whole
    assert passes == [Pass("Running the model", 10, 4, 10, whole, 4, 4.0, 0, 5, 4)]
    assert run(ds, model, store_root=tmp_path).computed == 6  # the trial kept nothing
    with trial_passes() as passes:
        run(ds, model, store_root=tmp_path)
    assert (passes[0].known, passes[0].computed, passes[0].seconds) == (10, 0, Breakdown())


def test_workers_send_their_seconds_along():
    seconds = run(make_set(noise(10)), num_workers=1).seconds
    assert min(seconds.read, seconds.decode, seconds.preprocess, seconds.waiting, seconds.forward) > 0


def test_the_line_is_printed_once_where_bars_are_on(capfd):
    done = Pass("Embedding", 1234, 0, 1234, Breakdown(), 64, 0.0, 0, 5, 4)
    finish(done)
    line = "Embedding: 1,234 images, in s: read 0.0, decode 0.0, preprocess 0.0, waiting 0.0, open 0.0, transfer"
    assert capfd.readouterr().err.startswith(line)
    finish(Pass("Embedding", 9, 9, 0, Breakdown(), 0, 0.0, 0, 5, 4))
    finish(done, shown=False)
    with trial_passes() as passes:
        finish(done)
    datasets.disable_progress_bars()
    try:
        finish(done)
    finally:
        datasets.enable_progress_bars()
    assert capfd.readouterr().err == ""
    assert passes == [done]
