import _thread
import inspect
import re
import sys
import threading
import warnings
from pathlib import Path

import pytest

import hf_prune
from hf_prune.runtime import messages

PACKAGE = Path(__file__).resolve().parents[2] / "hf_prune"


def test_nothing_of_a_text_acts_on_the_terminal():
    every = "".join(map(chr, range(0x3000)))
    assert messages.printable(every).isprintable()
    assert messages.printable("naïve 名前 🙂") == "naïve 名前 🙂"
    assert messages.printable("\ud800") == r"\ud800"
    assert messages.one_line("a\n\x1b[1mb") == r"a \x1b[1mb"
    assert len(messages.one_line("x" * 10_000)) == 2000


def test_warnings_are_one_line_and_point_at_the_line_that_called_the_package():
    inside = {"__name__": "hf_prune.somewhere", "messages": messages}
    exec("def deep():\n    messages.warn('a\\nb\\x1b[0m')\ndef call(function):\n    return function()", inside)

    def of_the_user():  # such as a metric of their own, which the package calls
        return inside["call"](inside["deep"])

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        inside["deep"]()
        inside["call"](of_the_user)  # the outermost call is theirs
        threading.Thread(target=inside["deep"]).run()
    here = inspect.getsourcelines(sys._getframe())[1] + 9
    assert [(found.filename, found.lineno) for found in caught[:2]] == [(__file__, here), (__file__, here + 1)]
    assert {str(found.message) for found in caught} == {r"a b\x1b[0m"}
    assert {found.category for found in caught} == {hf_prune.HfPruneWarning}
    assert len(caught) == 3


def test_a_thread_of_the_package_has_no_caller():
    inside = {"__name__": "hf_prune.somewhere", "messages": messages, "_thread": _thread, "done": threading.Event()}
    exec("def alone():\n    messages.warn('x')\n    done.set()", inside)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _thread.start_new_thread(inside["alone"], ())
        assert inside["done"].wait(10)
    assert len(caught) == 1


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
