"""Options of the command line from the signatures and docstrings of the functions that they call: one vocabulary."""

import inspect
import re
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_prune.cli.words import flag, in_help
from hf_prune.metrics import Metric, list_metrics
from hf_prune.runtime.errors import InputTypeError
from hf_prune.scoring.run import Run, flat_parameters
from hf_prune.selection import Order, list_orders

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
    return {name: in_help(text, docs) for name, text in docs.items()}


def summary(function: Callable[..., Any]) -> str:
    """Return the first sentence of a function's docstring."""
    return in_help((inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " "))


def function_parameters(
    function: Callable[..., Any],
    *,
    leave_out: Collection[str] = (),
    own: Mapping[str, Any] | None = None,
) -> list[inspect.Parameter]:
    """Turn every parameter but ``ds`` and ``token`` into an argument or an option, ``run`` into one for each of its settings.

    A token would be seen in the list of processes; the client finds the one that is logged in, or ``HF_TOKEN``. The function
    has a Google docstring, its positional parameters become arguments; ``own`` annotates parameters whose text is read in
    a way of their own.
    """
    (parameters, hints), docs = flat_parameters(function), argument_docs(Run) | argument_docs(function)
    found = []
    for name, parameter in parameters.items():
        if name in {"ds", "token", *leave_out} or parameter.kind is parameter.VAR_KEYWORD:
            continue
        if own and name in own:
            annotation = own[name]
        elif parameter.kind is parameter.KEYWORD_ONLY:
            kind = option_type(hints[name])
            # What is off by default needs no flag to switch it off.
            is_pair = kind is bool and parameter.default is not False
            flags = f"{flag(name)}/--no-{flag(name)[2:]}" if is_pair else flag(name)
            annotation = option(kind, docs[name], flags, autocompletion=completion(name))
        else:
            shown: Any = typer.Argument(
                help=docs[name], show_default=False, metavar=name.upper(), autocompletion=completion(name)
            )
            annotation = Annotated[option_type(hints[name]), shown]
        found.append(parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=annotation))
    return found


def option(kind: Any, text: str, *flags: str, **settings: Any) -> Any:
    """Annotate a parameter of a command as an option."""
    return Annotated[kind, typer.Option(*flags, help=text, **{"metavar": _metavar(kind)} | settings)]


def _metavar(kind: Any) -> str | None:
    """Return what stands for the value in the help; None for what takes none."""
    return {int: "COUNT", float: "NUMBER", bool: None, Path: "PATH"}.get(
        next(iter(typing.get_args(kind)), kind), "TEXT"
    )


def repeatable(function: Callable[..., Any], name: str, kind: type = str, form: str = "") -> Any:
    """Annotate a parameter of a function as an option that may be given several times, in the form that its help names."""
    text = f"{argument_docs(function)[name]} Repeatable{form and f': {form}'}."
    kinds: Any = list[kind]  # type: ignore[valid-type]  # built at run time, read by typer
    return option(kinds, text, flag(name), autocompletion=completion(name))


def completion(name: str) -> Callable[[str], list[str]] | None:
    """Return what completes the value of a parameter when Tab is pressed; None leaves it to the shell, which knows files.

    Example:
        >>> completion("metric")("el"), completion("out")
        (['el2n'], None)
    """
    known: Mapping[str, Callable[[], list[str]]] = {
        "metric": lambda: [metric.name for metric in list_metrics()],
        "order": lambda: ["auto", *(order.name for order in list_orders())],
        "encoder": lambda: ["tiny", "pixels"],
        "teachers": lambda: ["heads"],
    }

    def complete(incomplete: str) -> list[str]:
        return [value for value in known[name]() if value.startswith(incomplete)]

    return complete if name in known else None


def added(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    """Make a parameter of a command that the function behind it has not."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def option_type(hint: Any) -> Any:
    """Return the type that text on a command line is turned into, for a type hint.

    Example:
        >>> option_type(int | None), option_type(str | Sequence[str] | None), option_type(typing.Any)
        (<class 'int'>, list[str], <class 'str'>)
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


def option_parameters(registered: Sequence[Metric] | Sequence[Order]) -> list[inspect.Parameter]:
    """Return the options of all metrics or orders; whether one belongs to that which was asked for is checked later."""
    owners: dict[str, list[Metric | Order]] = {}
    for owner in registered:
        for name in owner.options:
            if name != "seed":  # a parameter of score_with
                owners.setdefault(name, []).append(owner)
    return [_option_parameter(name, found) for name, found in owners.items()]


def _option_parameter(name: str, owners: Sequence[Metric | Order]) -> inspect.Parameter:
    kinds = {option_type(typing.get_type_hints(owner.function)[name]) for owner in owners}
    if len(kinds) != 1:
        raise InputTypeError(f"option {name!r} means different types in {', '.join(owner.name for owner in owners)}")
    defaults = ", ".join(f"{owner.name}{_default(owner, name)}" for owner in owners)
    text = f"{argument_docs(owners[0].function)[name]} (Of {defaults}.)"
    return added(name, option(kinds.pop(), text, flag(name)), None)


def _default(owner: Metric | Order, option: str) -> str:
    if isinstance(owner, Metric) and option in owner.default_options:
        return ", default by the number of rows"
    return "" if owner.options[option] is None else f", default {owner.options[option]}"


def make_command(run: Callable[..., None], parameters: Iterable[inspect.Parameter], text: str) -> Callable[..., None]:
    """Build the function that typer reads: it hands on what was typed and leaves the rest to the callee's defaults."""

    def command(**values: Any) -> None:
        run(**{name: value for name, value in values.items() if value is not None and value != []})

    # Arguments before options.
    ordered = sorted(parameters, key=lambda p: type(typing.get_args(p.annotation)[1]) is not type(typer.Argument()))
    command.__dict__["__signature__"] = inspect.Signature(ordered)
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in ordered}
    command.__name__ = run.__name__
    command.__doc__ = text
    return command
