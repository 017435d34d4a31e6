"""The Jinja environment of the card templates, and the references that they cite."""

import functools
import inspect
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from hf_prune.hub.card import facts, text
from hf_prune.runtime.plain_values import python
from hf_prune.runtime.templates import template_environment

if TYPE_CHECKING:
    import jinja2

_PACKAGE = "hf_prune.hub.card"


def bibtex(reference: str) -> Markup:
    """Write a reference such as ``arXiv:2206.14486`` as a BibTeX entry."""
    found = re.fullmatch(r"arXiv:(\d{4}\.\d{4,5})", reference)
    if found is None:
        return Markup("% ") + python(reference)
    unknown = f"@misc{{arxiv-{found[1]},\n  eprint = {{{found[1]}}},\n  archivePrefix = {{arXiv}}\n}}"
    return Markup(_references().get(found[1], unknown))


@functools.cache
def _references() -> dict[str, str]:
    """Return number on arXiv → entry of ``references.bib``, where a blank line separates entries."""
    entries = (files(_PACKAGE) / "references.bib").read_text(encoding="utf-8").strip().split("\n\n")
    return {entry.partition("arxiv-")[2].partition(",")[0]: entry for entry in entries}


@functools.cache
def environment() -> "jinja2.Environment":
    """Return the Jinja environment of the card templates; its filters are `bibtex` and the functions of `text` and `facts`."""
    filters: dict[str, Any] = {"bibtex": bibtex, "python": python}
    for module in (text, facts):
        filters |= {name: function for name, function in vars(module).items() if inspect.isfunction(function)}
    return template_environment(_PACKAGE, filters)
