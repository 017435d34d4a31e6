"""Jinja environments whose templates print nothing that was not made safe: any string but ``Markup`` is refused."""

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from hf_prune.runtime.errors import InputTypeError

if TYPE_CHECKING:
    import jinja2


def template_environment(package: str, filters: Mapping[str, Callable[..., Any]]) -> "jinja2.Environment":
    """Return the environment of the templates in the folder ``templates`` of a package.

    Filters return ``Markup``; a template that prints a value without one fails in its first test.
    """
    import jinja2

    folder = files(package) / "templates"
    found = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        undefined=jinja2.StrictUndefined,
        finalize=_only_escaped,
        autoescape=True,  # what `finalize` lets through is marked as safe, macros included
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters |= filters
    return found


def _only_escaped(value: Any) -> Any:
    if isinstance(value, int | Markup) and not isinstance(value, bool):
        return value
    raise InputTypeError(f"a template prints {value!r} without a filter that makes it safe")
