"""The YAML of a card's header, read and written so that a text stays a text.

To PyYAML, which follows YAML 1.1, ``no`` (the code of Norwegian, or a class) is false and ``012`` is ten; to the Hub,
which follows YAML 1.2, ``1e3`` and ``0o7`` are numbers. A text that either would take for something else is read as a
text, and written in quotes.
"""

import re
from typing import Any

import yaml
from huggingface_hub import DatasetCard, DatasetCardData
from huggingface_hub.repocard import REGEX_YAML_BLOCK

_BOOL, _INT, _FLOAT = (f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float"))
_PLAIN = {
    _BOOL: re.compile("^(?:true|True|TRUE|false|False|FALSE)$"),
    _INT: re.compile("^(?:[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+)$"),
    _FLOAT: re.compile(
        r"^(?:[-+]?(?:0|[1-9][0-9]*)\.[0-9]*(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
}
# Numbers of YAML 1.2 that YAML 1.1 takes for texts.
_NUMBER = re.compile(r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0o[0-7]+)$")
_STARTS = list("-+.0123456789")


class _Loader(yaml.SafeLoader):
    """Reads as numbers, true and false only what every reader takes for them."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # as the base class has it
        start: [(tag, _PLAIN.get(tag, pattern)) for tag, pattern in found]
        for start, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class _Dumper(yaml.SafeDumper):
    """Puts into quotes what any reader would not take for a text."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:number-of-1.2", _NUMBER, _STARTS)


def read_card(text: str) -> DatasetCard:
    r"""Read a card whose header stands between two lines of dashes.

    Raises:
        yaml.YAMLError: If the header is no YAML.
        ValueError: If it holds no keys and values.

    Example:
        >>> read_card("---\nlanguage: no\n---\n").data.language
        'no'
    """
    card = DatasetCard(text)
    if found := REGEX_YAML_BLOCK.search(text):
        card.data = DatasetCardData(**(yaml.load(found[2], Loader=_Loader) or {}))
    return card


def card_text(card: DatasetCard) -> str:
    r"""Write a card.

    Example:
        >>> print(card_text(read_card("---\nlanguage: [no, en]\nx: 1e3\n---\n")))
        ---
        language:
        - 'no'
        - en
        x: '1e3'
        ---
        <BLANKLINE>
    """
    text = str(card)
    found = REGEX_YAML_BLOCK.search(text)
    if found is None:
        return text
    line_break = found[1].lstrip().removeprefix("---")
    # PyYAML wrote it, and reads back what it wrote; the order of the keys is settled by then.
    style: dict[str, Any] = {
        "sort_keys": False,
        "allow_unicode": True,
        "width": float("inf"),
        "line_break": line_break,
    }
    header = yaml.dump(yaml.safe_load(found[2]), Dumper=_Dumper, **style)
    return text[: found.start(2)] + header.strip() + text[found.end(2) :]
