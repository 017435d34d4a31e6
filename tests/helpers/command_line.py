"""Fixtures of the tests of the command line: a folder with data sets, and two ways to run a line."""

import shlex
from pathlib import Path

import pytest
from datasets.utils.logging import get_verbosity, set_verbosity

from hf_prune.cli import main
from tests.helpers.tiny_publications import images, scored


@pytest.fixture
def verbosity_as_it_was():
    before = get_verbosity()
    yield
    set_verbosity(before)


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder to work in, with data sets in ``data`` (raw), ``scored`` and ``table.parquet``."""
    monkeypatch.chdir(tmp_path)
    images().save_to_disk("data")
    images().to_parquet("table.parquet")
    scored(images()).save_to_disk("scored")
    return tmp_path


@pytest.fixture
def hf(capsys, verbosity_as_it_was):
    """Run a command line; what it printed to stdout. Its exit code must be 0."""

    def run(line: str) -> str:
        code = main(shlex.split(line))
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return printed.out

    return run


@pytest.fixture
def refusal(capsys, verbosity_as_it_was):
    """Run a command line that must fail; its one line on stderr."""

    def run(line: str) -> str:
        capsys.readouterr()
        code = main(shlex.split(line))
        printed = capsys.readouterr()
        assert code == 2, printed
        assert printed.out == ""
        lines = [line for line in printed.err.splitlines() if line and "/s]" not in line]
        assert len(lines) == 1, lines
        assert lines[0].startswith("error: ")
        return lines[0]

    return run
