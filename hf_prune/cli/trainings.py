"""The commands that train, ``train-teachers`` and ``train-subset-runs``, and ``push-teacher``: each the function of the same name."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import typer

from hf_prune.cli.output import echo
from hf_prune.cli.signatures import function_parameters, make_command, option, summary
from hf_prune.cli.steps import input_parameters, open_data
from hf_prune.collectives import in_step, is_main_process
from hf_prune.hub.push_teacher import push_teacher
from hf_prune.loading import open_test_dataset, train_split
from hf_prune.recipe import parse_yaml
from hf_prune.teachers import Teachers, train_subset_runs, train_teachers

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
            raise ValueError(f"--training-args {pair!r}: write name=value, such as weight_decay=0.01")
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
