"""The commands that say what to keep: ``recommend`` and ``keep-curve``."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer

from hf_prune.cli.inspections import inspection_parameters
from hf_prune.cli.output import echo
from hf_prune.cli.signatures import argument_docs, make_command, option, summary
from hf_prune.cli.steps import open_data, parse_inputs, parse_keep
from hf_prune.collectives import in_step, is_main_process
from hf_prune.loading import train_split
from hf_prune.policy import Recommendation
from hf_prune.policy.keep_curve import KeepCurve, keep_curve
from hf_prune.policy.recommend import recommend


def run_recommend(**values: Any) -> None:
    """Run ``recommend``: every process takes part, one of them prints."""

    def write(found: Recommendation, out: Path) -> None:
        out.write_text(json.dumps(found.to_dict(), indent=1) + "\n", encoding="utf-8")

    _run(recommend, write, **values)


def run_keep_curve(**values: Any) -> None:
    """Run ``keep-curve``: every process takes part, one of them prints."""
    _run(keep_curve, KeepCurve.write_csv, **values)


def _run(
    function: Callable[..., Any],
    write: Callable[[Any, Path], Any],
    out: Path | None = None,
    figure: Path | None = None,
    inputs: Sequence[str] = (),
    **values: Any,
) -> None:
    with in_step(function.__name__, values.get("device")):
        given = parse_inputs(inputs)
        ds = train_split(open_data(values))
        found = function(ds, values.pop("metric"), inputs=given, **values)
    if not is_main_process():
        return
    echo(found)
    if out is not None:
        write(found, out)
        echo(out)
    if figure is not None:
        found.plot().figure.savefig(figure, dpi=150)
        echo(figure)


def add_advice(app: typer.Typer) -> None:
    """Add the commands to the application."""
    docs = argument_docs(recommend)
    picture = "Picture of what was found, such as gains.png."
    advice = inspection_parameters(
        recommend,
        "JSON file with the recommendation and its evidence.",
        picture,
        keep=option(float, docs["keep"].replace("keep=", ""), "--keep", parser=parse_keep),
        student=option(str, "A training command, asked in place of the two-layer head.", "--student"),
    )
    curve = inspection_parameters(keep_curve, "CSV file with a line per point.", picture)
    app.command("recommend")(make_command(run_recommend, advice, summary(recommend)))
    app.command("keep-curve")(make_command(run_keep_curve, curve, summary(keep_curve)))
