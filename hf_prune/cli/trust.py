"""The commands that check what was published: ``verify`` and ``rebuild``, each the function of the same name."""

import inspect
from typing import Any

import typer

from hf_prune.cli.signatures import function_parameters, make_command, summary
from hf_prune.collectives import is_main_process
from hf_prune.hub.report import Report
from hf_prune.hub.verify import verify


def run_verify(**values: Any) -> None:
    """Run ``verify``; of the processes of a launcher one does it all."""
    if is_main_process():
        _end(verify(values.pop("name"), **values))


def _end(report: Report) -> None:
    """Print the report and end with its exit code."""
    typer.echo(report)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def _parameters(function: Any) -> list[inspect.Parameter]:
    # A token would be seen in the list of processes; the client finds the one that is logged in, or HF_TOKEN.
    return function_parameters(function, leave_out=("token",))


def add_trust(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("verify")(make_command(run_verify, _parameters(verify), summary(verify)))
