"""The one place where commands print: as text in which nothing acts on a terminal, or with ``--json`` as one object."""

import functools
import inspect
import json
from collections.abc import Callable
from contextvars import ContextVar
from typing import Annotated, Any, ParamSpec

import typer

from hf_prune.cli.as_json import data_of, plain
from hf_prune.runtime.messages import printable_lines
from hf_prune.runtime.processes import is_main_process

P = ParamSpec("P")

# Results of a command that was asked for JSON, by name; None where text is printed.
_results: ContextVar[dict[str, Any] | None] = ContextVar("results", default=None)
_JSON = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON object, and nothing else to stdout.")
]


def echo(text: object = "", *, err: bool = False) -> None:
    """Print a text of one or several lines, as ``str`` makes it; ``err`` sends it to stderr, apart from the results."""
    typer.echo(printable_lines(text), err=err)


def show(*parts: object, **named: Any) -> None:
    """Print a result of a command to stdout as text, or keep it for the object of ``--json``.

    Args:
        parts: What is printed, each part as ``str`` makes it, on lines of its own.
        named: The same for JSON, by name; left out, it is what `data_of` finds in the only part.
    """
    results = _results.get()
    if results is not None:
        results.update(named or data_of(*parts))
        return
    for part in parts:
        echo(part)


def is_json() -> bool:
    """Whether the command that runs was asked for JSON."""
    return _results.get() is not None


def with_json(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option ``--json``: one object with its results is then all of stdout, also of a check that failed."""

    @functools.wraps(command)
    def run(**values: Any) -> None:
        if not values.pop("json"):
            command(**values)
            return
        results: dict[str, Any] = {}
        token = _results.set(results)
        try:
            command(**values)
        except typer.Exit:  # the code of a result, such as that of a check that failed
            _print_object(results)
            raise
        finally:
            _results.reset(token)
        _print_object(results)

    signature = inspect.signature(command)
    added = inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_JSON)
    run.__dict__["__signature__"] = signature.replace(parameters=[*signature.parameters.values(), added])
    run.__annotations__ = {**command.__annotations__, "json": _JSON}
    return run


def _print_object(results: dict[str, Any]) -> None:
    if is_main_process():
        typer.echo(json.dumps(plain(results), allow_nan=False))


def by_one_process(run: Callable[P, None]) -> Callable[P, None]:
    """Have one of the processes of a launcher run a command; the others return."""

    @functools.wraps(run)
    def run_in_one(*arguments: P.args, **values: P.kwargs) -> None:
        if is_main_process():
            run(*arguments, **values)

    return run_in_one
