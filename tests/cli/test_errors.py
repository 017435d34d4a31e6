"""Which errors are the user's, which are defects, and how each is printed."""

import warnings
from pathlib import Path

import pytest
import typer
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub.errors import HFValidationError

import hf_prune
from hf_prune.cli import main
from hf_prune.cli.errors import interrupted, is_user_error, message, report, warnings_in_one_line
from hf_prune.runtime.errors import InputError, InputTypeError, MissingPackageError, StateError, UserError
from hf_prune.runtime.names import UnknownNameError

pytest_plugins = ["tests.helpers.command_line"]


def test_errors_are_one_line_whatever_they_quote(capsys):
    assert message(ValueError("a\nb\x1b[0m\u2028c")) == r"a b\x1b[0m c"
    assert message(UnknownNameError("a\nb")) == "a b"
    report(OSError("no\x1b[2K\nall 21 checks agree"))
    assert capsys.readouterr().err == "error: no\\x1b[2K all 21 checks agree\n"


@pytest.mark.usefixtures("verbosity_as_it_was")
def test_traceback_is_shown_on_demand(capsys, place):
    assert main(["--traceback", "score", "data", "el2m", "--out", "x"]) == 2
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert printed.splitlines()[-1].startswith("error: unknown metric 'el2m'")


@pytest.mark.parametrize(
    "defect", ["1 / 0", "None + 1", "{}['x']", "int('x')", "(_ for _ in ()).throw(ValueError('x'))"]
)
def test_a_defect_keeps_its_traceback(capsys, place, defect):
    @hf_prune.register_metric("defective")
    def defective(labels):
        """Fail."""
        return eval(defect)

    try:
        assert main(["score", "data", "defective", "--out", "x"]) == 1
    finally:
        hf_prune.unregister_metric("defective")
    assert "Traceback" in capsys.readouterr().err
    assert not Path("x").exists()


@pytest.mark.parametrize(
    ("error", "is_users"),
    [
        *((kind("x"), True) for kind in (UserError, InputError, InputTypeError, StateError, MissingPackageError)),
        (UnknownNameError("x"), True),
        (PermissionError("x"), True),
        (DatasetNotFoundError("x"), True),
        (HFValidationError("x"), True),
        (typer.BadParameter("x"), True),
        *((kind("x"), False) for kind in (ValueError, TypeError, KeyError, RuntimeError, ImportError, AssertionError)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_kinds_that_say_so_are_the_users(capsys, error, is_users):
    assert is_user_error(error) is is_users
    assert report(error) == (2 if is_users else 1)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ") is is_users


def test_a_users_error_keeps_its_traceback_where_it_is_asked_for(capsys):
    cause = OSError("gone")
    error = InputError("no such column")
    error.__cause__ = cause
    assert report(error, show_traceback=True) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "error: no such column"
    assert "OSError: gone" in lines
    assert "hf_prune.InputError: no such column" in lines


@pytest.mark.parametrize(("rank", "start"), [(None, "error: x"), ("0", "error: x"), ("3", "[process 3] error: x")])
def test_every_process_but_the_first_says_which_it_is(capsys, monkeypatch, rank, start):
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    report(InputError("x"))
    assert capsys.readouterr().err == f"{start}\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("metrics --nothing-like-it", "error: unknown option '--nothing-like-it'. See 'hf-prune metrics --help'"),
        ("--vresion", "error: unknown option '--vresion'. Did you mean '--version'? See 'hf-prune --help'"),
        (
            "cache clear --older",
            "error: unknown option '--older'. Did you mean '--older-than'? See 'hf-prune cache clear --help'",
        ),
    ],
)
def test_an_error_of_the_command_line_points_to_its_help(refusal, line, said):
    assert refusal(line) == said


def test_an_error_without_a_command_points_to_the_help_of_all():
    assert message(typer.BadParameter("give a number")) == "Invalid value: give a number. See 'hf-prune --help'"
    assert message(typer.BadParameter("a number?")) == "Invalid value: a number? See 'hf-prune --help'"
    assert message(typer.BadParameter("one\nline.")) == "Invalid value: one line. See 'hf-prune --help'"


def test_an_interrupt_says_how_to_go_on(capsys):
    assert interrupted() == 130
    assert capsys.readouterr() == ("", "interrupted; run the same command again to go on from the cache\n")


def test_warnings_are_one_line_in_words_of_the_command_line():
    before = warnings.formatwarning
    with warnings_in_one_line(lambda: {"keep": "--keep"}):
        assert (
            warnings.formatwarning("keep=0.5\nis little", UserWarning, "a.py", 3) == "warning: --keep 0.5 is little\n"
        )
        assert "a.py:3: DeprecationWarning: x" in warnings.formatwarning("x", DeprecationWarning, "a.py", 3)
    assert warnings.formatwarning is before
