import pytest

from hf_prune.runtime.names import UnknownNameError, unknown_name


def test_the_nearest_name_is_offered():
    assert (
        unknown_name("order", "hrad", ["easy", "hard"])
        == "unknown order 'hrad'. Did you mean 'hard'? Known: easy, hard"
    )


def test_nothing_is_offered_where_nothing_is_near():
    assert unknown_name("order", "zzz", {"hard": 1, "easy": 2}) == "unknown order 'zzz'. Known: easy, hard"
    assert unknown_name("order", "zzz", []) == "unknown order 'zzz'. Known: none"


def test_the_error_reads_as_one_line_without_quotes():
    with pytest.raises(KeyError) as caught:
        raise UnknownNameError("unknown order 'zzz'")
    assert str(caught.value) == "unknown order 'zzz'"
