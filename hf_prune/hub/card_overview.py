"""The table of all configurations of a repository, from their records."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hf_prune.hub.card_environment import environment
from hf_prune.hub.card_steps import chosen_rows
from hf_prune.hub.card_text import code, names, number
from hf_prune.hub.manifest import changed_scores

if TYPE_CHECKING:
    from markupsafe import Markup

_HOLDS = {
    "rows": "rows",
    "row numbers": "numbers of the kept rows, without the rows",
    "scores": "scores of every row",
}


def render_overview(records: Mapping[str, Any], opened: str | None) -> str:
    """Render the table.

    Args:
        records: Name of the configuration → its record; one that somebody edited beyond reading is left out.
        opened: Name of the one that ``load_dataset`` opens where none is named.

    Returns:
        Markdown; empty where there is only one configuration.
    """
    parts = [row for name in sorted(records) for row in _row(records[name], opened)]
    if len(parts) < 2:
        return ""
    return environment().get_template("overview.md.jinja").render(parts=parts).strip()


def _row(record: Any, opened: str | None) -> Iterator[dict[str, Any]]:
    from markupsafe import Markup

    try:
        holds = record.get("holds", "rows")
        yield {
            "name": record["config_name"],
            "default": record["config_name"] == opened,
            "holds": Markup(_HOLDS[holds]),
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
    """What the last pruning kept, else the scores that were made."""
    from markupsafe import Markup

    prunings = [step for step in entry["steps"] if step["kind"] == "prune"]
    if prunings:
        changed = changed_scores(entry)
        return Markup("keep {}: {}").format(code(prunings[-1]["keep"]), chosen_rows(prunings[-1], changed))
    columns = list(dict.fromkeys(step["column"] for step in entry["steps"]))
    return Markup("scores {}").format(names(columns)) if columns else Markup("not scored")
