"""Whatever a data set calls its classes, columns and files, the page has the same elements, and the names are text."""

import base64
import hashlib
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hf_prune.reports.page import environment
from hf_prune.reports.report import report
from tests.helpers.page_reading import Page
from tests.helpers.report_sets import HOSTILE, cut, duplicates_of, named_set, noise_of

HARMLESS = ["one", "two", "three", "four"]


def page_of(texts, folder) -> str:
    ds = named_set(texts)
    metric, label = ds.column_names[-2], next(name for name in ds.column_names if name.startswith("l"))
    path = report(
        ds,
        cut(ds, metric),
        folder / "report.html",
        compare=cut(ds, f"{metric} two", order="easy"),
        noise=noise_of(ds, label),
        duplicates=duplicates_of(ds, label),
        num_images=3,
    )
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def harmless(tmp_path_factory) -> Page:
    return Page(page_of(HARMLESS, tmp_path_factory.mktemp("harmless")))


texts = st.text(max_size=40) | st.sampled_from(HOSTILE)


@given(names=st.lists(texts, min_size=4, max_size=4))
@example(names=HOSTILE[3:7])
@example(names=HOSTILE[20:24])
@example(names=HOSTILE[-7:-3])
@example(names=HOSTILE[-4:])
@settings(max_examples=6)
def test_names_are_text_and_nothing_else(names, harmless, tmp_path_factory):
    content = page_of(names, tmp_path_factory.mktemp("named"))
    page = Page(content)
    assert page.elements == harmless.elements
    assert page.others == []
    assert len(content.encode()) < 1_000_000
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f\x00-\x08\x0b-\x1f\x7f]", content)
    for name, value in page.attributes:
        assert not name.startswith("on")
        assert name != "style"
        if name in ("src", "href"):
            assert re.match(r"data:(image/(png|jpeg);base64,|,$)|#[a-z]+$", value)


def test_the_names_are_there(tmp_path):
    text = Page(page_of(HOSTILE[3:7], tmp_path)).text
    for name in ("<script>alert(1)</script>", "-->", "---"):
        assert name in text


def test_the_policy_lets_in_our_style_and_script_alone(harmless, tmp_path):
    content = page_of(HARMLESS, tmp_path)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', content)[1]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules.pop("img-src") == "data:"
    for kind, tag in (("style-src", "style"), ("script-src", "script")):
        (inner,) = re.findall(rf"<{tag}>(.*?)</{tag}>", content, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert rules.pop(kind) == f"'sha256-{digest}'"
    assert set(rules.values()) == {"'none'"}
    assert "default-src" in rules
    assert page_of(HARMLESS, tmp_path) == content  # the same rows, the same bytes


def test_a_template_that_forgets_to_escape_fails():
    with pytest.raises(TypeError, match="without a filter that makes it safe"):
        environment().from_string("{{ name }}").render(name="x")
    with pytest.raises(TypeError, match="is no name for a style sheet"):
        environment().from_string("{{ value | name }}").render(value='a"b')
