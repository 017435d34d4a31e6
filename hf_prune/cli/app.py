"""The application ``hf-prune``: its commands, and what happens when one fails."""

import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from datasets.utils.logging import set_verbosity
from typer.core import TyperGroup

from hf_prune.cli import inspections, published, steps, tools, trainings
from hf_prune.cli.errors import EXIT_INTERRUPTED, interrupted, report, warnings_in_one_line
from hf_prune.cli.output import echo, with_json
from hf_prune.runtime.folders import unwound_by_signals
from hf_prune.version import __version__

# Heading of the help → its commands, in the order in which they are used.
GROUPS = {
    "Train": ("train-teachers", "train-subset-runs"),
    "Score": ("metrics", "estimate", "score", "merge", "combine", "load-scores", "correlate"),
    "Clean": ("duplicates", "leaks", "label-noise"),
    "Prune": ("recommend", "keep-curve", "prune", "apply", "explain", "report"),
    "Publish": ("export", "push", "push-teacher"),
    "Check": ("verify", "rebuild"),
    "Workflows and studies": ("demo", "run", "scaling", "cache"),
}
_UNCUT = 1000  # characters of a command's sentence, which is wrapped and not shortened


class _GroupedHelp(TyperGroup):
    def format_commands(self, ctx: Any, formatter: Any) -> None:
        del ctx  # the commands are the same in every context
        with formatter.section("Commands"):
            for heading, names in GROUPS.items():
                with formatter.section(heading):
                    formatter.write_dl([(name, self.commands[name].get_short_help_str(_UNCUT)) for name in names])


app = typer.Typer(
    name="hf-prune",
    cls=_GroupedHelp,
    help="Data pruning for Hugging Face datasets: score, prune, publish, with provenance.",
    invoke_without_command=True,  # then the callback shows the help
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
    context.ensure_object(dict).update(traceback=traceback, command=context.invoked_subcommand)
    # What `datasets` logs before it raises says the same as the error that follows, on a line of its own.
    set_verbosity(logging.WARNING if traceback else logging.CRITICAL)
    if context.invoked_subcommand is None:
        echo(context.get_help())


for _commands in (
    trainings.COMMANDS,
    steps.COMMANDS,
    inspections.COMMANDS,
    tools.COMMANDS,
    published.COMMANDS,
    trainings.SCALING,  # last in the help, and in the documentation
):
    for _name, _function in _commands.items():
        app.command(_name)(with_json(_function))
app.add_typer(tools.CACHE, name="cache")


def _flags(name: str | None) -> dict[str, str]:
    """Return the options of a command by their parameters."""
    known = command().commands.get(name)
    if known is None:
        return {}
    options = [each for each in known.params if each.param_type_name == "option"]
    typed = {flag[2:].replace("-", "_"): flag for each in options for flag in each.opts if flag.startswith("--")}
    return typed | {each.name: each.opts[0] for each in options}


def command() -> Any:
    """Return the command with its subcommands, as typer builds it; tests parse the documentation's commands with it."""
    return typer.main.get_command(app)


@unwound_by_signals()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        arguments: Words after ``hf-prune``; None takes those of the process.

    Returns:
        Exit code: 0, or 2 for an error that the user can mend (one line on stderr), 130 after Ctrl-C, 1 for a defect.
    """
    session: dict[str, Any] = {}
    words = None if arguments is None else list(arguments)
    try:
        with warnings_in_one_line(lambda: _flags(session.get("command"))):
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
        return report(error, session.get("traceback", False), _flags(session.get("command")))
    if result == EXIT_INTERRUPTED:  # how newer versions of typer hand on Ctrl-C
        return interrupted()
    return result if isinstance(result, int) else 0
