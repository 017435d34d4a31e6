"""The commands that use what others published: ``load-scores``, ``apply``, ``verify`` and ``rebuild``."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_prune.cli.as_json import data_of
from hf_prune.cli.folders import check_target
from hf_prune.cli.outcomes import save_result
from hf_prune.cli.output import by_one_process, show
from hf_prune.cli.signatures import (
    added,
    argument_docs,
    function_parameters,
    make_command,
    option,
    repeatable,
    summary,
)
from hf_prune.cli.steps import MODELS, input_parameters, open_data, output_parameters, parse_inputs
from hf_prune.cli.words import flag, in_message
from hf_prune.data.loading import open_dataset
from hf_prune.hub.read.apply import apply
from hf_prune.hub.read.load_scores import load_scores
from hf_prune.hub.verify.rebuild import rebuild
from hf_prune.hub.verify.report import Report
from hf_prune.hub.verify.verify import verify
from hf_prune.runtime.processes import alone


def _on_own_copy(function: Callable[..., Any], overwrites: str) -> Callable[..., None]:
    """Make a command that uses a publication on DATA and saves the result; ``overwrites`` is the help of --overwrite."""
    docs, replaces = argument_docs(function), "overwrite" in inspect.signature(function).parameters

    @by_one_process
    def run(
        out: Path, published: str, overwrite: bool = False, published_split: str | None = None, **values: Any
    ) -> None:
        check_target(out, overwrite)
        ds = open_data(values)
        columns = {"overwrite": overwrite} if replaces else {}
        made = function(published, ds, split=published_split, **columns, **values)
        save_result(made, ds, out, overwrite)

    parameters = [
        added("published", Annotated[str, typer.Argument(metavar="PUBLISHED", help=docs["name"])]),
        *input_parameters(),
        added("published_split", option(str, docs["split"], "--published-split"), None),
        *function_parameters(function, leave_out=("name", "split", "overwrite")),  # --split is that of DATA
        *output_parameters(overwrites),
    ]
    return make_command(run, parameters, summary(function))


@by_one_process
def _verify(**values: Any) -> None:
    _end(verify, verify(**values))


@by_one_process
def _rebuild(source: str | None = None, inputs: Sequence[str] = (), **values: Any) -> None:
    for name in MODELS:
        if len(values.get(name, ())) == 1:
            values[name] = values[name][0]
    opened = None if source is None else open_dataset(source)
    with alone():  # scoring anew would wait for processes that have returned
        report = rebuild(source=opened, inputs=parse_inputs(inputs), **values)
    _end(rebuild, report)


def _end(check: Callable[..., Report], report: Report) -> None:
    flags = {name: flag(name) for name in inspect.signature(check).parameters}
    show(in_message(str(report), flags), **data_of(report))
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def _commands() -> dict[str, Callable[..., None]]:
    result = "a result of an earlier step in the folder of --out."
    own = {
        "source": option(str, argument_docs(rebuild)["source"], "--source"),
        "inputs": option(list[str], "An array that scores were made from: name=file.npy. Repeatable.", "--inputs"),
        "out": option(Path, argument_docs(rebuild)["out"], "--out"),
        **{name: repeatable(rebuild, name) for name in MODELS},
    }
    return {
        "load-scores": _on_own_copy(load_scores, f"Replace columns of the same names, and {result}"),
        "apply": _on_own_copy(apply, f"Replace {result}"),
        "verify": make_command(_verify, function_parameters(verify), summary(verify)),
        "rebuild": make_command(_rebuild, function_parameters(rebuild, own=own), summary(rebuild)),
    }


COMMANDS = _commands()
