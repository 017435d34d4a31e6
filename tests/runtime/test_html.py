import xml.etree.ElementTree as ET

import pytest
from markupsafe import Markup

from hf_prune.runtime.html import fragment, plain, shown, table
from tests.helpers.report_sets import HOSTILE


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_one_line_of_characters_that_are_seen(text):
    assert plain(text).isprintable()
    assert len(plain(text)) <= 160
    held = ET.fromstring(shown(text))
    assert (held.tag, list(held)) == ("bdi", [])
    assert held.text == (plain(text) or None)


def test_short_names_stay_what_they_are():
    assert plain("a & b") == "a & b"
    assert shown("a & b") == Markup("<bdi>a &amp; b</bdi>")
    assert plain("x" * 100, 10) == "x" * 9 + "…"


@pytest.mark.parametrize("text", HOSTILE)
def test_fragments_have_the_same_elements_whatever_they_hold(text):
    held = ET.fromstring(fragment(text, table([[text, 3]], [text, "n"]), Markup("<b>ours</b>")))
    assert [element.tag for element in held.iter()] == [
        *(
            "div",
            "div",
            "bdi",
            "div",
            "table",
            "tr",
            "th",
            "bdi",
            "th",
            "bdi",
            "tr",
            "td",
            "bdi",
            "td",
            "bdi",
            "div",
            "b",
        )
    ]
