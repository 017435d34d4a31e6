"""The commands that say what to keep: ``recommend`` and ``keep-curve``."""

import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from hf_prune.cli.signatures import argument_docs, function_parameters, make_command, option, summary
from hf_prune.cli.steps import input_parameters, open_data, parse_inputs, parse_keep
from hf_prune.collectives import is_main_process, join_processes
from hf_prune.loading import train_split
from hf_prune.policy.keep_curve import keep_curve
from hf_prune.policy.recommend import recommend


def run_recommend(
    out: Path | None = None, figure: Path | None = None, inputs: Sequence[str] = (), **values: Any
) -> None:
    """Run ``recommend``: every process takes part, one of them prints."""
    join_processes(values.get("device"))
    given = parse_inputs(inputs)
    ds = train_split(open_data(values))
    found = recommend(ds, values.pop("metric"), inputs=given, **values)
    if is_main_process():
        typer.echo(found)
        if out is not None:
            out.write_text(json.dumps(found.to_dict(), indent=1) + "\n", encoding="utf-8")
            typer.echo(out)
        _draw(found, figure)


def run_keep_curve(
    out: Path | None = None, figure: Path | None = None, inputs: Sequence[str] = (), **values: Any
) -> None:
    """Run ``keep-curve``: every process takes part, one of them prints."""
    join_processes(values.get("device"))
    given = parse_inputs(inputs)
    ds = train_split(open_data(values))
    found = keep_curve(ds, values.pop("metric"), inputs=given, **values)
    if is_main_process():
        typer.echo(found)
        if out is not None:
            typer.echo(found.write_csv(out))
        _draw(found, figure)


def _draw(found: Any, figure: Path | None) -> None:
    if figure is not None:
        found.plot().figure.savefig(figure, dpi=150)
        typer.echo(figure)


def _parameters(function: Any, text: str, **own: Any) -> list[inspect.Parameter]:
    inputs = option(list[str], "An array handed in instead of being made: name=file.npy. Repeatable.", "--inputs")
    picture = "Picture of what was found, such as gains.png."
    more = {"out": option(Path, text, "--out"), "figure": option(Path, picture, "--figure")}
    kind = inspect.Parameter.KEYWORD_ONLY
    return [
        *input_parameters(),
        *function_parameters(function, own={"inputs": inputs, **own}),
        *(inspect.Parameter(name, kind, default=None, annotation=annotation) for name, annotation in more.items()),
    ]


def add_advice(app: typer.Typer) -> None:
    """Add the commands to the application."""
    docs = argument_docs(recommend)
    advice = _parameters(
        recommend,
        "JSON file with the recommendation and its evidence.",
        keep=option(float, docs["keep"].replace("keep=", ""), "--keep", parser=parse_keep),
        student=option(str, "A training command, asked in place of the two-layer head.", "--student"),
    )
    curve = _parameters(keep_curve, "CSV file with a line per point.")
    app.command("recommend")(make_command(run_recommend, advice, summary(recommend)))
    app.command("keep-curve")(make_command(run_keep_curve, curve, summary(keep_curve)))
