"""Errors of a command: one line and exit code 2 where the user can mend them, a traceback and 1 for a defect."""

import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer
from datasets.exceptions import DatasetsError
from huggingface_hub.errors import HFValidationError

from hf_prune.cli.output import echo
from hf_prune.cli.words import in_message
from hf_prune.runtime.errors import UserError
from hf_prune.runtime.messages import one_line

EXIT_DEFECT, EXIT_USER_ERROR, EXIT_INTERRUPTED = 1, 2, 130

# The class of all errors about the command line itself, wherever this version of typer keeps it.
UsageError: type[Exception] = typer.BadParameter.__mro__[2]
# A ValueError and its like are defects unless their class says otherwise, also in a metric or an order of the user's.
USER_ERRORS = (UserError, UsageError, OSError, DatasetsError, HFValidationError)


def report(error: BaseException, show_traceback: bool = False, flags: Mapping[str, str] | None = None) -> int:
    """Print the error that ended a command to stderr; return 2 if the user can mend it, 1 for a defect.

    A defect has its traceback, a user's error where ``show_traceback`` asks for it. ``flags`` are the options of the
    command by their parameters: what a message says of these is said of those.
    """
    is_defect = not is_user_error(error)
    if is_defect or show_traceback:
        echo("".join(traceback.format_exception(error)), err=True)
    if is_defect:
        return EXIT_DEFECT
    # Every process of a launcher reports, since any of them may be the one that failed.
    process = f"[process {os.environ['RANK']}] " if os.environ.get("RANK", "0") != "0" else ""
    echo(f"{process}error: {message(error, flags)}", err=True)
    return EXIT_USER_ERROR


def is_user_error(error: BaseException) -> bool:
    """Whether an error tells the user what to mend, rather than the developers."""
    return isinstance(error, USER_ERRORS)


def message(error: BaseException, flags: Mapping[str, str] | None = None) -> str:
    r"""Write an error on one line, in the words of the command line.

    Example:
        >>> message(OSError("no such\nfile")), message(ValueError("keep=2; see hf_prune.prune"), {"keep": "--keep"})
        ('no such file', '--keep 2; see hf-prune prune')
    """
    said: Any = _usage_message(error) if isinstance(error, UsageError) else error
    return one_line(in_message(str(said), flags or {}) or said)


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


@contextmanager
def warnings_in_one_line(flags: Callable[[], Mapping[str, str]]) -> Iterator[None]:
    """Have warnings for the user printed in one line of the words of the command line, without a place in the code.

    Args:
        flags: As for `report`, of the command that runs when a warning is given.
    """
    formatted = warnings.formatwarning

    def one(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        if not issubclass(category, UserWarning):  # for developers
            return formatted(message, category, filename, lineno, line)
        return f"warning: {one_line(in_message(str(message), flags()))}\n"

    warnings.formatwarning = one
    try:
        yield
    finally:
        warnings.formatwarning = formatted


def interrupted() -> int:
    """Report Ctrl-C and return the exit code; what is finished lies in the cache."""
    sys.stderr.write("interrupted; run the same command again to go on from the cache\n")
    return EXIT_INTERRUPTED
