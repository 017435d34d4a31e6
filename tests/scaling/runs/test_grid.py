import shutil
import signal
import sys
from functools import partial

import numpy as np
import pytest

from hf_prune import Heads, measure_scaling
from hf_prune.runtime.folders import FolderInUseError, owned
from hf_prune.scaling.runs import read_runs
from tests.helpers.process_parent import call_in_forks
from tests.helpers.scaling_sets import counting_command, make_rows

SMALL = {"sizes": (40, 80), "keeps": (0.5,), "num_draws": 2}


@pytest.fixture(scope="module")
def sets():
    return (*make_rows(160, 0), *make_rows(90, 1))


def study(sets, folder, metric="difficulty", **options):
    ds, points, test, test_points = sets
    given = {"test_dataset": test, "inputs": {"embeddings": points}, "test_inputs": {"embeddings": test_points}}
    return measure_scaling(ds, metric, folder=folder, **{**given, **SMALL, "num_epochs": 4, **options})


@pytest.fixture(scope="module")
def made(sets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return study(sets, folder, group_column="time"), folder


def test_a_launcher_is_refused_before_its_processes_write_into_one_folder(sets, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match=r"^scaling studies run in one process: start this without a launcher$"):
        study(sets, tmp_path)
    assert not list(tmp_path.iterdir())


def test_every_cell_is_there_once(made):
    runs, folder = made
    cuts = [(0.5, "hard"), (0.5, "easy"), (0.5, "random"), (1.0, "full")]
    assert [run.key for run in runs] == [(s, *cut, d) for s in (40, 80) for cut in cuts for d in (0, 1)]
    assert {(run.size, run.keep, run.num_rows) for run in runs} == {
        (40, 0.5, 20),
        (40, 1, 40),
        (80, 0.5, 40),
        (80, 1, 80),
    }
    assert sorted(read_runs(folder / "results.csv"), key=lambda run: str(run)) == sorted(
        runs, key=lambda run: str(run)
    )


def test_groups_share_out_the_test_rows(made):
    for run in made[0]:
        assert set(run.groups) == {"class cat", "class dog", "class owl", "group day", "group night"}
        for kind in ("class ", "group "):
            counts = np.array([pair for name, pair in run.groups.items() if name.startswith(kind)]).sum(axis=0)
            assert counts.tolist() == [run.wrong, run.total]
        assert run.scored_on == "all rows"
        assert run.student == "linear student"


def test_a_second_call_trains_only_what_is_missing(made, sets, tmp_path):
    runs, folder = made
    before = (folder / "results.csv").read_bytes()
    again = study(sets, folder, group_column="time")
    assert again == runs
    assert (folder / "results.csv").read_bytes() == before
    longer = tmp_path / "longer"
    shutil.copytree(folder, longer)
    more = study(sets, longer, group_column="time", num_draws=3)
    assert [run for run in more if run.draw < 2] == runs
    assert (longer / "results.csv").read_bytes().startswith(before)


def test_another_study_is_kept_apart(made, sets):
    with pytest.raises(ValueError, match="holds results of another study"):
        study(sets, made[1], group_column="time", seed=1)


def test_metrics_of_teachers_are_scored_anew_by_heads(sets, tmp_path):
    heads = Heads(num_heads=2, num_epochs=1, hidden=0)
    runs = study(sets, tmp_path, "el2n", teachers=heads, sizes=(40,), hidden=4)
    assert {run.scored_on for run in runs} == {"initial set"}
    assert {run.student for run in runs} == {"student with 4 hidden units"}


def test_another_process_is_refused_while_a_study_writes(sets, tmp_path):
    with (
        owned(tmp_path),
        pytest.raises(FolderInUseError, match=r"is writing to .*; wait for it, or give"),
    ):
        study(sets, tmp_path, "difficulty", sizes=(40,))
    assert list(tmp_path.iterdir()) == []


def test_a_killed_study_goes_on(tmp_path):
    # The command of the fifth training kills the study; the four before it are in the file and are not trained again.
    ds, _ = make_rows(60, 0)
    plain = counting_command(tmp_path)
    script = f"""
import os, signal, subprocess, sys
sys.argv.pop(0)
log = {str(tmp_path / "log")!r}
if os.path.exists(log) and len(open(log).readlines()) == 4 and not os.path.exists(log + "-killed"):
    open(log + "-killed", "w").close()
    os.kill(os.getppid(), signal.SIGKILL)
    sys.exit(1)
sys.exit(subprocess.call({plain!r} + sys.argv[-1:]))
"""
    (tmp_path / "killer.py").write_text(script)
    asked = {"folder": str(tmp_path / "out"), "sizes": [20], "keeps": [0.5], "num_draws": 2}
    asked["command"] = [sys.executable, str(tmp_path / "killer.py")]
    call = partial(measure_scaling, ds, "difficulty", **asked)
    assert call_in_forks([(call, ())], tmp_path, {}) == [-signal.SIGKILL], (tmp_path / "said").read_text()
    assert len(read_runs(tmp_path / "out" / "results.csv")) == 4
    call()
    trained = (tmp_path / "log").read_text().splitlines()
    assert len(trained) == len(set(trained)) == 8
    runs = read_runs(tmp_path / "out" / "results.csv")
    assert len(runs) == 8
    assert all(run.wrong == 1000 // run.num_rows + run.draw for run in runs)
    assert set(runs[0].groups) == {"group day", "group night"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": (1000,)}, "from 2 to the 160 rows"),
        ({"keeps": (1.0,)}, r"fractions in \(0, 1\)"),
        ({"num_draws": 1}, "at least 2"),
        ({"test_dataset": None}, "pass test_dataset=, or command="),
        ({"metric": "no_such"}, "no_such"),
        ({"num_prototypes": 3}, "for scoring anew"),
        ({"teachers": "pixels"}, "give 'heads' or Heads"),
        ({"group_column": "season"}, "season"),
    ],
)
def test_refuses(sets, tmp_path, options, message):
    with pytest.raises((ValueError, KeyError), match=message):
        study(sets, tmp_path, **options)
