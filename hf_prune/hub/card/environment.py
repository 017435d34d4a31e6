"""The Jinja environment of the card templates, and the references that they cite."""

import functools
import inspect
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from hf_prune.hub.card import facts, text
from hf_prune.runtime.errors import InputTypeError
from hf_prune.runtime.plain_values import python

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
    import jinja2

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
    for module in (text, facts):
        found.filters |= {name: function for name, function in vars(module).items() if inspect.isfunction(function)}
    found.filters |= {"bibtex": bibtex, "python": python}
    return found
