"""Our sections of a page that belongs to somebody: written or replaced between two comments, the rest left as it is."""

import re
from collections.abc import Callable

from huggingface_hub import DatasetCard
from markupsafe import Markup

from hf_prune.hub.card.environment import environment
from hf_prune.runtime.errors import InputError

# Comments that no renderer shows and that stand alone on their lines; a name is made of harmless characters only.
_MARKER = "<!-- hf_prune {}: {} -->"
FIRST = re.compile(r"(?m)^<!-- hf_prune begin: ")  # where the first of our sections begins


def marked(name: str, section: str) -> str:
    """Return a section between the comments that name it."""
    return f"{_MARKER.format('begin', name)}\n{section}\n{_MARKER.format('end', name)}"


def has_section(text: str, name: str) -> bool:
    """Whether one of the two comments of a section is there."""
    return any(_MARKER.format(word, name) in text for word in ("begin", "end"))


def section_of(text: str, name: str) -> str:
    """Return the section of a name without its comments; empty where there is none.

    Example:
        >>> section_of(with_section("My text.", "x", "Ours."), "x")
        'Ours.'
    """
    begin, end = (_MARKER.format(word, name) for word in ("begin", "end"))
    _, found, rest = text.partition(f"{begin}\n")
    return rest.partition(f"\n{end}")[0] if found else ""


def with_section(text: str, name: str, section: str) -> str:
    """Replace a section where both of its comments are there, append it where neither is.

    Args:
        text: The page, its lines ended by a line feed alone.
        name: Name of the section.
        section: Its text, without the comments.

    Raises:
        ValueError: If one of the two comments is missing, or one is there twice.

    Example:
        >>> print(with_section("My text.", "x", "Ours."))
        My text.
        <BLANKLINE>
        <!-- hf_prune begin: x -->
        Ours.
        <!-- hf_prune end: x -->
        <BLANKLINE>
    """
    begin, end = (_MARKER.format(word, name) for word in ("begin", "end"))
    found = [[match.span() for match in re.finditer(rf"(?m)^{re.escape(mark)}[ \t]*$", text)] for mark in (begin, end)]
    if found == [[], []]:
        return f"{text.rstrip()}\n\n{marked(name, section)}\n"
    begins, ends = found
    if len(begins) != 1 or len(ends) != 1 or begins[0] > ends[0]:
        raise InputError(f"README.md must hold the lines '{begin}' and '{end}' once each, in this order: repair them")
    return text[: begins[0][0]] + marked(name, section) + text[ends[0][1] :]


def put_section(
    card: DatasetCard, name: str, section: str, title: str, afterwards: Callable[[str], str] | None = None
) -> None:
    """Put a section, without its comments, onto a page, changed in place; of an empty one it is all, under a title.

    The line ends of the page stay, and ``afterwards`` changes its text at the end. A ValueError says where the comments that
    stand around the section are damaged.
    """
    section = re.sub(r"\n{3,}", "\n\n", section)  # blocks that were left out leave blank lines behind
    newline = "\r\n" if "\r\n" in card.text else "\n"
    if card.text.strip():
        text = with_section(card.text.replace("\r\n", "\n"), name, section)
    else:
        new_page = environment().get_template("card.md.jinja")
        text = new_page.render(title=title, section=Markup(marked(name, section)))
    card.text = (text if afterwards is None else afterwards(text)).replace("\n", newline)
