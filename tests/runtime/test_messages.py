import re
import warnings
from pathlib import Path

import pytest

from hf_prune.runtime import messages

PACKAGE = Path(__file__).resolve().parents[2] / "hf_prune"


def test_nothing_of_a_text_acts_on_the_terminal():
    every = "".join(map(chr, range(0x3000)))
    assert messages.printable(every).isprintable()
    assert messages.printable("naïve 名前 🙂") == "naïve 名前 🙂"
    assert messages.printable("\ud800") == r"\ud800"
    assert messages.one_line("a\n\x1b[1mb") == r"a \x1b[1mb"
    assert len(messages.one_line("x" * 10_000)) == 2000


def test_warnings_are_one_line_and_come_from_the_caller():
    def caller():
        messages.warn("a\nb\x1b[0m", stacklevel=1)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        caller()
    assert str(caught[0].message) == r"a b\x1b[0m"
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("call", "only"),
    [
        (r"warnings\.warn\(", {"runtime/messages.py"}),
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
