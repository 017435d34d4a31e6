"""The command ``scaling``: the function `measure_scaling`, and what it found in sentences, tables and a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from hf_prune.cli.output import echo
from hf_prune.cli.signatures import (
    argument_docs,
    function_parameters,
    make_command,
    metric_parameters,
    option,
    summary,
)
from hf_prune.cli.steps import input_parameters, open_data, parse_inputs
from hf_prune.loading import open_test_dataset, train_split
from hf_prune.scaling_runs import measure_scaling, write_report
from hf_prune.scaling_runs.report import report_lines

_GIVEN = "An array handed in instead of being made: name=file.npy. Repeatable."


def run_scaling(inputs: Sequence[str] = (), test_inputs: Sequence[str] = (), **values: Any) -> None:
    """Run ``scaling``: train what is missing, print the sentences, write the tables and the picture."""
    ds, metric, folder = train_split(open_data(values)), values.pop("metric"), Path(values.pop("folder"))
    if "test_dataset" in values:
        values["test_dataset"] = open_test_dataset(values["test_dataset"])
    arrays = parse_inputs(inputs), parse_inputs(test_inputs)
    runs = measure_scaling(ds, metric, folder=folder, inputs=arrays[0], test_inputs=arrays[1], **values)
    for line in report_lines(runs):
        echo(line)
    for path in (folder / "results.csv", *write_report(runs, folder)):
        echo(path)


def add_scaling(app: typer.Typer) -> None:
    """Add the command to the application."""
    docs = argument_docs(measure_scaling)
    own = {
        "folder": option(Path, docs["folder"], "--out", "--folder"),
        "command": option(str, docs["command"], "--command"),
        "inputs": option(list[str], _GIVEN, "--inputs"),
        "test_inputs": option(list[str], f"{_GIVEN} Of the test rows.", "--test-inputs"),
        "sizes": option(list[int], f"{docs['sizes']} Repeatable.", "--sizes"),
        "keeps": option(list[float], f"{docs['keeps']} Repeatable.", "--keeps"),
    }
    parameters = [*input_parameters(), *function_parameters(measure_scaling, own=own), *metric_parameters()]
    app.command("scaling")(make_command(run_scaling, parameters, summary(measure_scaling)))
