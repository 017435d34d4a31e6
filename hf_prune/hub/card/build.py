"""The data set card: our section rendered from the record alone, the rest of the page left as it is."""

import re
from collections.abc import Mapping
from typing import Any

from hf_prune.hub.card.code import loading, rebuilding, reproduction, using
from hf_prune.hub.card.environment import environment
from hf_prune.hub.card.header import card_text
from hf_prune.hub.card.metadata import load_card, merge_metadata, opened_config
from hf_prune.hub.card.sections import FIRST, has_section, marked, put_section, render_overview, with_section
from hf_prune.runtime.errors import InputError

_OVERVIEW = "(all configurations)"  # what no configuration can be called
_NAME = re.compile(r"[\w .+=@-]+")


def build_card(
    record: Mapping[str, Any], existing: str | None = None, records: Mapping[str, Any] | None = None
) -> str:
    """Write the card of a data set from the record of one configuration.

    Args:
        record: What was published: one entry of ``configs`` in ``provenance.json``.
        existing: The README.md that is there; None where there is none.
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

    def with_overview(text: str) -> str:
        return text if records is None else _with_overview(text, render_overview(records, opened_config(card.data)))

    put_section(card, name, render_section(record), title, with_overview)
    return card_text(card)


def render_section(record: Mapping[str, Any]) -> str:
    """Render our section of the page, without the comments around it."""
    rendered = (
        environment()
        .get_template("section.md.jinja")
        .render(
            record=record,
            load=_line(loading(record)),
            using=list(map(_line, using(record))),
            reproduce={name: map(_line, reproduction(entry)) for name, entry in record["splits"].items()},
            rebuild=list(map(_line, rebuilding(record))),
            citations=_cited_sources(record),
        )
    )
    # Blocks that were left out leave blank lines behind.
    return re.sub(r"\n{3,}", "\n\n", rendered).strip()


def _cited_sources(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The sources whose cards say how to cite them, each once."""
    sources = {split["source"].get("repo_id"): split["source"] for split in record["splits"].values()}
    return [source for source in sources.values() if (source.get("card") or {}).get("citation")]


def _line(source: str) -> Any:
    """Mark a line of Python made by `card_code` as safe for a fenced block."""
    from markupsafe import Markup

    return Markup(source)


def _with_overview(text: str, table: str) -> str:
    """Put the table of all configurations before the first of our sections, or where it is."""
    if has_section(text, _OVERVIEW):
        return with_section(text, _OVERVIEW, table)
    first = FIRST.search(text)
    if not table or first is None:
        return text
    return f"{text[: first.start()]}{marked(_OVERVIEW, table)}\n\n{text[first.start() :]}"
