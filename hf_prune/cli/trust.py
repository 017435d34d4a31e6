"""The commands that check what was published: ``verify`` and ``rebuild``, each the function of the same name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from hf_prune.cli.output import echo
from hf_prune.cli.signatures import argument_docs, function_parameters, make_command, option, summary
from hf_prune.cli.steps import parse_inputs
from hf_prune.collectives import alone, is_main_process
from hf_prune.hub.rebuild import rebuild
from hf_prune.hub.report import Report
from hf_prune.hub.verify import verify
from hf_prune.loading import open_dataset

_SEVERAL = ("teachers", "student", "dynamics")  # of which there may be several


def run_verify(**values: Any) -> None:
    """Run ``verify``; of the processes of a launcher one does it all."""
    if is_main_process():
        _end(verify(values.pop("name"), **values))


def run_rebuild(source: str | None = None, inputs: Sequence[str] = (), **values: Any) -> None:
    """Run ``rebuild``; of the processes of a launcher one does it all."""
    if not is_main_process():
        return
    for name in _SEVERAL:
        if len(values.get(name, ())) == 1:
            values[name] = values[name][0]
    opened = None if source is None else open_dataset(source)
    with alone():  # scoring anew would wait for processes that have returned
        report = rebuild(values.pop("name"), values.pop("out"), source=opened, inputs=parse_inputs(inputs), **values)
    _end(report)


def _end(report: Report) -> None:
    """Print the report and end with its exit code."""
    echo(report)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def add_trust(app: typer.Typer) -> None:
    """Add the commands to the application."""
    # A token would be seen in the list of processes; the client finds the one that is logged in, or HF_TOKEN.
    docs = argument_docs(rebuild)
    own = {
        "source": option(str, docs["source"], "--source"),
        "inputs": option(list[str], "An array that scores were made from: name=file.npy. Repeatable.", "--inputs"),
        "out": option(Path, docs["out"], "--out"),
        **{name: option(list[str], f"{docs[name]} Repeatable.", f"--{name}") for name in _SEVERAL},
    }
    parameters = function_parameters(verify, leave_out=("token",))
    app.command("verify")(make_command(run_verify, parameters, summary(verify)))
    parameters = function_parameters(rebuild, leave_out=("token",), own=own)
    app.command("rebuild")(make_command(run_rebuild, parameters, summary(rebuild)))
