"""The commands that look at a data set and change nothing: ``duplicates`` and ``label-noise``."""

import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer

from hf_prune.cleaning.duplicates import Duplicates, duplicates
from hf_prune.cleaning.label_noise import LabelNoise, label_noise
from hf_prune.cli.output import echo
from hf_prune.cli.signatures import argument_docs, function_parameters, make_command, option, summary
from hf_prune.cli.steps import input_parameters, open_data, parse_inputs, parse_keep
from hf_prune.data.loading import train_split
from hf_prune.policy import Recommendation
from hf_prune.policy.keep_curve import KeepCurve, keep_curve
from hf_prune.policy.recommend import recommend
from hf_prune.runtime.processes import in_step, is_main_process
from hf_prune.scoring.run import with_run


def run_duplicates(
    out: Path | None = None, figure: Path | None = None, inputs: Sequence[str] = (), **values: Any
) -> None:
    """Run ``duplicates``: every process takes part, one of them prints."""
    with in_step("duplicates", values.get("device")):
        given = parse_inputs(inputs)
        ds = train_split(open_data(values))
        found = duplicates(ds, inputs=given, **with_run(duplicates, values))
    if not is_main_process():
        return
    if figure is not None:
        from hf_prune.cleaning.plots import plot_duplicates

        image_column = values.get("image_column")
        drawn = plot_duplicates(ds, found, image_column=image_column).figure
        drawn.savefig(figure, dpi=150)  # type: ignore[union-attr]  # its own figure, no part of another
    _show(found, out, figure)


def run_label_noise(out: Path | None = None, inputs: Sequence[str] = (), **values: Any) -> None:
    """Run ``label-noise``: every process takes part, one of them prints."""
    with in_step("label-noise", values.get("device")):
        given = parse_inputs(inputs)
        ds = train_split(open_data(values))
        found = label_noise(ds, inputs=given, **with_run(label_noise, values))
    if is_main_process():
        _show(found, out)


def _show(found: Duplicates | LabelNoise, out: Path | None, *more: Path | None) -> None:
    echo(found)
    written = None if out is None else found.write_csv(out)
    for path in (*more, written):
        if path is not None:
            echo(path)


def inspection_parameters(
    function: Callable[..., Any], text: str, picture: str | None = None, **own: Any
) -> list[inspect.Parameter]:
    """Arguments and options of a command that looks at a data set, with --out and, where it draws, --figure.

    Args:
        function: What it calls.
        text: Help of --out.
        picture: Help of --figure.
        **own: Options that are read in a way of their own.
    """
    inputs = option(list[str], "An array handed in instead of being made: name=file.npy. Repeatable.", "--inputs")
    more = {"out": option(Path, text, "--out")}
    if picture is not None:
        more["figure"] = option(Path, picture, "--figure")
    kind = inspect.Parameter.KEYWORD_ONLY
    return [
        *input_parameters(),
        *function_parameters(function, own={"inputs": inputs, **own}),
        *(inspect.Parameter(name, kind, default=None, annotation=annotation) for name, annotation in more.items()),
    ]


def add_inspections(app: typer.Typer) -> None:
    """Add the commands to the application."""
    threshold = option(float, argument_docs(duplicates)["threshold"], "--threshold")
    groups = inspection_parameters(
        duplicates,
        "CSV file with a line per row of every group.",
        "Picture of the least similar groups, such as duplicates.png.",
        threshold=threshold,
    )
    rows = inspection_parameters(label_noise, "CSV file with a line per row, the most suspicious first.")
    app.command("duplicates")(make_command(run_duplicates, groups, summary(duplicates)))
    app.command("label-noise")(make_command(run_label_noise, rows, summary(label_noise)))


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
        found = function(ds, values.pop("metric"), inputs=given, **with_run(function, values))
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
