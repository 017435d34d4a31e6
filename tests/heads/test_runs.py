"""Heads on embeddings: settings, subsets, what records hold, memorization of a wrong label, files, kills and processes."""

import json
import pickle
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

import hf_prune
from hf_prune.heads.runs import train_heads
from hf_prune.heads.settings import Heads
from hf_prune.metrics import get_metric
from hf_prune.runtime.threads import one_thread
from tests.helpers.heads_jobs import RUNS, blobs, hits_of, runs
from tests.helpers.process_parent import ON_CPU, fork_jobs

FAST = {"num_epochs": 3, "hidden": 8, "batch_size": 16, "learning_rate": 0.02}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory) -> tuple[Path, dict[str, int]]:
    """The folder in which the jobs worked, and by job how its process ended."""
    folder = tmp_path_factory.mktemp("jobs")
    fork_jobs("tests.helpers.heads_jobs", folder, ON_CPU)
    return folder, json.loads((folder / "codes.json").read_text())


@pytest.fixture(scope="module")
def alone():
    return runs()


def train(heads=None, **options):
    points, labels = blobs()
    return train_heads(points, labels, heads or Heads(num_heads=3, **FAST), **options)


def test_the_face_of_the_package_shows_them():
    assert (hf_prune.Heads, hf_prune.train_heads) == (Heads, train_heads)


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ((np.zeros((3, 2)), [0, 1]), {}, "embeddings (3, 2) and labels (2,); give (n, d) and (n,)"),
        ((np.zeros(3), [0, 1, 0]), {}, "embeddings (3,) and labels (3,)"),
        (([[1.0], [np.nan]], [0, 1]), {}, "the embedding of row 1 is not finite"),
        (([[1.0], [2.0]], [0.0, 1.0]), {}, "labels are float64; give integers from 0"),
        (([[1.0], [2.0]], [0, -1]), {}, "2 classes, 1 labels outside [0, 2) (row 1: -1)"),
        (([[1.0], [2.0]], [0, 2]), {"num_classes": 2}, "2 classes, 1 labels outside [0, 2) (row 1: 2)"),
        (
            ([[1.0], [2.0]], [0, 0]),
            {"num_classes": 1},
            "1 classes, 0 labels outside [0, 1); two classes are the least",
        ),
        (([[1.0], [2.0]], [0, 1]), {"need": "logits"}, "need='logits'; give one of probs, dynamics, runs"),
        (([[1.0], [2.0]], [0, 1]), {"heads": Heads(subset=0.1)}, "subset=0.1 of 2 rows is none"),
        (([[1.0], [2.0]], [0, 1]), {"test_labels": [0]}, "a test set has test_embeddings and test_labels"),
        (
            ([[1.0], [2.0]], [0, 1]),
            {"test_embeddings": [[1.0, 2.0]], "test_labels": [0]},
            "test_embeddings have 2 dimensions, embeddings 1",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays, options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is compared below
        train_heads(*arrays, **options)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("subset", "count"), [(0.7, 84), (0.5, 60), (0.008, 1), (0.33, 40), (1.0, 120)])
def test_subsets_have_exactly_their_share_of_the_rows(subset, count):
    made = train(Heads(num_heads=6, subset=subset, **FAST | {"num_epochs": 1}))
    trained_on = np.stack([record.trained_on for record in made.records])
    assert (trained_on.sum(axis=1) == count).all()
    assert len(np.unique(trained_on, axis=0)) == (6 if 1 < count < 120 else len(np.unique(trained_on, axis=0)))
    assert made.heads.subset == subset


def test_each_row_is_in_its_share_of_the_subsets():
    made = train(Heads(num_heads=200, subset=0.7, hidden=0, num_epochs=1, batch_size=84))
    often = np.sum([record.trained_on for record in made.records], axis=0)
    spread = np.sqrt(200 * 0.7 * 0.3)
    assert abs(often.mean() - 140) < 1e-9
    assert np.abs(often - 140).max() < 4.5 * spread
    assert 0.7 * spread < often.std() < 1.3 * spread


def test_a_wrong_label_is_memorized_by_heads_that_fit_and_not_by_linear_ones():
    points, labels = blobs(noise=0.3)
    wrong = np.arange(0, 120, 12)
    labels[wrong] = (labels[wrong] + 1) % 3
    found = {}
    for hidden in (64, 0):
        made = train_heads(points, labels, Heads(num_heads=30, hidden=hidden, num_epochs=60, learning_rate=0.01))
        trained_on, hits = (
            np.stack(found) for found in zip(*((r.trained_on, r.hits) for r in made.records), strict=True)
        )
        found[hidden] = made.fit, get_metric("memorization").function(trained_on, hits)
    fit, memorized = found[64]
    assert fit > 0.99
    assert set(wrong) <= set(np.argsort(-memorized)[:24])  # the hardest fifth
    assert memorized[wrong].mean() > 0.7 > 0.3 > np.delete(memorized, wrong).mean()
    assert found[0][0] < 0.95
    assert found[0][1][wrong].mean() < 0.3


def test_a_head_does_not_depend_on_how_many_there_are_or_on_threads(alone):
    for threads in (1, 3):
        with one_thread():
            torch.set_num_threads(threads)
            fewer = runs(num_heads=3)
        assert [hits_of(record) for record in fewer.records] == [hits_of(record) for record in alone.records[:3]]
    assert hits_of(runs(num_heads=1, seed=1).records[0]) != hits_of(alone.records[0])


def test_random_numbers_of_the_program_stay():
    state = torch.random.get_rng_state()
    train()
    assert torch.equal(torch.random.get_rng_state(), state)


def test_processes_share_the_heads_and_all_have_all_of_them(jobs, alone):
    folder, codes = jobs
    expected = [hits_of(record) for record in alone.records]
    for rank in range(2):
        assert codes[f"rank-{rank}"] == 0
        found, _ = pickle.loads((folder / f"{rank}.pickle").read_bytes())
        assert [hits_of(record) for record in found.records] == expected
        assert found.fit == alone.fit
    assert len(list((folder / "kept").rglob("head-*"))) == RUNS


def test_a_failure_in_one_process_is_raised_in_all(jobs):
    folder, _ = jobs
    messages = [pickle.loads((folder / f"{rank}.pickle").read_bytes())[1] for rank in range(2)]
    assert messages[1].startswith("NotADirectoryError")
    assert messages[0].startswith("OSError: process 1: ")


def test_a_killed_run_goes_on_where_it_stopped(jobs, alone):
    folder, codes = jobs
    assert codes["killed"] == -signal.SIGKILL
    before = {path: path.stat().st_mtime_ns for path in (folder / "killed").rglob("head-*")}
    assert 0 < len(before) < RUNS
    resumed = runs(folder=folder / "killed")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert [hits_of(record) for record in resumed.records] == [hits_of(record) for record in alone.records]
