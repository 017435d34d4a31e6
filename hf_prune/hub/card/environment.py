"""The environment that card templates are rendered in, with every filter that they may use."""

import functools
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from hf_prune.hub.card.facts import (
    beginning,
    chosen_rows,
    evidence_candidates,
    evidence_facts,
    evidence_rows,
    figures,
    inputs,
    pruned_by,
    removed,
    settings,
)
from hf_prune.hub.card.text import (
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
    python,
    verbatim,
    versions,
    words,
)
from hf_prune.runtime.errors import InputTypeError

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

_PACKAGE = "hf_prune.hub.card"


def bibtex(reference: str) -> "Markup":
    """Write a reference such as ``arXiv:2206.14486`` as a BibTeX entry."""
    from markupsafe import Markup

    found = re.fullmatch(r"arXiv:(\d{4}\.\d{4,5})", reference)
    if found is None:
        return Markup("% ") + python(reference)
    unknown = f"@misc{{arxiv-{found[1]},\n  eprint = {{{found[1]}}},\n  archivePrefix = {{arXiv}}\n}}"
    return Markup(_references().get(found[1], unknown))


@functools.cache
def _references() -> dict[str, str]:
    """Number on arXiv → entry of ``references.bib``, where a blank line stands between two entries."""
    entries = (files(_PACKAGE) / "references.bib").read_text(encoding="utf-8").strip().split("\n\n")
    return {entry.partition("arxiv-")[2].partition(",")[0]: entry for entry in entries}


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
        raise InputTypeError(f"a card template prints {value!r} without a filter that makes it safe")

    folder = files(_PACKAGE) / "templates"
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
