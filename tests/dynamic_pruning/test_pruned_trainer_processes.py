"""Pruned trainings in real processes: two that torchrun launches, and one that is killed."""

import json
import signal

import numpy as np
import pytest
import torch

from tests.helpers.process_parent import ON_CPU, fork_jobs
from tests.helpers.pruned_jobs import KEEP
from tests.helpers.pruned_trainings import METHODS, flat, start
from tests.helpers.watched_trainings import weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder in which two processes have trained."""
    folder = tmp_path_factory.mktemp("two")
    fork_jobs("tests.helpers.pruned_jobs", folder, ON_CPU)
    return folder


@pytest.fixture(scope="module")
def two(folder):
    """What the two processes told."""
    return [json.loads((folder / f"told-{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_see_the_rows_of_one_and_learn_the_same(method, two, tmp_path):
    """The mean of two gradients of four weighted rows is that of eight, so the weights and later draws are those of one."""
    trainer, report = start(tmp_path, method, keep=KEEP)
    trainer.train()
    ranks = [told[method] for told in two]
    for epoch, batches in enumerate(trainer.epochs):
        shares = [rank["epochs"][epoch] for rank in ranks]
        assert [sorted(flat(parts)) for parts in zip(*shares, strict=True)] == [sorted(batch) for batch in batches]
    np.testing.assert_allclose(ranks[0]["weights"], weights(trainer), rtol=1e-3, atol=1e-5)  # sums in another order
    assert [rank["rows"] for rank in ranks] == [[epoch.rows for epoch in report.epochs]] * 2
    assert {rank["steps"] for rank in ranks} == {trainer.state.global_step}
    assert ranks[0]["weights"] == ranks[1]["weights"]


def test_two_processes_resume_within_an_epoch(two):
    for told in two:
        batches = flat(told["infobatch"]["epochs"])
        assert flat(told["resumed"]["epochs"]) == batches[4:]
        assert told["resumed"]["weights"] == told["infobatch"]["weights"]
        assert told["resumed"]["rows"] == told["infobatch"]["rows"]


def test_a_killed_training_resumes_with_the_rows_of_an_undisturbed_one(folder, two, tmp_path):
    assert two[0]["killed"] == -signal.SIGKILL
    before = [json.loads(line) for line in (folder / "killed" / "rows.jsonl").read_text().splitlines()]
    whole, report = start(tmp_path, "infobatch", keep=KEEP)
    whole.train()
    batches = [batch for epoch in whole.epochs for batch in epoch]
    assert [rows for _, rows in before] == batches[:4]
    trainer, resumed = start(folder / "killed", "infobatch", keep=KEEP)
    trainer.train(resume_from_checkpoint=True)
    assert flat(trainer.epochs) == batches[3:]
    assert torch.equal(weights(trainer), weights(whole))
    assert [epoch.rows for epoch in resumed.epochs] == [epoch.rows for epoch in report.epochs]
