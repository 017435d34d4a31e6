"""The table of all configurations on a card."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hf_prune.hub.card.environment import environment
from hf_prune.hub.card.facts import chosen_rows
from hf_prune.hub.card.page import FIRST, has_section, marked, with_section
from hf_prune.hub.card.text import code, names, number
from hf_prune.hub.formats import format_of
from hf_prune.hub.manifest import changed_scores

if TYPE_CHECKING:
    from markupsafe import Markup

_NAME = "(all configurations)"  # what no configuration can be called


def with_overview(text: str, records: Mapping[str, Any], opened: str | None) -> str:
    """Put the table of all configurations before the first of our sections, or where it is.

    Args:
        text: The page.
        records: Name of the configuration → its record; one that somebody edited beyond reading is left out.
        opened: Name of the one that ``load_dataset`` opens where none is named.

    Returns:
        The page; as it was where there is only one configuration, and no table yet.
    """
    rows = [row for name in sorted(records) for row in _row(records[name], opened)]
    table = environment().get_template("overview.md.jinja").render(parts=rows).strip() if len(rows) > 1 else ""
    if has_section(text, _NAME):
        return with_section(text, _NAME, table)
    first = FIRST.search(text)
    if not table or first is None:
        return text
    return f"{text[: first.start()]}{marked(_NAME, table)}\n\n{text[first.start() :]}"


def _row(record: Any, opened: str | None) -> Iterator[dict[str, Any]]:
    from markupsafe import Markup

    try:
        yield {
            "name": record["config_name"],
            "default": record["config_name"] == opened,
            "holds": Markup(format_of(record).summary),
            "rows": Markup("; ").join(_rows(split, entry) for split, entry in record["splits"].items()),
            "made": Markup("; ").join(dict.fromkeys(map(_made, record["splits"].values()))),
        }
    except (KeyError, TypeError, AttributeError, ValueError):  # anybody may have edited provenance.json
        return


def _rows(split: str, entry: Mapping[str, Any]) -> "Markup":
    from markupsafe import Markup

    before, after = entry["rows_before"], entry["rows"]
    of = Markup(" of {}").format(number(before)) if before is not None and before != after else Markup("")
    return Markup("{} {}{}").format(code(split), number(after), of)


def _made(entry: Mapping[str, Any]) -> "Markup":
    """Say what the last pruning kept, else the scores that were made."""
    from markupsafe import Markup

    prunings = [step for step in entry["steps"] if step["kind"] == "prune"]
    if prunings:
        changed = changed_scores(entry)
        return Markup("keep {}: {}").format(code(prunings[-1]["keep"]), chosen_rows(prunings[-1], changed))
    columns = list(dict.fromkeys(step["column"] for step in entry["steps"]))
    return Markup("scores {}").format(names(columns)) if columns else Markup("not scored")
