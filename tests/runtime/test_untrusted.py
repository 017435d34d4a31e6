import json
import os
import threading
from pathlib import Path

import pytest

from hf_prune.runtime import untrusted

PACKAGE = Path(__file__).resolve().parents[2] / "hf_prune"


def refused(text):
    with pytest.raises(ValueError, match=r"^[ -~…]+$") as error:
        untrusted.read_json(text)
    return str(error.value)


def test_json_is_no_deeper_and_no_larger_than_can_be_handled():
    assert "more than 64 deep" in refused("[" * 100_000)
    assert "more than 64 deep" in refused("[" * 900 + "]" * 900)
    assert "more than 64 deep" in refused('{"a":' * 65 + "1" + "}" * 65)
    assert untrusted.read_json("[" * 64 + "]" * 64)
    assert "more than 4,000,000 values" in refused("[" + "0," * 4_000_000 + "0]")
    assert "400 digits" in refused("9" * 401)
    assert "NaN is no number" in refused("[NaN]")
    assert "JSON compliant" in refused("[1e400]")
    assert "no valid Unicode" in refused('["\\ud800"]')


def test_files_are_plain_and_bounded(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert untrusted.read_bytes(path, 5) == b"12345"
    with pytest.raises(ValueError, match="file has more than 4 bytes"):
        untrusted.read_bytes(path, 4)
    with pytest.raises(OSError, match="'/dev/zero' is no regular file"):
        untrusted.read_bytes(Path("/dev/zero"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        untrusted.read_bytes(tmp_path / "pipe")


def test_aliases_count_as_often_as_they_are_followed():
    value = [1]
    for _ in range(40):
        value = [value, value]
    found = []
    counting = threading.Thread(target=lambda: found.append(_error_of(value)))
    counting.start()
    counting.join(60)
    assert found == ["it holds more than 4,000,000 values"]
    assert json.dumps(untrusted.read_json('{"a": [1, {"b": null}]}')) == '{"a": [1, {"b": null}]}'


def _error_of(value):
    try:
        untrusted.check_nesting(value)
    except ValueError as error:
        return str(error)
    return None
