"""The data set card: our section rendered from the record alone, the rest of the page left as it is."""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from markupsafe import Markup

from hf_prune.hub.card.environment import environment
from hf_prune.hub.card.facts import chosen_rows
from hf_prune.hub.card.header import card_text
from hf_prune.hub.card.metadata import load_card, merge_metadata, opened_config
from hf_prune.hub.card.page import FIRST, has_section, marked, put_section, with_section
from hf_prune.hub.card.sections import render_sections
from hf_prune.hub.card.text import code, names, number
from hf_prune.hub.formats import format_of
from hf_prune.hub.manifest import changed_scores
from hf_prune.runtime.errors import InputError

_OVERVIEW = "(all configurations)"  # what no configuration can be called
_NAME = re.compile(r"[\w .+=@-]+")


def build_card(
    record: Mapping[str, Any], existing: str | None = None, records: Mapping[str, Any] | None = None
) -> str:
    """Write the card of a data set from the record of one configuration.

    Args:
        record: What was published: one entry of ``configs`` in ``provenance.json``.
        existing: The present README.md; None where there is none.
        records: All entries of ``configs``, for the table of configurations; None leaves a table as it is.

    Returns:
        Content of a README.md. Of an existing one, the YAML keys and the text that are not about this configuration
        are kept; our section, between two comments that name the configuration, is written or replaced.

    Raises:
        ValueError: If the existing header is no YAML, one of the two comments is missing, or another configuration is
            the default already.
    """
    name = str(record["config_name"])
    if not _NAME.fullmatch(name):
        raise InputError(f"config_name={name!r}: use letters, digits and any of '_ .+=@-'")
    card = load_card(existing)
    merge_metadata(card.data, record)
    title = str(record["repo_id"]).rpartition("/")[2] if record["repo_id"] else "Pruned data set"
    overview = None if records is None else partial(_with_overview, records=records, opened=opened_config(card.data))
    put_section(card, name, render_sections(record), title, overview)
    return card_text(card)


def _with_overview(text: str, records: Mapping[str, Any], opened: str | None) -> str:
    """Put the table of all configurations before the first of our sections, or where it is; none where there is but one."""
    rows = [row for name in sorted(records) for row in _row(records[name], opened)]
    table = environment().get_template("overview.md.jinja").render(parts=rows).strip() if len(rows) > 1 else ""
    if has_section(text, _OVERVIEW):
        return with_section(text, _OVERVIEW, table)
    first = FIRST.search(text)
    if not table or first is None:
        return text
    return f"{text[: first.start()]}{marked(_OVERVIEW, table)}\n\n{text[first.start() :]}"


def _row(record: Any, opened: str | None) -> Iterator[dict[str, Any]]:
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


def _rows(split: str, entry: Mapping[str, Any]) -> Markup:
    before, after = entry["rows_before"], entry["rows"]
    of = Markup(" of {}").format(number(before)) if before is not None and before != after else Markup("")
    return Markup("{} {}{}").format(code(split), number(after), of)


def _made(entry: Mapping[str, Any]) -> Markup:
    """Say what the last pruning kept, else the scores that were made."""
    prunings = [step for step in entry["steps"] if step["kind"] == "prune"]
    if prunings:
        changed = changed_scores(entry)
        return Markup("keep {}: {}").format(code(prunings[-1]["keep"]), chosen_rows(prunings[-1], changed))
    columns = list(dict.fromkeys(step["column"] for step in entry["steps"]))
    return Markup("scores {}").format(names(columns)) if columns else Markup("not scored")
