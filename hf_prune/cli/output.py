"""The one place where commands print: whatever a name in it would do to a terminal is shown and not done."""

import functools
from collections.abc import Callable
from typing import ParamSpec

import typer

from hf_prune.runtime.messages import printable_lines
from hf_prune.runtime.processes import is_main_process

P = ParamSpec("P")


def echo(text: object = "", *, err: bool = False) -> None:
    """Print a text of one or several lines, as ``str`` makes it; ``err`` sends it to stderr, apart from the results."""
    typer.echo(printable_lines(text), err=err)


def by_one_process(run: Callable[P, None]) -> Callable[P, None]:
    """Have one of the processes of a launcher run a command; the others return."""

    @functools.wraps(run)
    def run_in_one(*arguments: P.args, **values: P.kwargs) -> None:
        if is_main_process():
            run(*arguments, **values)

    return run_in_one
