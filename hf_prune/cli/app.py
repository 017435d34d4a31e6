"""The application ``hf-prune``: its commands, and what happens when one fails."""

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from datasets.utils.logging import set_verbosity

from hf_prune.cli.errors import EXIT_INTERRUPTED, interrupted, report
from hf_prune.cli.inspections import add_advice, add_inspections
from hf_prune.cli.output import echo
from hf_prune.cli.published import add_published, add_trust
from hf_prune.cli.steps import add_steps
from hf_prune.cli.tools import add_tools
from hf_prune.cli.trainings import add_scaling, add_trainings
from hf_prune.runtime.folders import unwound_by_signals
from hf_prune.version import __version__


@dataclass
class _Session:
    show_traceback: bool = False


app = typer.Typer(
    name="hf-prune",
    help="Data pruning for Hugging Face datasets: score, prune, publish, with provenance.",
    invoke_without_command=True,  # then the callback shows the help
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        echo(f"hf-prune {__version__}")
        raise typer.Exit


@app.callback()
def _start(
    context: typer.Context,
    traceback: Annotated[
        bool, typer.Option("--traceback", envvar="HF_PRUNE_TRACEBACK", help="Show where an error comes from.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del version  # done by its callback
    if isinstance(context.obj, _Session):
        context.obj.show_traceback = traceback
    # What `datasets` logs before it raises says the same as the error that follows, on a line of its own.
    set_verbosity(logging.WARNING if traceback else logging.CRITICAL)
    if context.invoked_subcommand is None:
        echo(context.get_help())


add_trainings(app)
add_steps(app)
add_inspections(app)
add_advice(app)
add_tools(app)
add_published(app)
add_trust(app)
add_scaling(app)


def command() -> Any:
    """The command with its subcommands, as typer builds it; tests parse the commands of the documentation with it."""
    return typer.main.get_command(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        arguments: Words after ``hf-prune``; None takes those of the process.

    Returns:
        Exit code: 0, or 2 for an error that the user can mend (one line on stderr), 130 after Ctrl-C, 1 for a defect.
    """
    with unwound_by_signals():
        return _run(None if arguments is None else list(arguments))


def _run(words: list[str] | None) -> int:
    session = _Session()
    try:
        result = command().main(words, prog_name="hf-prune", standalone_mode=False, obj=session)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        return interrupted()
    except BrokenPipeError:
        # The reader of our output, such as head, has gone; Python would complain again on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except SystemExit as ended:  # how click ends when it met that pipe first
        return ended.code if isinstance(ended.code, int) else 1
    except Exception as error:  # the last resort of a program: told apart and reported, none is swallowed
        return report(error, session.show_traceback)
    if result == EXIT_INTERRUPTED:  # how newer versions of typer hand on Ctrl-C
        return interrupted()
    return result if isinstance(result, int) else 0
