import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_prune.hub.layout import is_shard, matches, matching

PARTS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def slowly(name, pattern):
    """The definition: a star is whatever stays inside a folder, two are whatever there is."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.fullmatch("".join(PARTS.get(part, re.escape(part)) for part in parts), name) is not None


def paths(letters):
    return st.lists(st.text(letters, min_size=1, max_size=4), min_size=1, max_size=4)


@given(
    name=paths("ab.").map("/".join),
    pattern=paths("ab.*?").map(lambda parts: [re.sub(r"\*+", "*", part) for part in parts]),
    places=st.sets(st.integers(0, 3)),
)
def test_patterns_match_what_they_say(name, pattern, places):
    parts = ["**" if place in places else part for place, part in enumerate(pattern)]
    glob = re.sub(r"\*\*(/\*\*)+", "**", "/".join(parts))
    assert matches(name, [glob]) is slowly(name, glob)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("a" * 250, "*a" * 120 + "b"),
        ("/".join("a" * 120), "**/" * 100 + "b"),
        ("/".join("a" * 120), "**/a/" * 100 + "*a" * 100 + "b"),
        ("a" * 4000, "*?" * 400 + "b"),
    ],
)
def test_many_stars_take_no_longer_than_few(name, pattern):
    assert not matches(name, [pattern])
    assert matches(name + "b", ["**"])


def test_what_would_take_long_is_refused():
    names = [f"data/train-{number}" for number in range(2000)]
    assert matching(names, ["data/train-1?", "data/train-7"]) == [
        *(f"data/train-1{digit}" for digit in range(10)),
        "data/train-7",
    ]
    with pytest.raises(ValueError, match="501 patterns for 2,000 files, which are too many or too long"):
        matching(names, [f"{number}*" for number in range(501)])
    with pytest.raises(ValueError, match="too many or too long"):
        matching(names, ["*" * 2000])
    assert is_shard("data/train-00000-of-00001.parquet", ["data/train-*"])
