from pathlib import Path

import pytest

from hf_prune.workflows.recipe_checks import check_type


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (1, float),
        (None, int | None),
        (["a"], str | list[str]),
        ("x", Path),
        ({"a": 1}, dict[str, int]),
        (object(), object | None),
    ],
)
def test_types_that_fit(value, hint):
    check_type("key", value, hint)


@pytest.mark.parametrize(
    ("value", "hint"), [(True, int), (1.5, int), (1, bool), ("a", list[str]), ([1], list[str]), (None, str)]
)
def test_types_that_do_not_fit(value, hint):
    with pytest.raises(ValueError, match=r"key=.* is .*; give "):
        check_type("key", value, hint)


def test_a_text_that_yaml_reads_as_false_is_to_be_put_in_quotes():
    with pytest.raises(ValueError, match=r"dataset.split=False is true or false; give text.*, in quotes where YAML"):
        check_type("dataset.split", False, str | None)
    with pytest.raises(ValueError, match=r"push.set_default='x' is text; give true or false$"):
        check_type("push.set_default", "x", bool)
