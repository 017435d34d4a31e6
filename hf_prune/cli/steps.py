"""The commands that make a step, such as ``score`` and ``prune``, ``estimate``, and what commands share."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from datasets import Dataset, DatasetDict

from hf_prune.api import estimate, merge_shards, prune, score_shard, score_with
from hf_prune.cli.folders import check_target
from hf_prune.cli.outcomes import save_result
from hf_prune.cli.output import by_one_process, echo, show
from hf_prune.cli.signatures import (
    added,
    argument_docs,
    completion,
    function_parameters,
    make_command,
    option,
    option_parameters,
    repeatable,
    summary,
)
from hf_prune.data.loading import open_dataset, open_target, open_test_dataset, read_inputs
from hf_prune.hub.publish.export import export
from hf_prune.hub.publish.push import push_to_hub
from hf_prune.metrics import get_metric, list_metrics
from hf_prune.metrics.registry import check_option_names
from hf_prune.policy.estimate import FEWEST_ROWS
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import barrier, in_step, is_main_process
from hf_prune.scoring.combination import combine
from hf_prune.scoring.run import flat_parameters, with_run
from hf_prune.selection import list_orders

Parameters = list[inspect.Parameter]

INPUTS = option(list[str], "An array to use instead of making it: name=file.npy. Repeatable.", "--inputs")
WORTH_SAYING = 60.0  # seconds of scoring beyond which they are said before
MODELS = ("teachers", "student", "dynamics")  # of which there may be several
_DATA = added("data", Annotated[str, typer.Argument(metavar="DATA", help=argument_docs(open_dataset)["path"])])
# What names the rows to open; `revision` is left out, since it is that of the models or of the branch to push to.
_OPEN = function_parameters(open_dataset, leave_out=("path", "revision"))


def input_parameters() -> Parameters:
    """Return the argument DATA and the options that say what of it is opened."""
    return [_DATA, *_OPEN]


def output_parameters(overwrites: str) -> Parameters:
    """Return the options that say where the result goes; ``overwrites`` explains what may be replaced."""
    out = option(Path, "Folder of save_to_disk for the result; the next step reads it.", "--out")
    return [added("out", out), added("overwrite", option(bool, overwrites, "--overwrite"), False)]


def keep_option(function: Callable[..., Any]) -> Any:
    """Annotate the parameter ``keep`` of a function, a count or a fraction by how it is written."""
    return option(float, argument_docs(function)["keep"].replace("keep=", ""), "--keep", parser=parse_keep)


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
    """Read numbers given as ``name=number``, or one number for all where ``alone`` reads it; None where nothing was given.

    ``flag`` and ``hint`` are for messages.

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


def parse_pairs(flag: str, pairs: Sequence[str], hint: str) -> dict[str, str]:
    """Take apart what is given as ``name=value``; ``flag`` and ``hint`` are for messages."""
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise InputError(f"{flag} {pair!r}: {hint}")
        found[name] = value
    return found


def parse_inputs(pairs: Sequence[str]) -> dict[str, Any]:
    """Read arrays given as ``name=file.npy``."""
    return read_inputs(parse_pairs("--inputs", pairs, "write NAME=file.npy, such as embeddings=vectors.npy"))


# Arguments that a command line can only name.
_READ: dict[str, Callable[[Any], Any]] = {
    "inputs": parse_inputs,
    "test_inputs": parse_inputs,
    "test_dataset": open_test_dataset,
    "target": open_target,
}


def open_data(values: dict[str, Any]) -> Any:
    """Read the arrays and the test set of a command in place, and open DATA, which is taken out of the values."""
    for name, read in _READ.items():
        if name in values:
            values[name] = read(values[name])
    names = {parameter.name for parameter in _OPEN} & values.keys()
    return open_dataset(values.pop("data"), **{name: values.pop(name) for name in names})


def _score(out: Path, overwrite: bool = False, shard: str | None = None, **values: Any) -> None:
    _check_metric_options(values)
    with in_step("score", values.get("device")):
        if shard is None:
            check_target(out, overwrite)
        own = {"overwrite": overwrite, "ds": open_data(values)} | with_run(score_with, values)
        if shard is not None:
            marker = score_shard(shard=shard, folder=out, **own)
            if is_main_process():
                show(marker, marker=marker)
            return
        say_what_it_takes(own)
        _save_in_one(score_with(**own), own["ds"], out, overwrite)


def _merge(out: Path, folder: Path, overwrite: bool = False, **values: Any) -> None:
    _check_metric_options(values)
    with in_step("merge", values.get("device")):
        check_target(out, overwrite)
        own = {"overwrite": overwrite, "ds": open_data(values)} | with_run(score_with, values)
        _save_in_one(merge_shards(folder=folder, **own), own["ds"], out, overwrite)


def say_what_it_takes(arguments: Mapping[str, Any]) -> None:
    """Print what scoring will take, to standard error, where it is more than a minute.

    Of fewer rows than a trial of a tenth needs, nothing is known before.
    """
    ds, splits = arguments["ds"], arguments.get("splits") or ["train"]
    rows = len(ds) if isinstance(ds, Dataset) else max((len(ds[name]) for name in splits if name in ds), default=0)
    if rows < 10 * FEWEST_ROWS:
        return
    found = estimate(**arguments)
    if found.seconds > WORTH_SAYING and is_main_process():
        echo(f"Scoring takes {found.line}", err=True)


def _estimate(**values: Any) -> None:
    _check_metric_options(values)
    with in_step("estimate", values.get("device")):
        found = estimate(open_data(values), **with_run(score_with, values))
    if is_main_process():
        show(found)


def _check_metric_options(values: Mapping[str, Any]) -> None:
    names = {parameter.name for parameter in input_parameters()} | flat_parameters(score_with)[0].keys()
    check_option_names([get_metric(name) for name in values["metric"]], set(values) - names)


def _prune(
    out: Path,
    overwrite: bool = False,
    class_errors: Sequence[str] = (),
    class_balance: Sequence[str] = (),
    **values: Any,
) -> None:
    with in_step("prune", values.get("device")):  # every process takes part, since an encoder may run
        check_target(out, overwrite)
        errors = parse_by_name("--class-errors", class_errors, float, "write class=error, such as cat=0.2")
        hint = "give a share in [0, 1] once, or class=rows for some classes, such as cat=800"
        balance = parse_by_name("--class-balance", class_balance, int, hint, alone=float)
        ds = open_data(values)
        pruned = prune(ds, class_errors=errors, class_balance=balance, **with_run(prune, values))
        _save_in_one(pruned, ds, out, overwrite, values["keep"])


def _save_in_one(
    made: Dataset | DatasetDict, before: Any, out: Path, overwrite: bool, keep: int | float | None = None
) -> None:
    barrier()
    if is_main_process():
        save_result(made, before, out, overwrite, keep)
    barrier()


@by_one_process
def _combine(out: Path, overwrite: bool = False, **values: Any) -> None:
    check_target(out, overwrite)
    ds = open_data(values)
    save_result(combine(ds, overwrite=overwrite, **values), ds, out, overwrite)


@by_one_process
def _export(**values: Any) -> None:
    folder = export(_open_to_publish(values), **values)
    show(folder, out=folder)


@by_one_process
def _push(num_shards: Sequence[str] = (), **values: Any) -> None:
    hint = "give a count once, or SPLIT=COUNT for some splits, such as train=4"
    values["num_shards"] = parse_by_name("--num-shards", num_shards, int, hint, alone=int)
    url = push_to_hub(_open_to_publish(values), **values).commit_url
    show(url, commit_url=url)


def _open_to_publish(values: dict[str, Any]) -> Any:
    if "scores" in values:
        values["scores"] = open_dataset(values["scores"])
    return open_dataset(values.pop("data"))  # whole: `split` names the split to write


def _score_parameters() -> Parameters:
    own = {name: repeatable(score_with, name) for name in MODELS} | {"inputs": INPUTS}
    return [*function_parameters(score_with, leave_out=("overwrite",), own=own), *option_parameters(list_metrics())]


def _prune_parameters() -> Parameters:
    kept = "; ".join(f"{order.name} keeps {order.keeps.format(column='score')}" for order in list_orders())
    own = {
        "order": option(
            str,
            argument_docs(prune)["order"].replace(", see list_orders", f": {kept}"),
            "--order",
            autocompletion=completion("order"),
        ),
        "keep": keep_option(prune),
        "hardest_cutoff": option(
            float, argument_docs(prune)["hardest_cutoff"], "--hardest-cutoff", parser=parse_cutoff
        ),
        "class_balance": repeatable(prune, "class_balance", form="class=rows"),
        "class_errors": repeatable(prune, "class_errors", form="class=error"),
        "inputs": INPUTS,
    }
    parameters = function_parameters(prune, leave_out=("return_selection", "evidence"), own=own)
    return [*parameters, *option_parameters(list_orders())]


def _publish_parameters(function: Callable[..., Any], **own: Any) -> Parameters:
    text = "Folder of the scored data set before it was pruned; adds statistics to the card, and is what --what publishes."
    return [_DATA, *function_parameters(function, own={"scores": option(str, text, "--scores"), **own})]


def _commands() -> dict[str, Callable[..., None]]:
    folder = option(Path, argument_docs(export)["folder"], "--out", "--folder")
    shards = repeatable(push_to_hub, "num_shards", form="split=count")
    result = "a result of an earlier step in the folder of --out."
    column = output_parameters(f"Replace a column of that name, and {result}")
    shard = f"{argument_docs(score_shard)['shard']} --out is then the folder of all shards, which merge reads."
    scored = [*input_parameters(), *_score_parameters(), *column]
    apart = [*scored, added("shard", option(str, shard, "--shard"), None)]
    merged = [*scored, added("folder", option(Path, argument_docs(merge_shards)["folder"], "--folder"))]
    combined = function_parameters(combine, leave_out=("overwrite",))
    kept = [*_prune_parameters(), *output_parameters(f"Replace {result}")]
    return {
        name: make_command(run, parameters, summary(function))
        for name, run, function, parameters in (
            ("score", _score, score_with, apart),
            ("merge", _merge, merge_shards, merged),
            ("estimate", _estimate, estimate, [*input_parameters(), *_score_parameters()]),
            ("combine", _combine, combine, [*input_parameters(), *combined, *column]),
            ("prune", _prune, prune, [*input_parameters(), *kept]),
            ("export", _export, export, _publish_parameters(export, folder=folder)),
            ("push", _push, push_to_hub, _publish_parameters(push_to_hub, num_shards=shards)),
        )
    }


COMMANDS = _commands()
