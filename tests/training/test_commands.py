import json
import os
import signal
import sys
import tempfile

import pytest
from datasets import Dataset

from hf_prune.training.commands import read_command, read_result, run_command
from tests.helpers.forking import Line, ended, fork
from tests.helpers.scaling_sets import counting_command

ROWS = Dataset.from_dict({"x": [1, 2, 3, 4]})
JOB = {"size": 8, "keep": 0.5, "order": "hard", "draw": 1, "num_rows": 4, "seed": 7}


def test_the_contract(tmp_path):
    rows = Dataset.from_dict({"x": list(range(20))})
    answer = run_command(counting_command(tmp_path), rows, JOB | {"num_rows": 20})
    assert answer == (51, 200, {"group day": (51, 150), "group night": (25, 50)})  # 1000 / 20 rows, and the draw
    assert (tmp_path / "log").read_text() == "8 0.5 hard 1\n"


def test_the_rows_are_a_data_set():
    script = """
import json, pathlib, sys
from datasets import load_from_disk
folder = pathlib.Path(sys.argv[1])
wrong = sum(load_from_disk(str(folder / "rows"))["x"])
(folder / "result.json").write_text(json.dumps({"wrong": wrong, "total": 99}))
"""
    assert run_command([sys.executable, "-c", script], ROWS, JOB).wrong == 10


def test_no_shell_reads_the_command(tmp_path):
    bait = tmp_path / "bait"
    script = "import json, pathlib, sys; pathlib.Path(sys.argv[-1], 'result.json').write_text(json.dumps({'wrong': len(sys.argv), 'total': 9}))"
    words = [sys.executable, "-c", script, f"; touch {bait}", f"$(touch {bait})", "*"]
    assert run_command(words, ROWS, JOB).wrong == 5  # three words, "-c" and the folder
    assert not bait.exists()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("import sys; print('first'); sys.exit('no such GPU')", r"ended with 1 on .*: no such GPU"),
        ("pass", "left no result.json"),
    ],
)
def test_a_failure_is_told(script, message):
    with pytest.raises(ValueError, match=message):
        run_command([sys.executable, "-c", script], ROWS, JOB)


def test_a_program_that_is_not_there():
    with pytest.raises(ValueError, match="'no-such-program' cannot be started"):
        run_command(["no-such-program"], ROWS, JOB)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_ends_the_caller_ends_the_command_and_all_it_started(tmp_path, monkeypatch, number):
    line = Line(tmp_path / "pipe")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    # A training with a worker that hears of nothing; both hold the line.
    script = f"import os, signal; line = os.open({str(line.path)!r}, os.O_WRONLY); os.fork() or signal.signal(15, signal.SIG_IGN); os.write(line, b'here'); signal.pause()"

    def work():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        run_command([sys.executable, "-S", "-c", script], ROWS, JOB)

    process = fork(work)
    said = ""
    while said != "herehere":
        said += line.hear()
    os.kill(process, number)
    assert ended(process) == {signal.SIGTERM: -signal.SIGTERM, signal.SIGINT: 1}[number]
    assert line.hear() == ""
    assert list((tmp_path / "tmp").iterdir()) == []
    line.close()


@pytest.mark.parametrize(
    "found",
    [{"wrong": 3}, {"wrong": 3, "total": 2}, {"wrong": 0.5, "total": 1}, {"wrong": 1, "total": 2, "groups": [1]}, [1]],
)
def test_other_answers_are_refused(tmp_path, found):
    (tmp_path / "result.json").write_text(json.dumps(found))
    with pytest.raises(ValueError, match="the command left no"):
        read_result(tmp_path / "result.json")


@pytest.mark.parametrize("command", ["", [], "python 'open"])
def test_no_command(command):
    with pytest.raises(ValueError, match="command"):
        read_command(command)
