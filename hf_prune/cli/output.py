"""The one place where commands print: whatever a name in it would do to a terminal is shown and not done."""

import typer

from hf_prune.runtime.messages import printable_lines


def echo(text: object = "", *, err: bool = False) -> None:
    """Print a text of one or several lines.

    Args:
        text: What is printed, as ``str`` makes it.
        err: Whether it goes to stderr, beside the results.
    """
    typer.echo(printable_lines(text), err=err)
