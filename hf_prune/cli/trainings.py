"""The commands that train, ``train-teachers`` and ``train-subset-runs``, and ``push-teacher``: each the function of the same name."""

import inspect
from collections.abc import Callable, Sequence
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
from hf_prune.data.loading import open_test_dataset, train_split
from hf_prune.hub.models.teacher import push_teacher
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import in_step, is_main_process
from hf_prune.scaling.runs import measure_scaling, write_report
from hf_prune.scaling.runs.report import report_lines
from hf_prune.scoring.run import with_run
from hf_prune.training.teachers import Teachers, train_subset_runs, train_teachers
from hf_prune.workflows.recipe import parse_yaml

_NOT_TYPED = ("processor",)  # an object of transformers
_WORDS = ("no", "yes", "off", "on")  # names of strategies to the Trainer, truth values to YAML


def parse_training_args(pairs: Sequence[str]) -> dict[str, Any]:
    """Read arguments of the Trainer given as ``name=value``, the value in YAML.

    Example:
        >>> parse_training_args(["weight_decay=0.01", "lr_scheduler_type=cosine", "eval_strategy=no"])
        {'weight_decay': 0.01, 'lr_scheduler_type': 'cosine', 'eval_strategy': 'no'}
    """
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise InputError(f"--training-args {pair!r}: write name=value, such as weight_decay=0.01")
        found[name] = value if value.lower() in _WORDS else parse_yaml(value, f"--training-args {pair!r}")
    return found


def _runner(train: Callable[..., Teachers]) -> Callable[..., None]:
    def run(training_args: Sequence[str] = (), **values: Any) -> None:
        with in_step(train.__name__):
            arguments = parse_training_args(training_args)
            ds, model = train_split(open_data(values)), values.pop("model")
            if "test_dataset" in values:
                values["test_dataset"] = open_test_dataset(values["test_dataset"])
            found = train(ds, model, **values, **arguments)
        if is_main_process():
            for folder in found.folders:
                echo(folder)

    return run


def _parameters(train: Callable[..., Teachers]) -> list[inspect.Parameter]:
    text = "An argument of transformers.TrainingArguments: name=value. Repeatable."
    given = option(list[str], text, "--training-args")
    # None where the function has no value of its own: typer would take an option without a default for a flag.
    extra = inspect.Parameter("training_args", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=given)
    return [*input_parameters(), *function_parameters(train, leave_out=_NOT_TYPED), extra]


def run_push_teacher(**values: Any) -> None:
    """Run ``push-teacher``; of the processes of a launcher one does it all."""
    if not is_main_process():
        return
    rows = train_split(open_data(values))
    echo(push_teacher(values.pop("teacher"), values.pop("repo_id"), trained_on=rows, **values).commit_url)


def add_trainings(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for name, train in (("train-teachers", train_teachers), ("train-subset-runs", train_subset_runs)):
        app.command(name)(make_command(_runner(train), _parameters(train), summary(train)))
    # A token would be seen in the list of processes; the client finds the one that is logged in, or HF_TOKEN.
    published = function_parameters(push_teacher, leave_out=("trained_on", "token"))
    app.command("push-teacher")(
        make_command(run_push_teacher, [*input_parameters(), *published], summary(push_teacher))
    )


_GIVEN = "An array handed in instead of being made: name=file.npy. Repeatable."


def run_scaling(inputs: Sequence[str] = (), test_inputs: Sequence[str] = (), **values: Any) -> None:
    """Run ``scaling``: train what is missing, print the sentences, write the tables and the picture."""
    ds, metric, folder = train_split(open_data(values)), values.pop("metric"), Path(values.pop("folder"))
    if "test_dataset" in values:
        values["test_dataset"] = open_test_dataset(values["test_dataset"])
    arrays = parse_inputs(inputs), parse_inputs(test_inputs)
    settings = with_run(measure_scaling, values)
    runs = measure_scaling(ds, metric, folder=folder, inputs=arrays[0], test_inputs=arrays[1], **settings)
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
