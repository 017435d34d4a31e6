"""The data set card: our section rendered from the record alone, the rest of the page left as it is."""

import re
from collections.abc import Mapping
from typing import Any

from hf_prune.hub.card_code import loading, rebuilding, reproduction, using
from hf_prune.hub.card_environment import environment
from hf_prune.hub.card_metadata import load_card, merge_metadata, opened_config
from hf_prune.hub.card_overview import render_overview

# Comments that no renderer shows and that stand alone on their lines; a name is made of harmless characters only.
_MARKER = "<!-- hf_prune {}: {} -->"
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
        raise ValueError(f"config_name={name!r}: use letters, digits and any of '_ .+=@-'")
    card = load_card(existing)
    merge_metadata(card.data, record)
    begin, end = _MARKER.format("begin", name), _MARKER.format("end", name)
    section = f"{begin}\n{render_section(record)}\n{end}"
    page = existing is not None and card.text.strip()
    newline = "\r\n" if "\r\n" in card.text else "\n"
    text = _with_section(card.text.replace("\r\n", "\n"), begin, end, section) if page else _new_page(record, section)
    if records is not None:
        text = _with_overview(text, render_overview(records, opened_config(card.data)))
    card.text = text.replace("\n", newline)
    return str(card)


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


def _new_page(record: Mapping[str, Any], section: str) -> str:
    from markupsafe import Markup

    title = str(record["repo_id"]).rpartition("/")[2] if record["repo_id"] else "Pruned data set"
    return environment().get_template("card.md.jinja").render(title=title, section=Markup(section))


def _with_overview(text: str, table: str) -> str:
    """Put the table of all configurations before the first of our sections, or where it is."""
    begin, end = (_MARKER.format(word, _OVERVIEW) for word in ("begin", "end"))
    overview = f"{begin}\n{table}\n{end}"
    if begin in text or end in text:
        return _with_section(text, begin, end, overview)
    first = re.search(r"(?m)^<!-- hf_prune begin: ", text)
    if not table or first is None:
        return text
    return f"{text[: first.start()]}{overview}\n\n{text[first.start() :]}"


def _with_section(text: str, begin: str, end: str, section: str) -> str:
    """Replace our section where both comments are there, append it where neither is."""
    found = [[match.span() for match in re.finditer(rf"(?m)^{re.escape(mark)}[ \t]*$", text)] for mark in (begin, end)]
    if found == [[], []]:
        return f"{text.rstrip()}\n\n{section}\n"
    begins, ends = found
    if len(begins) != 1 or len(ends) != 1 or begins[0] > ends[0]:
        raise ValueError(f"README.md must hold the lines '{begin}' and '{end}' once each, in this order: repair them")
    return text[: begins[0][0]] + section + text[ends[0][1] :]
