import pytest

from hf_prune.models.code_references import code_token, references

SOURCE = """
def f(x, y=1):
    '''Text.'''
    import first as renamed
    from second import taken, module as other
    import third.part
    from . import beside
    def inner(z):
        return renamed.value + TABLE["key"] + z
    class Inside:
        width = CONSTANT
    pass_on(whole), used.attribute(x), deep.path.join(y)
    return [one for one in LISTED], other.thing, pass_on(taken)
"""


def code(source):
    names = {}
    exec(source, names)
    return names["f"].__code__


def test_names_are_read_from_the_bytecode_of_all_functions_inside():
    found = references(code(SOURCE))
    assert {"TABLE", "CONSTANT", "LISTED", "pass_on", "whole", "used", "deep"} <= found.found
    assert {"attribute", "path", "join", "value", "thing", "taken", "module", "beside"} <= found.names
    assert {"key", "Text."} <= found.strings


def test_a_variable_is_passed_on_unless_only_attributes_are_taken_of_it():
    found = references(code(SOURCE)).passed
    assert {"whole", "taken", "LISTED"} <= found
    assert not {"used", "deep", "other", "module"} & found


def test_imports_are_read_with_their_variable_and_their_dots():
    assert references(code(SOURCE)).imports == {
        ("first", 0, "renamed"),
        ("second", 0, ""),
        ("third.part", 0, "third"),
        ("", 1, ""),
    }


def test_a_renamed_import_that_is_passed_on_counts_by_its_own_name():
    found = references(code("def f(x):\n    from a import b as c\n    return x(c)"))
    assert {"b", "c"} <= found.passed


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x + 1", "x + 1.0"),
        ("x + 1", "x + True"),
        ("x + 0.0", "x + -0.0"),
        ("x in (1, 2)", "x in (1, 2.0)"),
        ("x in {1, 2}", "x in {1, 3}"),
        ("lambda: 1", "lambda: 2"),
        ("x.a", "x.b"),
        ("a", "b"),
    ],
)
def test_other_code_has_another_token(one, other):
    tokens = [code_token(code(f"def f(x): return {text}")) for text in (one, other)]
    assert tokens[0] != tokens[1]


def test_where_code_stands_is_no_part_of_it():
    assert code_token(code("def f(x): return x")) == code_token(code("\n\n# more\ndef f(x): return x"))
