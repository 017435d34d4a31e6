"""The data set card: our section rendered from the record alone, the rest of the page left as it is."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from hf_prune.hub.card.header import card_text
from hf_prune.hub.card.metadata import load_card, merge_metadata, opened_config
from hf_prune.hub.card.overview import with_overview
from hf_prune.hub.card.page import put_section
from hf_prune.hub.card.sections import render_sections
from hf_prune.runtime.errors import InputError

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
    overview = None if records is None else partial(with_overview, records=records, opened=opened_config(card.data))
    put_section(card, name, render_sections(record), title, overview)
    return card_text(card)
