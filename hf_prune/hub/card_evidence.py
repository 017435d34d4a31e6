"""What is known of a cut against random rows, as rows of a card's tables; every value may have been edited by anybody."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hf_prune.hub.card_text import code, digits, number, percent, prose

if TYPE_CHECKING:
    from markupsafe import Markup

_RANDOM = "random"


def evidence_facts(found: Mapping[str, Any]) -> Iterator[tuple["Markup", "Markup"]]:
    """Say what was trained on how many rows, as rows of a table."""
    from markupsafe import Markup

    facts = {
        "metric": ("Scores", code),
        "student": ("Trained", prose),
        "num_rows": ("Rows judged", _count),
        "rows_per_class": ("Rows per class", _digits),
        "noise_rate": ("Estimated share of wrong labels", _share),
        "class_balance": ("Class floor of every rule", code),
        "seed": ("Seed of folds and draws", code),
    }
    for name, (title, write) in facts.items():
        if found.get(name) is not None:
            yield Markup(title), write(found[name])
    if found.get("optimistic") is True:
        yield (
            Markup("Optimistic"),
            Markup("yes: the scores had seen the labels that they were judged by, so a gain had to be twice as sure"),
        )


def evidence_rows(found: Mapping[str, Any]) -> Iterator[list["Markup"]]:
    """Say what was found for each kept fraction: fraction, rule, gain, interval."""
    for kept in _mappings(found.get("keeps")):
        yield [_share(kept.get("keep")), _rule(kept), *_gain(kept)]


def evidence_candidates(found: Mapping[str, Any]) -> Iterator[list["Markup"]]:
    """Every rule that was tried: fraction, rule, what was trained, gain, interval."""
    for kept in _mappings(found.get("keeps")):
        for tried in _mappings(kept.get("candidates")):
            yield [_share(kept.get("keep")), _rule(tried), prose(str(tried.get("head", ""))), *_gain(tried)]


def _mappings(values: Any) -> Iterable[Mapping[str, Any]]:
    return [value for value in values if isinstance(value, Mapping)] if isinstance(values, list | tuple) else []


def _rule(found: Mapping[str, Any]) -> "Markup":
    from markupsafe import Markup

    order = found.get("order")
    said = Markup("random rows") if order == _RANDOM else code(order)
    cutoff = _as_number(found.get("hardest_cutoff"))
    return said + Markup(", the hardest {} cut first").format(percent(cutoff)) if cutoff else said


def _gain(found: Mapping[str, Any]) -> list["Markup"]:
    """Gain and interval; of random rows, which are what is compared with, none."""
    from markupsafe import Markup

    if found.get("order") == _RANDOM and not found.get("hardest_cutoff"):
        return [Markup("none was sure"), Markup("")]
    return [
        _points(found.get("gain")),
        Markup("{} to {}").format(*(_points(found.get(end)) for end in ("low", "high"))),
    ]


def _points(value: Any) -> "Markup":
    """Write a difference of accuracies in percentage points, such as ``+1.2``."""
    from markupsafe import Markup

    number = _as_number(value)
    return code(value) if number is None else Markup(f"{100 * number:+.1f}")


def _share(value: Any) -> "Markup":
    number = _as_number(value)
    return code(value) if number is None else percent(number)


def _digits(value: Any) -> "Markup":
    return code(value) if _as_number(value) is None else digits(value)


def _count(value: Any) -> "Markup":
    return number(value) if isinstance(value, int) else code(value)


def _as_number(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None
