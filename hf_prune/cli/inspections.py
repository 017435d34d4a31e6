"""The commands that look at a data set and change nothing: ``duplicates``, ``leaks``, ``label-noise``, ``recommend``, ``keep-curve``, ``report``."""

import inspect
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from datasets import Dataset

from hf_prune.cleaning.duplicates import Duplicates, duplicates
from hf_prune.cleaning.label_noise import LabelNoise, label_noise
from hf_prune.cleaning.leaks import Leaks, leaks
from hf_prune.cli.as_json import data_of
from hf_prune.cli.folders import check_target
from hf_prune.cli.outcomes import meant_as_count, save_result
from hf_prune.cli.output import by_one_process, echo, show
from hf_prune.cli.signatures import added, argument_docs, function_parameters, make_command, option, summary
from hf_prune.cli.steps import INPUTS, input_parameters, keep_option, open_data, parse_inputs
from hf_prune.cli.words import in_message
from hf_prune.data.loading import open_dataset, train_split
from hf_prune.policy import Recommendation
from hf_prune.policy.keep_curve import KeepCurve, keep_curve
from hf_prune.policy.recommend import recommend
from hf_prune.reports.report import report
from hf_prune.runtime.processes import in_step, is_main_process
from hf_prune.scoring.run import with_run

# Writes what was found in the rows to a file; last comes the column with the images.
Write = Callable[[Any, Path, Dataset, str | None], Any]


def _inspection(function: Callable[..., Any], **files: Write) -> Callable[..., None]:
    """Run a function in every process, print what it found in one of them and write the files that are asked for."""

    def run(**values: Any) -> None:
        data, paths = values["data"], {name: values.pop(name) for name in files if name in values}
        with in_step(function.__name__, values.get("device")):
            ds = train_split(open_data(values))
            found = function(ds, **with_run(function, values))
        if is_main_process():
            show(_advice(found, data), **data_of(found)) if isinstance(found, Recommendation) else show(found)
            for name, path in paths.items():
                files[name](found, path, ds, values.get("image_column"))
                show(path, **{name: path})
            for line in meant_as_count(values.get("keep")):
                echo(line, err=True)

    return run


def _leaks(
    out: Path | None = None,
    cleaned: Path | None = None,
    drop_from: str | None = None,
    overwrite: bool = False,
    **values: Any,
) -> None:
    """Compare the splits, print what they share, and write what is asked for."""
    with in_step("leaks", values.get("device")):
        if cleaned is not None:
            check_target(cleaned, overwrite)
        ds = open_data(values)
        found = leaks(ds, **with_run(leaks, values))
    if is_main_process():
        show(found)
        if out is not None:
            show(found.write_csv(out), out=out)
        if cleaned is not None:
            save_result(found.cleaned(drop_from), ds, cleaned, overwrite, name="cleaned")


def _leaks_parameters() -> list[inspect.Parameter]:
    threshold = option(float, argument_docs(leaks)["threshold"], "--threshold")
    drop_from = argument_docs(Leaks.cleaned)["drop_from"]
    return [
        *input_parameters(),
        *function_parameters(leaks, leave_out=("inputs",), own={"threshold": threshold}),
        added("out", option(Path, "CSV file with a line per pair of rows.", "--out"), None),
        added("cleaned", option(Path, "Folder of save_to_disk for the splits without these rows.", "--cleaned"), None),
        added("drop_from", option(str, drop_from, "--drop-from"), None),
        added("overwrite", option(bool, "Replace a data set in the folder of --cleaned.", "--overwrite"), False),
    ]


def _advice(found: Recommendation, data: str) -> str:
    """Write a recommendation with the command that may follow."""
    cut = f" --hardest-cutoff {found.hardest_cutoff:g}" if found.hardest_cutoff else ""
    words = f"{shlex.quote(data)} {shlex.quote(found.evidence.metric)}"
    following = f"hf-prune prune {words} --keep {found.keep:g} --order {found.order}{cut} --out kept"
    if found.keep == 1:
        following = (
            f"train on all rows, or accept more: hf-prune recommend {words} --tolerance {3 * found.tolerance:g}"
        )
    return in_message(found.described(following), {"student": "--student"})


def _csv(found: Duplicates | LabelNoise | KeepCurve, path: Path, *_: Any) -> None:
    found.write_csv(path)


def _json(found: Recommendation, path: Path, *_: Any) -> None:
    path.write_text(json.dumps(found.to_dict(), indent=1) + "\n", encoding="utf-8")


def _picture(found: Recommendation | KeepCurve, path: Path, *_: Any) -> None:
    _save(found.plot(), path)


def _groups(found: Duplicates, path: Path, ds: Dataset, image_column: str | None) -> None:
    from hf_prune.cleaning.plots import plot_duplicates

    _save(plot_duplicates(ds, found, image_column=image_column), path)


def _save(ax: Any, path: Path) -> None:
    ax.figure.savefig(path, dpi=150)


@by_one_process
def _report(scored: str, kept: str, compare: str | None = None, split: str | None = None, **values: Any) -> None:
    """Open the rows before and after the cut, and write the page."""
    names = {"scored": scored, "kept": kept} | ({} if compare is None else {"compare": compare})
    opened = {name: train_split(open_dataset(place, split=split)) for name, place in names.items()}
    if "inputs" in values:
        values["inputs"] = parse_inputs(values["inputs"])
    page = report(**opened, path=values.pop("out"), **with_run(report, values))
    show(page, out=page)


def _report_parameters() -> list[inspect.Parameter]:
    folders = {
        "scored": "Folder of the scored data set before it was pruned.",
        "kept": "Folder of what was kept of it.",
    }
    places = [
        added(name, Annotated[str, typer.Argument(metavar=name.upper(), help=text)]) for name, text in folders.items()
    ]
    given = ("scored", "kept", "path", "compare", "advice", "curve", "noise", "duplicates")
    return [
        *places,
        added("split", option(str, "Split of several; left out, the train split.", "--split"), None),
        added("compare", option(str, "Folder of what another pruning of the same rows kept.", "--compare"), None),
        added("out", option(Path, "Page to write.", "--out"), Path("report.html")),
        *function_parameters(report, leave_out=given, own={"inputs": INPUTS}),
    ]


def _parameters(function: Callable[..., Any], own: dict[str, Any], **files: str) -> list[inspect.Parameter]:
    """Arguments and options of such a command; ``files`` has the help of the options that name a file."""
    return [
        *input_parameters(),
        *function_parameters(function, own={"inputs": INPUTS, **own}),
        *(added(name, option(Path, text, f"--{name}"), None) for name, text in files.items()),
    ]


def _commands() -> dict[str, Callable[..., None]]:
    gains, rows = "Picture of what was found, such as gains.png.", "CSV file with a line per row"
    threshold = option(float, argument_docs(duplicates)["threshold"], "--threshold")
    student = option(str, "A training command, asked in place of the heads.", "--student")
    groups = "Picture of the least similar groups, such as duplicates.png."
    return {
        "duplicates": make_command(
            _inspection(duplicates, figure=_groups, out=_csv),
            _parameters(duplicates, {"threshold": threshold}, out=f"{rows} of every group.", figure=groups),
            summary(duplicates),
        ),
        "leaks": make_command(_leaks, _leaks_parameters(), summary(leaks)),
        "label-noise": make_command(
            _inspection(label_noise, out=_csv),
            _parameters(label_noise, {}, out=f"{rows}, the most suspicious first."),
            summary(label_noise),
        ),
        "recommend": make_command(
            _inspection(recommend, out=_json, figure=_picture),
            _parameters(
                recommend,
                {"keep": keep_option(recommend), "student": student},
                out="JSON file with the recommendation and its evidence.",
                figure=gains,
            ),
            summary(recommend),
        ),
        "keep-curve": make_command(
            _inspection(keep_curve, out=_csv, figure=_picture),
            _parameters(keep_curve, {}, out="CSV file with a line per point.", figure=gains),
            summary(keep_curve),
        ),
        "report": make_command(_report, _report_parameters(), summary(report)),
    }


COMMANDS = _commands()
