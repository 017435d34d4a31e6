import ast
from pathlib import Path

import pytest

from hf_prune.runtime.plain_values import python, without_paths
from tests.helpers.card_records import NASTY


@pytest.mark.parametrize(
    "value", [*NASTY, "", "é", "日本", "\ud800", "\U0001f600", "a" * 300, [1, "<"], {"k": [None, 0.5]}]
)
def test_python_is_the_value(value):
    assert ast.literal_eval(str(python(value))) == value
    assert str(python(value)).isascii()
    assert not set("<>&`\n") & set(str(python(value)))


def test_values_lose_the_paths_of_this_machine():
    held = {"a": ["/data/of/me/w.npy", ("~/y",)], "b": f"from {Path.home()}/x", "c": 3, "d": "org/name"}
    assert without_paths(held) == {"a": ["w.npy", ["y"]], "b": "from ~/x", "c": 3, "d": "org/name"}
