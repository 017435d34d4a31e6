"""The page of a report: templates, style and script put together under a policy that lets nothing else in."""

import base64
import functools
import hashlib
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from hf_prune.runtime.errors import InputTypeError
from hf_prune.runtime.html import plain, shown
from hf_prune.runtime.messages import printable
from hf_prune.runtime.templates import template_environment

if TYPE_CHECKING:
    import jinja2

_PACKAGE = "hf_prune.reports"
_SENTENCE = 1000  # characters of a text of ours, names of a data set in it shortened before


def render(**values: Any) -> str:
    """Render the page of a report; the same values give the same bytes."""
    style, script = (_text(name) for name in ("report.css", "report.js"))
    allowed = {"img-src": "data:", "style-src": _hash(style), "script-src": _hash(script)}
    closed = dict.fromkeys(("default-src", "base-uri", "form-action"), "'none'")
    policy = Markup("; ".join(f"{name} {value}" for name, value in (closed | allowed).items()))
    page = environment().get_template("report.html.jinja")
    return page.render(style=Markup(style), script=Markup(script), policy=policy, **values).lstrip()


@functools.cache
def environment() -> "jinja2.Environment":
    """Return the Jinja environment of the report."""
    return template_environment(_PACKAGE, {"shown": shown, "words": _words, "name": _name, "source": _source})


def _words(value: Any, length: int = _SENTENCE) -> Markup:
    """Write a sentence, or the value of an attribute, in which nothing is markup."""
    return escape(plain(value, length))


def _source(line: Any) -> Markup:
    """Write a line of source, whole."""
    return escape(printable(line))


def _name(value: Any) -> Markup:
    """Write a name of ours that a style sheet or a link uses."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*|", str(value)):
        raise InputTypeError(f"{value!r} is no name for a style sheet")
    return Markup(value)


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


@functools.cache
def _text(name: str) -> str:
    return (files(_PACKAGE) / "templates" / name).read_text(encoding="utf-8")
