"""Report of a study: means with intervals as CSV, the sentences, and the picture where matplotlib is installed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_prune.runtime.errors import InputError
from hf_prune.runtime.files import write_csv
from hf_prune.runtime.folders import owned
from hf_prune.runtime.messages import printable
from hf_prune.scaling.runs.findings import EASY, HARD, RANDOM, Contrast, Study, sentences
from hf_prune.scaling.runs.results import ALL, FULL, WORST_CLASS, WORST_GROUP, ScalingRun

FIELDS = ("measure", "size", "keep", "order", "num_rows", "num_draws")
FIGURES = ("error", "against_full", "against_random", "hard_less_easy")


def measures_of(runs: Sequence[ScalingRun]) -> list[str]:
    """List the measures: all rows, the worst class and group where there are some, and the groups of the test rows."""
    groups = list(runs[0].groups) if runs else []
    worst = [
        name
        for name, kind in ((WORST_CLASS, "class "), (WORST_GROUP, "group "))
        if any(group.startswith(kind) for group in groups)
    ]
    return [ALL, *worst, *(group for group in groups if group.startswith("group "))]


def write_report(runs: Sequence[ScalingRun], folder: str | Path) -> list[Path]:
    """Write ``summary.csv``, ``sentences.txt`` and, with matplotlib, ``scaling.png`` for all measures.

    Args:
        runs: Trainings, as `measure_scaling` returns them.
        folder: Where to.

    Returns:
        The files written. Errors in the table are shares, intervals 95 % over draws; differences are paired by draw.

    Raises:
        ValueError: If there is no training.
        OSError: If a file cannot be written.
    """
    if not runs:
        raise InputError("no trainings; make some with measure_scaling")
    target = Path(folder)
    with owned(target) as own:
        names = _write(runs, own.stage())
        own.commit()
    return [target / name for name in names]


def _write(runs: Sequence[ScalingRun], folder: Path) -> list[str]:
    """Write the files and return their names."""
    columns = [*FIELDS, *(f"{figure}{end}" for figure in FIGURES for end in ("", "_low", "_high"))]
    lines = [line for measure in measures_of(runs) for line in _lines(Study(runs, measure))]
    write_csv(folder / "summary.csv", columns, ([line.get(column, "") for column in columns] for line in lines))
    (folder / "sentences.txt").write_text("".join(f"{line}\n" for line in report_lines(runs)), encoding="utf-8")
    return ["summary.csv", "sentences.txt", *_picture(runs, folder / "scaling.png")]


def report_lines(runs: Sequence[ScalingRun]) -> list[str]:
    """Return the sentences of every measure, each measure under its name."""
    found: list[str] = []
    for measure in measures_of(runs):
        name = "all test rows" if measure == ALL else measure
        found += map(printable, (f"[{name}]", *sentences(runs, measure)))
    return found


def _lines(study: Study) -> list[dict[str, Any]]:
    rows = {(run.size, run.keep, run.order): run.num_rows for run in study.runs}
    lines = []
    for (size, keep, order), num_rows in rows.items():
        mean = study.mean(size, keep, order)
        line: dict[str, Any] = {"measure": study.measure, "size": size, "keep": keep, "order": order}
        line |= {"num_rows": num_rows, "num_draws": mean.num_draws, **_cells("error", mean)}
        if order != FULL:
            line |= _cells("against_full", study.against(size, keep, order, FULL))
        if order in (HARD, EASY):
            line |= _cells("against_random", study.against(size, keep, order, RANDOM))
        if order == HARD:
            line |= _cells("hard_less_easy", study.against(size, keep, HARD, EASY))
        lines.append(line)
    return lines


def _cells(figure: str, found: Contrast) -> dict[str, str]:
    ends = {"": found.mean, "_low": found.low, "_high": found.high}
    return {f"{figure}{end}": f"{value:.6f}" for end, value in ends.items()}


def _picture(runs: Sequence[ScalingRun], path: Path) -> list[str]:
    from hf_prune.scaling.runs.plots import scaling_figure

    try:
        figure = scaling_figure(runs)
    except ImportError:  # matplotlib is an extra; the tables say the same
        return []
    figure.savefig(path, dpi=150)
    return [path.name]
