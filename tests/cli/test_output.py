import pytest

from hf_prune.cli import main
from hf_prune.cli.errors import message, report
from hf_prune.cli.output import echo
from hf_prune.runtime.names import UnknownNameError


def test_lines_stay_lines_and_nothing_else_has_an_effect(capsys):
    echo("first\nsecond \x1b[31mred\r\x07")
    echo("beside", err=True)
    printed = capsys.readouterr()
    assert printed.out == "first\nsecond \\x1b[31mred\\r\\x07\n"
    assert printed.err == "beside\n"


def test_errors_are_one_line_whatever_they_quote(capsys):
    assert message(ValueError("a\nb\x1b[0m\u2028c")) == r"a b\x1b[0m c"
    assert message(UnknownNameError("a\nb")) == "a b"
    report(OSError("no\x1b[2K\nall 21 checks agree"))
    assert capsys.readouterr().err == "error: no\\x1b[2K all 21 checks agree\n"


@pytest.mark.parametrize("command", ["verify", "apply"])
def test_a_name_on_the_command_line(tmp_path, capsys, command):
    odd = str(tmp_path / "a\x1b[2Kb")
    arguments = {"verify": [odd], "apply": [odd, str(tmp_path), "--out", str(tmp_path / "out")]}[command]
    assert main([command, *arguments]) == 2
    assert "\x1b" not in capsys.readouterr().err
