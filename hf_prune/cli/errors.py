"""Errors of a command: one line and exit code 2 where the user can mend them, a traceback and 1 for a defect."""

import os
import sys
import traceback
from typing import Any

import typer
from datasets.exceptions import DatasetsError
from huggingface_hub.errors import HFValidationError

from hf_prune.cli.output import echo
from hf_prune.runtime.errors import UserError
from hf_prune.runtime.messages import one_line

EXIT_DEFECT, EXIT_USER_ERROR, EXIT_INTERRUPTED = 1, 2, 130

# The class of all errors about the command line itself, wherever this version of typer keeps it.
UsageError: type[Exception] = typer.BadParameter.__mro__[2]
# A ValueError and its like are defects unless their class says otherwise, also in a metric or an order of the user's.
USER_ERRORS = (UserError, UsageError, OSError, DatasetsError, HFValidationError)


def report(error: BaseException, show_traceback: bool = False) -> int:
    """Print the error that ended a command to stderr; return 2 if the user can mend it, 1 for a defect.

    A defect has its traceback, a user's error where ``show_traceback`` asks for it.
    """
    is_defect = not is_user_error(error)
    if is_defect or show_traceback:
        echo("".join(traceback.format_exception(error)), err=True)
    if is_defect:
        return EXIT_DEFECT
    # Every process of a launcher reports, since any of them may be the one that failed.
    process = f"[process {os.environ['RANK']}] " if os.environ.get("RANK", "0") != "0" else ""
    echo(f"{process}error: {message(error)}", err=True)
    return EXIT_USER_ERROR


def is_user_error(error: BaseException) -> bool:
    """Whether an error tells the user what to mend, rather than the developers."""
    return isinstance(error, USER_ERRORS)


def message(error: BaseException) -> str:
    r"""Write an error on one line.

    Example:
        >>> message(OSError("no such\nfile"))
        'no such file'
    """
    return one_line(_usage_message(error) if isinstance(error, UsageError) else error)


def _usage_message(error: Any) -> str:
    # By attributes, since typer carries its own copy of click from some version on.
    near = getattr(error, "possibilities", None)
    option = getattr(error, "option_name", None)
    if option is not None and near is not None:
        text = f"unknown option {option!r}" + (f". Did you mean {near[0]!r}?" if near else "")
    else:
        text = str(error.format_message())
    path = error.ctx.command_path if getattr(error, "ctx", None) else "hf-prune"
    text = text if text.endswith(("?", ".")) else f"{text}."
    return f"{text} See '{path} --help'"


def interrupted() -> int:
    """Report Ctrl-C and return the exit code; what is finished lies in the cache."""
    sys.stderr.write("interrupted; run the same command again to go on from the cache\n")
    return EXIT_INTERRUPTED
