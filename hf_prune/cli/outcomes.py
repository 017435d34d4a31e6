"""What a step did and what comes next, in words on standard error; standard output has the folder alone."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict

from hf_prune.cli.folders import save
from hf_prune.cli.output import echo, show
from hf_prune.data.history import CLEAN, Step, provenance
from hf_prune.runtime.messages import one_line, printable

PERCENTAGES = range(2, 101)  # counts of rows that may have been meant as a percentage


def save_result(
    made: Dataset | DatasetDict,
    before: Any,
    out: Path,
    overwrite: bool,
    keep: int | float | None = None,
    name: str = "out",
) -> None:
    """Save what a step made of the data ``before``, print the folder, and say what was done.

    ``keep`` is as it was typed, ``name`` that of the folder in JSON.
    """
    save(made, out, overwrite)
    show(out, **{name: out}, steps=[_facts(split, step) for split, step in _new_steps(made, before)])
    for line in (*outcome(made, before, out), *meant_as_count(keep)):
        echo(line, err=True)


def outcome(made: Dataset | DatasetDict, before: Any, out: Path) -> Iterator[str]:
    """Say in one line per step and split what was done, and in a last one which command may follow."""
    new = _new_steps(made, before)
    for split, step in new:
        yield one_line(f"{split and f'{split}: '}{_done(step)}; written to {out}")
    if new:
        yield printable(f"next: {_next(new[-1][1], [split for split, _ in new if split], out)}")


def meant_as_count(keep: int | float | None) -> Iterator[str]:
    """Say what a count of rows keeps that could be meant as a percentage.

    Example:
        >>> list(meant_as_count(80)), list(meant_as_count(0.8)), list(meant_as_count(101))
        (['--keep 80 keeps 80 rows; --keep 0.8 keeps 80 %'], [], [])
    """
    if isinstance(keep, int) and keep in PERCENTAGES:
        yield f"--keep {keep} keeps {keep} rows; --keep {keep / 100} keeps {keep} %"


def _by_split(ds: Dataset | DatasetDict) -> dict[str, Dataset]:
    return dict(ds) if isinstance(ds, DatasetDict) else {"": ds}


def _new_steps(made: Dataset | DatasetDict, before: Any) -> list[tuple[str, Step]]:
    """Return the steps that ``before`` has not, each with its split, empty for a single data set."""
    known = {step.id for ds in _by_split(before).values() for step in provenance(ds).steps}
    steps = [(split, step) for split, ds in _by_split(made).items() for step in provenance(ds).steps]
    return [(split, step) for split, step in steps if step.id not in known]


def _facts(split: str, step: Step) -> dict[str, Any]:
    named = ("kind", "metric", "column", "rows_in", "rows_out", "keep", "order", "decided")
    facts = {name: getattr(step, name) for name in named if getattr(step, name) is not None}
    return {"split": split or None, **facts, "unscored": len(step.unscored)}


def _done(step: Step) -> str:
    if step.kind == CLEAN:
        return f"kept {step.rows_out:,} of {step.rows_in:,} rows, without those that another split has, too"
    if step.kind == "prune":
        share = f"{step.rows_out / step.rows_in:.1%}".replace("%", " %")
        reason = f": {step.decided}" if step.decided else ""
        return f"kept {step.rows_out:,} of {step.rows_in:,} rows ({share}), order {step.order}{reason}"
    verb = "loaded published scores of" if "published" in step.inputs.get("scores", {}) else "scored"
    column = "" if step.column == step.metric else f" in column {step.column}"
    missing = f", {len(step.unscored):,} without a score" if step.unscored else ""
    return f"{verb} {step.rows_out:,} rows by {step.metric}{column}{missing}"


def _next(step: Step, splits: list[str], out: Path) -> str:
    """Return the command that may follow a step; of splits all are named, since a step takes the train split by itself."""
    place = shlex.quote(str(out))
    if step.kind == CLEAN:
        return f"hf-prune score {place} METRIC --out scored"
    if step.kind == "prune":
        return f"hf-prune export {place} --out folder --scores SCORED --source DATA"
    named = "".join(f" --splits {shlex.quote(split)}" for split in dict.fromkeys(splits))
    return f"hf-prune prune {place} {shlex.quote(step.column)} --keep 0.5{named} --out kept"
