"""The commands that use what others published, ``load-scores`` and ``apply``: each the function of the same name."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_prune.cli.folders import check_target, save
from hf_prune.cli.output import echo
from hf_prune.cli.signatures import argument_docs, function_parameters, make_command, option, summary
from hf_prune.cli.steps import Parameters, added, input_parameters, open_data, output_parameters
from hf_prune.collectives import is_main_process
from hf_prune.hub.apply import apply
from hf_prune.hub.load_scores import load_scores

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
