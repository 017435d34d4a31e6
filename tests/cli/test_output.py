import pytest

from hf_prune.cli import main
from hf_prune.cli.output import echo


def test_lines_stay_lines_and_nothing_else_has_an_effect(capsys):
    echo("first\nsecond \x1b[31mred\r\x07")
    echo("beside", err=True)
    printed = capsys.readouterr()
    assert printed.out == "first\nsecond \\x1b[31mred\\r\\x07\n"
    assert printed.err == "beside\n"


@pytest.mark.parametrize("command", ["verify", "apply"])
def test_a_name_on_the_command_line(tmp_path, capsys, command):
    odd = str(tmp_path / "a\x1b[2Kb")
    arguments = {"verify": [odd], "apply": [odd, str(tmp_path), "--out", str(tmp_path / "out")]}[command]
    assert main([command, *arguments]) == 2
    assert "\x1b" not in capsys.readouterr().err
