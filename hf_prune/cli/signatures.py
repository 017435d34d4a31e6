"""Options of the command line from the signatures and docstrings of the functions that they call: one vocabulary."""

import inspect
import re
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer

from hf_prune.metrics import Metric, list_metrics
from hf_prune.runtime.errors import InputTypeError
from hf_prune.scoring.run import Run, flat_parameters

_ENTRY = re.compile(r"^    \*{0,2}(\w+): (.+)$")


def argument_docs(function: Callable[..., Any]) -> dict[str, str]:
    """Read the ``Args:`` of a function, or the ``Attributes:`` of a class, in Google style: name → its text on one line.

    Example:
        >>> argument_docs(argument_docs)
        {'function': 'Any function.'}

    Args:
        function: Any function.
    """
    heading = "Attributes:\n" if inspect.isclass(function) else "Args:\n"
    _, _, block = (inspect.getdoc(function) or "").partition(heading)
    docs: dict[str, str] = {}
    name = ""
    for line in block.splitlines():
        if not line.startswith("    "):
            break
        entry = _ENTRY.match(line)
        if entry:
            name = entry[1]
            docs[name] = entry[2]
        else:
            docs[name] += f" {line.strip()}"
    return {name: _plain(text) for name, text in docs.items()}


def summary(function: Callable[..., Any]) -> str:
    """The first sentence of a function's documentation."""
    return _plain((inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " "))


def _plain(text: str) -> str:
    """Without the marks of code, and in the words of somebody who types options instead of arguments."""
    return re.sub(r"\bNone\b", "leaving it out", text.replace("`", ""))


def flag(name: str) -> str:
    """The option of a parameter.

    Example:
        >>> flag("class_balance")
        '--class-balance'
    """
    return f"--{name.replace('_', '-')}"


def function_parameters(
    function: Callable[..., Any],
    *,
    leave_out: Collection[str] = (),
    own: Mapping[str, Any] | None = None,
) -> list[inspect.Parameter]:
    """Turn every parameter but ``ds``, the data set, into an argument or an option, ``run`` into one for each of its settings.

    Args:
        function: A public function with a Google docstring; positional parameters become arguments.
        leave_out: Parameters that have no place on a command line.
        own: Parameter → annotation, for those whose text on the command line is read in a way of their own.

    Returns:
        Parameters for `make_command`.
    """
    (parameters, hints), docs = flat_parameters(function), argument_docs(Run) | argument_docs(function)
    found = []
    for name, parameter in parameters.items():
        if name in {"ds", *leave_out} or parameter.kind is parameter.VAR_KEYWORD:
            continue
        if own and name in own:
            annotation = own[name]
        elif parameter.kind is parameter.KEYWORD_ONLY:
            kind = option_type(hints[name])
            # What is off by default needs no flag to switch it off.
            is_pair = kind is bool and parameter.default is not False
            annotation = option(kind, docs[name], f"{flag(name)}/--no-{flag(name)[2:]}" if is_pair else flag(name))
        else:
            annotation = Annotated[option_type(hints[name]), typer.Argument(help=docs[name], show_default=False)]
        found.append(parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=annotation))
    return found


def option(kind: Any, text: str, *flags: str, **settings: Any) -> Any:
    """Annotate a parameter of a command as an option."""
    return Annotated[kind, typer.Option(*flags, help=text, **settings)]


def option_type(hint: Any) -> Any:
    """The type that text on a command line is turned into, for a type hint.

    Example:
        >>> option_type(int | None), option_type(str | Sequence[str] | None), option_type(typing.Any)
        (<class 'int'>, list[str], <class 'str'>)

    Raises:
        TypeError: If there is no one way to write it, as for a mapping.
    """
    is_union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    choices = typing.get_args(hint) if is_union else [hint]
    if any(typing.get_origin(choice) is Mapping for choice in choices):
        raise InputTypeError(
            f"text cannot be turned into {hint} in one way: annotate the parameter with one of its own"
        )
    sequences = [choice for choice in choices if typing.get_origin(choice) in (Sequence, list, tuple)]
    if sequences:
        return list[typing.get_args(sequences[0])[0]]  # type: ignore[misc]  # built at run time, read by typer
    return next((kind for kind in (bool, float, int) if kind in choices and str not in choices), str)


def metric_parameters() -> list[inspect.Parameter]:
    """Options of all metrics; whether one belongs to the metric at hand is checked by the metric."""
    owners: dict[str, list[Metric]] = {}
    for metric in list_metrics():
        for name in metric.options:
            if name != "seed":  # a parameter of score_with
                owners.setdefault(name, []).append(metric)
    return [_metric_parameter(name, metrics) for name, metrics in owners.items()]


def _metric_parameter(name: str, metrics: Sequence[Metric]) -> inspect.Parameter:
    kinds = {option_type(typing.get_type_hints(metric.function)[name]) for metric in metrics}
    if len(kinds) != 1:
        raise InputTypeError(
            f"option {name!r} means different types in {', '.join(metric.name for metric in metrics)}"
        )
    defaults = ", ".join(f"{metric.name}, default {_shown(metric, name)}" for metric in metrics)
    text = f"{argument_docs(metrics[0].function)[name]} (Of {defaults}.)"
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option(kinds.pop(), text, flag(name))
    )


def _shown(metric: Metric, option: str) -> str:
    return "by the number of rows" if option in metric.default_options else str(metric.options[option])


def make_command(
    run: Callable[..., None], parameters: Iterable[inspect.Parameter], text: str, examples: str = ""
) -> Callable[..., None]:
    """Build the function that typer reads: it hands on what was given and leaves the rest to the callee's defaults."""

    def command(**values: Any) -> None:
        run(**{name: value for name, value in values.items() if value is not None and value != []})

    ordered = sorted(parameters, key=lambda parameter: not _is_argument(parameter))
    command.__dict__["__signature__"] = inspect.Signature(ordered)
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in ordered}
    command.__name__ = run.__name__
    command.__doc__ = f"{text}\n\n{examples}".strip()
    return command


def _is_argument(parameter: inspect.Parameter) -> bool:
    info = typing.get_args(parameter.annotation)[1]
    return type(info) is type(typer.Argument())
