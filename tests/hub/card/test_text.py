"""How values become text of a card."""

import re

import jinja2
import pytest
from markdown_it import MarkdownIt

from hf_prune.hub.card.environment import environment
from hf_prune.hub.card.text import MAX_CLASSES, code, most_cut, percent
from tests.helpers.card_records import NASTY


def test_a_template_that_forgets_to_escape_fails():
    with pytest.raises(TypeError, match="without a filter"):
        environment().from_string("{{ name }}").render(name="x")
    with pytest.raises(jinja2.UndefinedError):
        environment().from_string("{{ nothing | code }}").render()


@pytest.mark.parametrize("value", [*NASTY, "", "é", "日本", "\ud800", "\U0001f600", "a" * 300])
def test_a_code_span_is_one(value):
    span = str(code(value))
    assert re.fullmatch(r"`[^`|<>&\n\r]+`", span)
    (token,) = MarkdownIt("commonmark").parseInline(span)
    assert [child.type for child in token.children] == ["code_inline"]


def test_numbers():
    assert [str(percent(*pair)) for pair in ((1, 3), (1, 2), (0, 5), (1, 0))] == ["33.3 %", "50 %", "0 %", "none"]
    assert str(code(0.8)) == "`0.8`"


def test_the_classes_that_lost_most():
    classes = [[str(number), 10, 10 if number % 2 else 1] for number in range(2 * MAX_CLASSES)]
    assert [name for name, _, _ in most_cut(classes)] == [str(number) for number in range(0, 2 * MAX_CLASSES, 2)]
    assert most_cut(classes[:MAX_CLASSES]) == classes[:MAX_CLASSES]
