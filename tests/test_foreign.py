import json
import os
import re
import threading
import warnings
from pathlib import Path

import pytest

from hf_prune import foreign

PACKAGE = Path(__file__).resolve().parents[1] / "hf_prune"


def refused(text):
    with pytest.raises(ValueError, match=r"^[ -~…]+$") as error:
        foreign.read_json(text)
    return str(error.value)


def test_json_is_no_deeper_and_no_larger_than_can_be_handled():
    assert "more than 64 deep" in refused("[" * 100_000)
    assert "more than 64 deep" in refused("[" * 900 + "]" * 900)
    assert "more than 64 deep" in refused('{"a":' * 65 + "1" + "}" * 65)
    assert foreign.read_json("[" * 64 + "]" * 64)
    assert "more than 4,000,000 values" in refused("[" + "0," * 4_000_000 + "0]")
    assert "400 digits" in refused("9" * 401)
    assert "NaN is no number" in refused("[NaN]")
    assert "JSON compliant" in refused("[1e400]")
    assert "no valid Unicode" in refused('["\\ud800"]')


def test_files_are_plain_and_bounded(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert foreign.read_bytes(path, 5) == b"12345"
    with pytest.raises(ValueError, match="file has more than 4 bytes"):
        foreign.read_bytes(path, 4)
    with pytest.raises(OSError, match="'/dev/zero' is no regular file"):
        foreign.read_bytes(Path("/dev/zero"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        foreign.read_bytes(tmp_path / "pipe")


def test_nothing_of_a_text_acts_on_the_terminal():
    every = "".join(map(chr, range(0x3000)))
    assert foreign.printable(every).isprintable()
    assert foreign.printable("naïve 名前 🙂") == "naïve 名前 🙂"
    assert foreign.printable("\ud800") == r"\ud800"
    assert foreign.one_line("a\n\x1b[1mb") == r"a \x1b[1mb"
    assert len(foreign.one_line("x" * 10_000)) == 2000


def test_warnings_are_one_line_and_come_from_the_caller():
    def caller():
        foreign.warn("a\nb\x1b[0m", stacklevel=1)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        caller()
    assert str(caught[0].message) == r"a b\x1b[0m"
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("call", "only"),
    [
        (r"warnings\.warn\(", {"foreign.py"}),
        (r"typer\.(echo|secho)\(", {"cli/output.py"}),
        (r"(?<!\.)\bprint\(", set()),
    ],
)
def test_one_function_prints_and_one_warns(call, only):
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(call, line) and not line.lstrip().startswith((">>>", "..."))
    }
    assert found == only


def test_aliases_count_as_often_as_they_are_followed():
    value = [1]
    for _ in range(40):
        value = [value, value]
    found = []
    counting = threading.Thread(target=lambda: found.append(_error_of(value)))
    counting.start()
    counting.join(60)
    assert found == ["it holds more than 4,000,000 values"]
    assert json.dumps(foreign.read_json('{"a": [1, {"b": null}]}')) == '{"a": [1, {"b": null}]}'


def _error_of(value):
    try:
        foreign.check_nesting(value)
    except ValueError as error:
        return str(error)
    return None
