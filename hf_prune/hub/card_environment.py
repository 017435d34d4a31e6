"""The environment that card templates are rendered in, with every filter that they may use."""

import functools
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from hf_prune.hub.card_evidence import evidence_candidates, evidence_facts, evidence_rows
from hf_prune.hub.card_references import bibtex
from hf_prune.hub.card_steps import beginning, chosen_rows, figures, inputs, pruned_by, removed, settings
from hf_prune.hub.card_text import (
    code,
    commit_link,
    dataset_link,
    digits,
    heading,
    moment,
    most_cut,
    names,
    number,
    percent,
    picture,
    prose,
    verbatim,
    versions,
    words,
)

if TYPE_CHECKING:
    import jinja2

_FILTERS = (
    code,
    number,
    percent,
    digits,
    words,
    names,
    versions,
    heading,
    moment,
    most_cut,
    inputs,
    figures,
    beginning,
    chosen_rows,
    pruned_by,
    settings,
    removed,
    bibtex,
    dataset_link,
    commit_link,
    prose,
    verbatim,
    picture,
    evidence_facts,
    evidence_rows,
    evidence_candidates,
)


@functools.cache
def environment() -> "jinja2.Environment":
    """Return the Jinja environment of the card templates, which ship in the package."""
    import jinja2
    from markupsafe import Markup

    def only_escaped(value: Any) -> Any:
        if isinstance(value, int | Markup) and not isinstance(value, bool):
            return value
        raise TypeError(f"a card template prints {value!r} without a filter that makes it safe")

    folder = files("hf_prune.hub") / "templates"
    found = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        undefined=jinja2.StrictUndefined,
        finalize=only_escaped,
        autoescape=True,  # what `finalize` lets through is marked as safe, macros included
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters |= {make.__name__: make for make in _FILTERS}
    return found
