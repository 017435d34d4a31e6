"""HTML for notebooks and reports: every text that a data set holds is shown as text, on one line, and in its own direction."""

from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup, escape

from hf_prune.runtime.messages import printable, shortened

_SHOWN = 80  # characters of a name
_CELL = "padding:2px 10px 2px 0;text-align:left"


def plain(text: object, length: int = _SHOWN) -> str:
    r"""Return a text for an attribute or a drawing: on one line, not too long, each character one that can be seen.

    Example:
        >>> plain("<b>\u202e"), plain("abcdef", 4)
        ('<b>\\u202e', 'abc…')
    """
    return shortened(printable(shortened(str(text), length)), 2 * length)


def shown(text: object, length: int = _SHOWN) -> Markup:
    r"""Write a text of a data set as HTML that holds it and nothing else; it cannot turn the direction of what stands around.

    Example:
        >>> print(shown("<script>"), shown("\u05d0\n"))
        <bdi>&lt;script&gt;</bdi> <bdi>א\n</bdi>
    """
    return Markup("<bdi>{}</bdi>").format(plain(text, length))


def table(rows: Iterable[Sequence[Any]], head: Sequence[str] = ()) -> Markup:
    """Write a table for a notebook; a cell that is no ``Markup`` is text.

    Example:
        >>> print(table([["a<b", 1]]))
        <table><tr><td style="padding:2px 10px 2px 0;text-align:left"><bdi>a&lt;b</bdi></td><td style="padding:2px 10px 2px 0;text-align:left"><bdi>1</bdi></td></tr></table>
    """
    lines = [(Markup("th"), head)] if head else []
    lines += [(Markup("td"), row) for row in rows]
    return Markup("<table>{}</table>").format(Markup("").join(_line(tag, cells) for tag, cells in lines))


def _line(tag: Markup, cells: Iterable[Any]) -> Markup:
    cell = Markup('<{tag} style="{style}">{text}</{tag}>')
    found = [cell.format(tag=tag, style=Markup(_CELL), text=_text(value)) for value in cells]
    return Markup("<tr>{}</tr>").format(Markup("").join(found))


def _text(value: Any) -> Markup:
    return value if isinstance(value, Markup) else shown(value, 200)


def fragment(*parts: Any) -> str:
    """Join what a notebook shows of an object, one part below the other; a part that is no ``Markup`` is a sentence.

    Example:
        >>> fragment("2 of 5 rows")
        '<div><div><bdi>2 of 5 rows</bdi></div></div>'
    """
    found = [
        Markup("<div>{}</div>").format(
            shown(part, 500) if isinstance(part, str) and not isinstance(part, Markup) else escape(part)
        )
        for part in parts
    ]
    return str(Markup("<div>{}</div>").format(Markup("").join(found)))
