"""The commands that use what others published, ``load-scores`` and ``apply``: each the function of the same name."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_prune.cli.folders import check_target, save
from hf_prune.cli.output import echo
from hf_prune.cli.signatures import argument_docs, function_parameters, make_command, option, summary
from hf_prune.cli.steps import Parameters, added, input_parameters, open_data, output_parameters, parse_inputs
from hf_prune.data.loading import open_dataset
from hf_prune.hub.read.apply import apply
from hf_prune.hub.read.load_scores import load_scores
from hf_prune.hub.verify.rebuild import rebuild
from hf_prune.hub.verify.report import Report
from hf_prune.hub.verify.verify import verify
from hf_prune.runtime.processes import alone, is_main_process

_RESULT = "a result of an earlier step in the folder of --out."


def run_load_scores(overwrite: bool = False, **values: Any) -> None:
    """Run ``load-scores``; of the processes of a launcher one does it all."""
    _run(load_scores, overwrite, {"overwrite": overwrite}, **values)


def run_apply(overwrite: bool = False, **values: Any) -> None:
    """Run ``apply``; of the processes of a launcher one does it all."""
    _run(apply, overwrite, {}, **values)


def _run(
    function: Callable[..., Any],
    overwrite: bool,
    fixed: dict[str, Any],
    *,
    out: Path,
    published: str,
    published_split: str | None = None,
    **values: Any,
) -> None:
    if not is_main_process():
        return
    check_target(out, overwrite)
    ds = open_data(values)
    save(function(published, ds, split=published_split, **fixed, **values), out, overwrite)
    echo(out)


def _parameters(function: Callable[..., Any], overwrites: str) -> Parameters:
    docs = argument_docs(function)
    place = Annotated[str, typer.Argument(metavar="PUBLISHED", help=docs["name"])]
    # The split of DATA has the name that it has in every command. A token would be seen in the list of processes; the
    # client finds the one that is logged in, or HF_TOKEN.
    own = function_parameters(function, leave_out=("name", "split", "overwrite", "token"))
    return [
        added("published", place),
        *input_parameters(),
        added("published_split", option(str, docs["split"], "--published-split"), None),
        *own,
        *output_parameters(overwrites),
    ]


def add_published(app: typer.Typer) -> None:
    """Add the commands to the application."""
    parameters = _parameters(load_scores, f"Replace columns of the same names, and {_RESULT}")
    app.command("load-scores")(make_command(run_load_scores, parameters, summary(load_scores)))
    parameters = _parameters(apply, f"Replace {_RESULT}")
    app.command("apply")(make_command(run_apply, parameters, summary(apply)))


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
