"""Values written as text of a card: nothing that a data set holds may turn into Markdown, HTML or a marker of ours.

Every filter returns ``Markup``, and the environment refuses to print any other string, so a template that forgets one
fails in its first test.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, though its package does not say so
from markupsafe import Markup

from hf_prune.runtime.errors import InputError

# What ends a code span, a table cell or a tag, and the backslash that these are written with.
_ACTIVE = set("`|<>&\\")
# In running text: what pages make links of, what begins a list or underlines a heading, and what marks text.
_LINK, _BULLET = re.compile(r"://|www\.|@", re.IGNORECASE), re.compile(r"[-+=]+|\d+[.)]")
_MARKED = re.compile(r"[\\`*_\[\]{}<>#|~$!&]")
_COMMIT = re.compile(r"[0-9a-f]{40}")
# More rows than this make a table of classes that nobody reads.
MAX_CLASSES = 50


def code(value: Any) -> Markup:
    r"""Show any value as a code span that is safe in running text and in a table.

    Example:
        >>> print(code("cat"), code("a|b"), code(""))
        `cat` `a\u007cb` `""`
    """
    # str() and not repr(), since a value that a template lacks raises there.
    inner = "".join(_shown(character) for character in str(value)) or '""'
    # A code span loses one space at each end, and needs more than spaces.
    inner = re.sub(r"^ | $", r"\\u0020", inner)
    return Markup(f"`{inner}`")


def _shown(character: str) -> str:
    if character in _ACTIVE or (unicodedata.category(character)[0] in "CZ" and character != " "):
        number = ord(character)
        return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
    return character


def prose(text: Any) -> Markup:
    r"""Write a sentence as running text in which nothing is markup; what would be a link or a list is a code span.

    Example:
        >>> print(prose("A *b*, see www.x.org"))
        A &#42;b&#42;, see `www.x.org`
    """
    plain = "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in str(text))
    return Markup(" ").join(
        code(word)
        if _LINK.search(word) or (place == 0 and _BULLET.fullmatch(word))
        else Markup(_MARKED.sub(lambda found: f"&#{ord(found[0])};", word))
        for place, word in enumerate(plain.split())
    )


def verbatim(text: Any) -> Markup:
    """Write lines for a fenced block, which they can neither end nor hide a marker of ours in."""
    lines = re.split(r"\r\n|\n|\r", str(text))
    kept = ["".join(c for c in line if unicodedata.category(c)[0] != "C" or c == "\t").rstrip() for line in lines]
    return Markup("\n".join(kept).replace("`", "'").replace("<!--", "<! --").strip("\n"))


def picture(path: Any, text: str) -> Markup:
    """Show a picture of the repository; nothing where the record names a file that cannot be one of ours."""
    return Markup(f"![{text}]({quote(path)})") if _is_beside(path, "png") else Markup("")


def page_link(path: Any, text: str) -> Markup:
    """Link to a page of the repository; nothing where the record names a file that cannot be one of ours."""
    return Markup(f"[{text}]({quote(path)})") if _is_beside(path, "html") else Markup("")


def is_picture(path: Any) -> bool:
    """Whether a path of a record, which anybody may have edited, can be that of a picture or page of ours."""
    return _is_beside(path, "png") or _is_beside(path, "html")


def _is_beside(path: Any, kind: str) -> bool:
    return (
        isinstance(path, str) and re.fullmatch(rf"images/[\w .+=@-]+\.{kind}", path) is not None and ".." not in path
    )


def number(value: int) -> Markup:
    """Write a count with thousands marks."""
    return Markup(f"{int(value):,}")


def percent(part: float, whole: float = 1) -> Markup:
    """Write a share of a whole with at most one decimal, such as ``33.3 %``."""
    return Markup(f"{100 * part / whole:.1f}".removesuffix(".0") + " %") if whole else Markup("none")


def digits(value: float) -> Markup:
    """Write a measured number with four significant digits."""
    return Markup(f"{float(value):.4g}")


def words(values: Mapping[str, Any]) -> Markup:
    """Write options as ``name = value`` code spans, or ``none``."""
    return Markup(", ").join(code(f"{name} = {value!r}") for name, value in values.items()) or Markup("none")


def dataset_link(repo_id: str) -> Markup:
    """Link to a data set on the Hub, by a name that the Hub would accept."""
    validate_repo_id(repo_id)
    return Markup(f"[{_plain_name(repo_id)}](https://huggingface.co/datasets/{repo_id})")


def _plain_name(name: str) -> str:
    """Escape the underscores of a name of the Hub where Markdown could take them for emphasis."""
    harmless = re.fullmatch(r"[^\W_]+(?:[_./ -][^\W_]+)*", name, re.ASCII)
    return name if harmless else name.replace("_", r"\_")


def commit_link(source: Mapping[str, Any]) -> Markup:
    """Link to the commit of a source."""
    repo_id, commit = source["repo_id"], source["commit"]
    validate_repo_id(repo_id)
    if not _COMMIT.fullmatch(commit):
        raise InputError(f"not a commit: {commit!r}")
    return Markup(f"[`{commit[:12]}`](https://huggingface.co/datasets/{repo_id}/tree/{commit})")


def names(values: Iterable[str]) -> Markup:
    """Write names as code spans with commas between them."""
    return Markup(", ").join(map(code, values))


def versions(packages: Mapping[str, str]) -> Markup:
    """Write packages with their versions, such as ``datasets 5.2.0``."""
    return Markup(", ").join(_version(f"{package} {version}") for package, version in packages.items())


def _version(text: str) -> Markup:
    plain = re.fullmatch(r"[\w.+-]+ [\w.+-]+", text, re.ASCII) and "_" not in text and not _LINK.search(text)
    return Markup(text) if plain else code(text)


def heading(text: str) -> Markup:
    """Write the name of a repository as a heading."""
    return Markup(_plain_name(text)) if re.fullmatch(r"[\w. -]+", text, re.ASCII) else code(text)


def moment(when: str) -> Markup:
    """Name a row of the table of scores."""
    return Markup({"before": "before pruning", "after": "after"}[when])


def most_cut(classes: list[list[Any]]) -> list[list[Any]]:
    """Return all classes where a page holds them, else those that lost the largest share, in the order of the classes."""
    if len(classes) <= MAX_CLASSES:
        return classes
    shares = [after / before if before else 1.0 for _, before, after in classes]
    places = sorted(range(len(classes)), key=lambda place: (shares[place], place))[:MAX_CLASSES]
    return [classes[place] for place in sorted(places)]
