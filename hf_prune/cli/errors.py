"""What is the user's to mend is one line and exit code 2; what is a defect keeps its traceback and exits with 1."""

import dis
import os
import sys
import traceback
from types import TracebackType
from typing import Any

import typer

from hf_prune.cli.output import echo
from hf_prune.runtime.messages import one_line

EXIT_DEFECT, EXIT_USER_ERROR, EXIT_INTERRUPTED = 1, 2, 130


# The class of all errors about the command line itself, wherever this version of typer keeps it.
UsageError: type[Exception] = typer.BadParameter.__mro__[2]
# Packages whose deliberate errors about values are answers to what the user gave.
_SPEAKERS = ("hf_prune", "datasets", "huggingface_hub")


def report(error: BaseException, show_traceback: bool = False) -> int:
    """Print an error to stderr and return the exit code.

    Args:
        error: What ended the command.
        show_traceback: Whether a user's error keeps its traceback, too.

    Returns:
        2 for an error of the user's, 1 for a defect.
    """
    # Every process of a launcher reports, since any of them may be the one that failed.
    process = f"[process {os.environ['RANK']}] " if os.environ.get("RANK", "0") != "0" else ""
    if not is_user_error(error) or show_traceback:
        echo("".join(traceback.format_exception(error)), err=True)
    if not is_user_error(error):
        return EXIT_DEFECT
    echo(f"{process}error: {message(error)}", err=True)
    return EXIT_USER_ERROR


def message(error: BaseException) -> str:
    """The error on one line.

    Example:
        >>> message(KeyError("no such thing"))
        'no such thing'
    """
    if isinstance(error, UsageError):
        text = _usage_message(error)
    elif isinstance(error, KeyError) and error.args:
        text = str(error.args[0])  # str() of a KeyError quotes its message
    else:
        text = str(error)
    return one_line(text) or type(error).__name__


def _usage_message(error: Any) -> str:
    """What click says about a command line; typer carries its own copy of click from some version on."""
    near = getattr(error, "possibilities", None)
    option = getattr(error, "option_name", None)
    if option is not None and near is not None:
        text = f"unknown option {option!r}" + (f". Did you mean {near[0]!r}?" if near else "")
    else:
        text = str(error.format_message())
    path = error.ctx.command_path if getattr(error, "ctx", None) else "hf-prune"
    text = text if text.endswith(("?", ".")) else f"{text}."
    return f"{text} See '{path} --help'"


def is_user_error(error: BaseException) -> bool:
    """Say whether an error tells the user something, rather than the developers.

    Errors of the operating system and of the Hub always do. A ValueError and its like do where they were raised on
    purpose, by a ``raise`` in this package or in those that read and publish data sets; the same types coming from
    within an expression, or from deep inside another library, are defects.
    """
    if isinstance(error, UsageError | OSError):
        return True
    if not isinstance(error, ValueError | KeyError | TypeError | ImportError | RuntimeError):
        return False
    return _raised_on_purpose(error.__traceback__)


def _raised_on_purpose(trace: TracebackType | None) -> bool:
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    package = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
    return package in _SPEAKERS and dis.opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"


def interrupted() -> int:
    """Say that Ctrl-C was heard; what is finished lies in the cache."""
    sys.stderr.write("interrupted; run the same command again to go on from the cache\n")
    return EXIT_INTERRUPTED
