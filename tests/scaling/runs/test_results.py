import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_prune.scaling.runs.results import ScalingRun, append_run, read_runs


def run(draw=0, **changed):
    values = {
        "study": "abc",
        "metric": "el2n",
        "scored_on": "all rows",
        "student": "linear student",
        "size": 100,
        "keep": 0.2,
        "order": "hard",
        "draw": draw,
        "num_rows": 20,
        "wrong": 30,
        "total": 100,
        "groups": {'class "a", b': (5, 10), "class c": (9, 60), "group x": (1, 30)},
    }
    return ScalingRun(**values | changed)


def test_measures_by_hand():
    assert run().error() == 0.3
    assert run().counts("worst class") == (5, 10)  # 50 % against 15 %
    assert run().counts("worst group") == run().counts("group x") == (1, 30)
    with pytest.raises(ValueError, match="no 'class d' in these results; there are all, class"):
        run().counts("class d")


def test_lines_are_read_as_they_were_written(tmp_path):
    runs = [run(draw, groups={"class ü,\"'": (draw, 9)}) for draw in range(3)]
    for one in runs:
        append_run(tmp_path / "results.csv", one)
    assert read_runs(tmp_path / "results.csv") == runs


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_a_file_cut_anywhere_holds_whole_lines_and_goes_on(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("cut") / "results.csv"
    runs = [run(draw) for draw in range(3)]
    for one in runs:
        append_run(path, one)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    left = read_runs(path)
    assert left == runs[: len(left)]
    assert len(left) == max(whole[:cut].count(b"\n") - 1, 0)
    for one in runs[len(left) :]:
        append_run(path, one)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "no results\n"])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "results.csv").write_text(text)
    with pytest.raises(ValueError, match="holds no results of a scaling study"):
        read_runs(tmp_path / "results.csv")


@pytest.mark.parametrize(
    "change",
    [
        {"wrong": 48, "total": 8},
        {"wrong": -1},
        {"total": 0, "wrong": 0},
        {"keep": 1.2},
        {"keep": float("nan")},
        {"num_rows": 101},
        {"num_rows": 0},
        {"draw": -1},
        {"order": "herd"},
        {"groups": {"class a": (11, 10)}},
    ],
    ids=str,
)
def test_numbers_that_no_training_can_have_are_refused(tmp_path, change):
    append_run(tmp_path / "results.csv", run(**change))
    with pytest.raises(ValueError, match=r"results.csv', line 2, has numbers that no training can have") as caught:
        read_runs(tmp_path / "results.csv")
    assert "\n" not in str(caught.value)


def test_every_byte_that_is_changed_is_noticed(tmp_path):
    path = tmp_path / "results.csv"
    for draw in range(2):
        append_run(path, run(draw))
    whole = path.read_bytes()
    for place in range(len(whole)):
        for byte in {whole[place] ^ 1, whole[place] ^ 0x10, *b'\r\n,"'} - {whole[place]}:
            path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
            if {whole[place], byte} == set(b"\r\n"):  # either ends a line
                continue
            with pytest.raises(ValueError, match=r"results.csv'"):
                read_runs(path)


def test_a_file_of_an_earlier_version_is_read_and_goes_on_as_it_is(tmp_path):
    path = tmp_path / "results.csv"
    append_run(path, run())
    lines = path.read_text().splitlines()
    path.write_text("".join(f"{line.rpartition(',')[0]}\n" for line in lines))
    assert read_runs(path) == [run()]
    append_run(path, run(1))
    assert read_runs(path) == [run(), run(1)]
    assert "crc32" not in path.read_text()


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "results.csv"
    append_run(path, run())
    path.write_text(path.read_text() + "abc,el2n,all rows\n")
    with pytest.raises(ValueError, match="line 3, is no result"):
        read_runs(path)
