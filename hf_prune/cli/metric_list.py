"""The command ``metrics``: a table that fits the terminal, and all that is known of the metrics that are named."""

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from hf_prune.cli.as_json import data_of
from hf_prune.cli.output import show
from hf_prune.cli.signatures import argument_docs
from hf_prune.cli.words import flag, in_help
from hf_prune.metrics import Metric, get_metric, list_metrics
from hf_prune.scoring.from_records import RECORDED

# What to give for the inputs of a metric.
_MADE_FROM = {
    "embeddings": "--encoder",
    **dict.fromkeys(("probs", "grad_norms"), "--teachers"),
    "student_probs": "--student",
    **dict.fromkeys(RECORDED, "--dynamics"),
    "labels": "labels",
    "rows": "",
}
_NARROWEST, _WIDEST, _NEEDS = 60, 120, 28  # characters


def metrics(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAMES", help="Metrics to tell all about; left out, a line for each.")
    ] = None,
) -> None:
    """List the metrics: what they need, what they cost, which options they have."""
    asked = [get_metric(name) for name in names] if names else list(list_metrics())
    width = min(max(shutil.get_terminal_size((80, 24)).columns, _NARROWEST), _WIDEST)
    lines = [line for metric in asked for line in _entry(metric, width)] if names else list(_table(asked, width))
    show(*lines, metrics=[{**data_of(metric), "needs": needs(metric)} for metric in asked])


def _table(found: Sequence[Metric], width: int) -> Iterator[str]:
    first = max(len(metric.name) for metric in found)
    widths = (first, _NEEDS, width - first - _NEEDS - 4)
    yield from _line(("METRIC", "NEEDS", "COST"), widths)
    for metric in found:
        yield from _line((metric.name, needs(metric), metric.cost), widths)
    yield ""
    yield from textwrap.wrap(
        "hf-prune metrics NAME tells what a metric means, where it is from, and its options.", width
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """Yield the lines of a row of the table, in which long cells go on below."""
    wrapped = [_wrapped(cell, width) for cell, width in zip(cells, widths, strict=True)]
    for number in range(max(map(len, wrapped))):
        parts = [lines[number] if number < len(lines) else "" for lines in wrapped]
        yield "  ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip()


def _entry(metric: Metric, width: int) -> Iterator[str]:
    """Yield all that is known of a metric."""
    yield from _wrapped(f"{metric.name}: {in_help(metric.summary)}", width)
    docs = argument_docs(metric.function)
    facts = {
        "needs": needs(metric),
        "cost": metric.cost,
        "high is": {"difficulty": "hard", "uncertainty": "uncertain"}.get(metric.axis, "nothing: a baseline"),
        "from": metric.paper or "",
        "aliases": ", ".join(metric.aliases),
        "beware": metric.limits,
        **{flag(name): f"{docs.get(name, name)}{_default(value)}" for name, value in metric.options.items()},
    }
    facts = {name: text for name, text in facts.items() if text}
    first = max(map(len, facts))
    for name, text in facts.items():
        for line in _line((name, text), (first, width - first - 4)):
            yield f"  {line}"
    yield ""


def _default(value: object) -> str:
    return "" if value is None else f" (default {value})"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False) or [""]


def needs(metric: Metric) -> str:
    """Say what to give, with the alternatives of a metric that has several ways to its score.

    Example:
        >>> needs(get_metric("el2n")), needs(get_metric("random"))
        ('--teachers, labels or --dynamics', 'nothing')
    """
    ways: dict[str, None] = {}
    for source in ("teachers", "dynamics") if metric.choose else ("",):
        names = metric.inputs_for({}, {source})
        flags = dict.fromkeys(_MADE_FROM.get(name, f"--inputs {name}=…") for name in names)
        ways[", ".join(filter(None, flags)) or "nothing"] = None
    return " or ".join(ways)
