"""The commands that make a step: ``score``, ``combine``, ``prune``, ``export`` and ``push``, each a function of the same name."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_prune.api import prune, score_with
from hf_prune.cli.folders import check_target, save
from hf_prune.cli.output import echo
from hf_prune.cli.signatures import (
    argument_docs,
    function_parameters,
    make_command,
    metric_parameters,
    option,
    summary,
)
from hf_prune.data.loading import open_dataset, open_test_dataset, read_inputs
from hf_prune.hub.publish.export import export
from hf_prune.hub.publish.push import push_to_hub
from hf_prune.metrics import get_metric
from hf_prune.metrics.registry import check_option_names
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import barrier, in_step, is_main_process
from hf_prune.scoring.combination import combine
from hf_prune.scoring.run import flat_parameters, with_run

Parameters = list[inspect.Parameter]


_GIVEN_ARRAY = "An array handed in instead of being made: name=file.npy. Repeatable."
_MODELS = ("teachers", "student", "dynamics")  # of which there may be several


# What names the rows to open; `revision` is left out, since it is that of the models or of the branch to push to.
_OPEN = function_parameters(open_dataset, leave_out=("path", "revision"))
_OPEN_NAMES = tuple(parameter.name for parameter in _OPEN)


def added(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    """A parameter of a command that is none of the function behind it."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def input_parameters() -> Parameters:
    """The argument DATA and the options that say what of it is opened."""
    data = Annotated[str, typer.Argument(metavar="DATA", help=argument_docs(open_dataset)["path"])]
    return [added("data", data), *_OPEN]


def output_parameters(overwrites: str) -> Parameters:
    """The options that say where the result goes; ``overwrites`` explains what may be replaced."""
    out = option(Path, "Folder of save_to_disk for the result; the next step reads it.", "--out")
    overwrite = option(bool, overwrites, "--overwrite")
    return [added("out", out), added("overwrite", overwrite, False)]


def parse_keep(text: str) -> int | float:
    """Read how much to keep: written as a whole number it is a count of rows, with a point a fraction.

    Example:
        >>> parse_keep("1"), parse_keep("1.0")
        (1, 1.0)
    """
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise typer.BadParameter(f"{text!r} is no number; give a fraction such as 0.8, or a count of rows such as 5000")


def parse_cutoff(text: str) -> float | str:
    """Read a share of the hardest rows, or ``noise``.

    Example:
        >>> parse_cutoff("0.1"), parse_cutoff("noise")
        (0.1, 'noise')
    """
    try:
        return float(text)
    except ValueError:
        return text  # a wrong word is refused where the right one is known


def parse_by_name(
    flag: str, given: Sequence[str], kind: Callable[[str], Any], hint: str, alone: Callable[[str], Any] | None = None
) -> Any:
    """Read numbers given as ``name=number``, or one number for all.

    Args:
        flag: The option, for messages.
        given: What was written, once for each time that the option was given.
        kind: Reads a number beside a name.
        hint: How it is written, for messages.
        alone: Reads the one number for all; None where there must be names.

    Returns:
        Name → number, or the one number; None where nothing was given.

    Raises:
        ValueError: If something else was written, or a name twice.

    Example:
        >>> parse_by_name("--class-balance", ["cat=800", "a=b=9"], int, "write class=rows", alone=float)
        {'cat': 800, 'a=b': 9}
        >>> parse_by_name("--class-balance", ["0.5"], int, "write class=rows", alone=float)
        0.5
    """
    found: dict[str, Any] = {}
    for entry in given:
        name, equals, text = entry.rpartition("=")
        if name in found:
            raise InputError(f"{flag} names {name!r} twice; give each once")
        try:
            if alone is not None and not equals and len(given) == 1:
                return alone(text)
            found[name] = kind(text)
        except ValueError:
            equals = ""
        if not (name and equals):
            raise InputError(f"{flag} {entry!r}: {hint}")
    return found or None


def parse_inputs(pairs: Sequence[str]) -> dict[str, Any]:
    """Read arrays given as ``name=file.npy``."""
    files = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if not (name and equals and path):
            raise InputError(f"--inputs {pair!r}: write name=file.npy, such as embeddings=vectors.npy")
        files[name] = path
    return read_inputs(files)


def open_data(values: dict[str, Any]) -> Any:
    """Open what the argument DATA and the options beside it name, and take them out of the values."""
    return open_dataset(values.pop("data"), **{name: values.pop(name) for name in _OPEN_NAMES if name in values})


def run_score(out: Path, overwrite: bool = False, inputs: Sequence[str] = (), **values: Any) -> None:
    """Run ``score``: every process takes part, one of them saves."""
    options = set(values) - flat_parameters(score_with)[0].keys() - {"data", *_OPEN_NAMES}
    check_option_names([get_metric(name) for name in values["metric"]], options)
    with in_step("score", values.get("device")):
        check_target(out, overwrite)
        given = parse_inputs(inputs)
        ds = open_data(values)
        if "test_dataset" in values:
            values["test_dataset"] = open_test_dataset(values["test_dataset"])
        scored = score_with(
            ds, values.pop("metric"), inputs=given, overwrite=overwrite, **with_run(score_with, values)
        )
        barrier()
        if is_main_process():
            save(scored, out, overwrite)
            echo(out)
        barrier()


def run_prune(
    out: Path,
    overwrite: bool = False,
    inputs: Sequence[str] = (),
    class_errors: Sequence[str] = (),
    class_balance: Sequence[str] = (),
    **values: Any,
) -> None:
    """Run ``prune``: every process takes part, since an encoder may run, and one of them saves."""
    with in_step("prune", values.get("device")):
        check_target(out, overwrite)
        given = parse_inputs(inputs)
        errors = parse_by_name("--class-errors", class_errors, float, "write class=error, such as cat=0.2")
        hint = "give a share in [0, 1] once, or class=rows for some classes, such as cat=800"
        values["class_balance"] = parse_by_name("--class-balance", class_balance, int, hint, alone=float)
        ds, metric = open_data(values), values.pop("metric")
        pruned = prune(ds, metric, inputs=given, class_errors=errors, **with_run(prune, values))
        barrier()
        if is_main_process():
            save(pruned, out, overwrite)
            echo(out)
        barrier()


def run_combine(out: Path, overwrite: bool = False, **values: Any) -> None:
    """Run ``combine``; of the processes of a launcher one does it all."""
    if not is_main_process():
        return
    check_target(out, overwrite)
    ds = open_data(values)
    save(combine(ds, values.pop("metrics"), overwrite=overwrite, **values), out, overwrite)
    echo(out)


def run_export(scores: str | None = None, **values: Any) -> None:
    """Run ``export``; of the processes of a launcher one does it all."""
    if not is_main_process():
        return
    folder = values.pop("folder")
    echo(export(_open_rows(values), folder, scores=_open_scores(scores), **values))


def run_push(scores: str | None = None, num_shards: Sequence[str] = (), **values: Any) -> None:
    """Run ``push``; of the processes of a launcher one does it all."""
    if not is_main_process():
        return
    repo_id = values.pop("repo_id")
    hint = "give a count once, or split=count for some splits, such as train=4"
    values["num_shards"] = parse_by_name("--num-shards", num_shards, int, hint, alone=int)
    echo(push_to_hub(_open_rows(values), repo_id, scores=_open_scores(scores), **values).commit_url)


def _open_rows(values: dict[str, Any]) -> Any:
    """Open the data set to publish; ``split`` names the split to write, of a single data set that has one."""
    return open_dataset(values.pop("data"))


def _open_scores(scores: str | None) -> Any:
    return None if scores is None else open_dataset(scores)


def score_parameters() -> Parameters:
    """Arguments and options of ``score``: those of ``score_with`` and of every metric."""
    docs = argument_docs(score_with)
    own = {name: option(list[str], f"{docs[name]} Repeatable.", f"--{name}") for name in _MODELS}
    own["inputs"] = option(list[str], _GIVEN_ARRAY, "--inputs")
    overwrites = "Replace a column of that name, and a result of an earlier step in the folder of --out."
    return [
        *input_parameters(),
        *function_parameters(score_with, leave_out=("overwrite",), own=own),
        *metric_parameters(),
        *output_parameters(overwrites),
    ]


def combine_parameters() -> Parameters:
    """Arguments and options of ``combine``."""
    overwrites = "Replace a column of that name, and a result of an earlier step in the folder of --out."
    return [
        *input_parameters(),
        *function_parameters(combine, leave_out=("overwrite",)),
        *output_parameters(overwrites),
    ]


def prune_parameters() -> Parameters:
    """Arguments and options of ``prune``."""
    docs = argument_docs(prune)
    own = {
        "keep": option(float, docs["keep"].replace("keep=", ""), "--keep", parser=parse_keep),
        "hardest_cutoff": option(float, docs["hardest_cutoff"], "--hardest-cutoff", parser=parse_cutoff),
        "class_balance": option(list[str], f"{docs['class_balance']} Repeatable: class=rows.", "--class-balance"),
        "class_errors": option(list[str], f"{docs['class_errors']} Repeatable: class=error.", "--class-errors"),
        "inputs": option(list[str], _GIVEN_ARRAY, "--inputs"),
    }
    return [
        *input_parameters(),
        *function_parameters(prune, leave_out=("return_selection", "evidence"), own=own),
        *output_parameters("Replace a result of an earlier step in the folder of --out."),
    ]


def _publish_parameters(function: Any, **own: Any) -> Parameters:
    scores = option(
        str,
        "Folder of the scored data set before it was pruned; adds statistics to the card, and is what --what publishes.",
        "--scores",
    )
    data = Annotated[str, typer.Argument(metavar="DATA", help=argument_docs(open_dataset)["path"])]
    # A token would be seen in the list of processes; the client finds the one that is logged in, or HF_TOKEN.
    published = function_parameters(function, leave_out=("token",), own={"scores": scores, **own})
    return [added("data", data), *published]


def add_steps(app: typer.Typer) -> None:
    """Add the commands to the application."""
    folder = option(Path, argument_docs(export)["folder"], "--out", "--folder")
    num_shards = argument_docs(push_to_hub)["num_shards"]
    shards = option(list[str], f"{num_shards} Repeatable: split=count.", "--num-shards")
    for name, run, function, parameters in (
        ("score", run_score, score_with, score_parameters()),
        ("combine", run_combine, combine, combine_parameters()),
        ("prune", run_prune, prune, prune_parameters()),
        ("export", run_export, export, _publish_parameters(export, folder=folder)),
        ("push", run_push, push_to_hub, _publish_parameters(push_to_hub, num_shards=shards)),
    ):
        app.command(name)(make_command(run, parameters, summary(function)))
