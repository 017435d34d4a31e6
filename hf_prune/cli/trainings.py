"""The commands that train, ``train-teachers``, ``train-subset-runs`` and ``scaling``, and ``push-teacher``."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hf_prune.cli.output import by_one_process, show
from hf_prune.cli.signatures import (
    added,
    argument_docs,
    function_parameters,
    make_command,
    option,
    option_parameters,
    repeatable,
    summary,
)
from hf_prune.cli.steps import INPUTS, input_parameters, open_data, parse_pairs
from hf_prune.data.loading import train_split
from hf_prune.hub.models.teacher import push_teacher
from hf_prune.metrics import list_metrics
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
    flag = "--training-args"
    texts = parse_pairs(flag, pairs, "write NAME=value, such as weight_decay=0.01")
    return {
        name: text if text.lower() in _WORDS else parse_yaml(text, f"{flag} {f'{name}={text}'!r}")
        for name, text in texts.items()
    }


def _training(train: Callable[..., Teachers]) -> Callable[..., None]:
    def run(training_args: Sequence[str] = (), **values: Any) -> None:
        with in_step(train.__name__):
            arguments = parse_training_args(training_args)
            ds = train_split(open_data(values))
            found = train(ds, **values, **arguments)
        if is_main_process():
            show(*found.folders, folders=found.folders)

    text = "An argument of transformers.TrainingArguments: name=value. Repeatable."
    # None where the function has no value of its own: typer would take an option without a default for a flag.
    extra = added("training_args", option(list[str], text, "--training-args"), None)
    parameters = [*input_parameters(), *function_parameters(train, leave_out=_NOT_TYPED), extra]
    return make_command(run, parameters, summary(train))


@by_one_process
def _push_teacher(**values: Any) -> None:
    rows = train_split(open_data(values))
    url = push_teacher(trained_on=rows, **values).commit_url
    show(url, commit_url=url)


def _scaling(folder: Path, **values: Any) -> None:
    ds = train_split(open_data(values))
    runs = measure_scaling(ds, folder=folder, **with_run(measure_scaling, values))
    lines = report_lines(runs)
    show(*lines, sentences=lines)
    files = [folder / "results.csv", *write_report(runs, folder)]
    show(*files, files=files)


def _scaling_command() -> Callable[..., None]:
    docs = argument_docs(measure_scaling)
    own = {
        "folder": option(Path, docs["folder"], "--out", "--folder"),
        "command": option(str, docs["command"], "--command"),
        "inputs": INPUTS,
        "test_inputs": option(list[str], "The same of the test rows: name=file.npy. Repeatable.", "--test-inputs"),
        "sizes": repeatable(measure_scaling, "sizes", int),
        "keeps": repeatable(measure_scaling, "keeps", float),
    }
    parameters = [
        *input_parameters(),
        *function_parameters(measure_scaling, own=own),
        *option_parameters(list_metrics()),
    ]
    return make_command(_scaling, parameters, summary(measure_scaling))


COMMANDS = {
    "train-teachers": _training(train_teachers),
    "train-subset-runs": _training(train_subset_runs),
    "push-teacher": make_command(
        _push_teacher,
        [*input_parameters(), *function_parameters(push_teacher, leave_out=("trained_on",))],
        summary(push_teacher),
    ),
}
SCALING = {"scaling": _scaling_command()}
