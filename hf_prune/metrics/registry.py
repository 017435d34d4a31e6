"""Registration of metrics: decorated pure functions whose signatures give their inputs and options."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from hf_prune.runtime.errors import InputError, InputTypeError
from hf_prune.runtime.names import UnknownNameError, unknown_name

Function = TypeVar("Function", bound=Callable[..., Any])
Axis = Literal["difficulty", "uncertainty", "none"]
# From the options and the sources that there are ("encoder", "teachers", "student", "dynamics" and the names of passed
# arrays) to the inputs that a metric will take.
ChooseInputs = Callable[[Mapping[str, Any], Set[str]], tuple[str, ...]]


@dataclass(frozen=True)
class Metric:
    """A scoring function and what is known about it; high scores are the ones ``order="hard"`` keeps.

    The attributes are the arguments of `register_metric`, and what follows from the signature:

    Attributes:
        function: Pure function from arrays to one score per row.
        inputs: Names of the arrays it takes, in order; those it can do without are in ``optional_inputs``.
        options: Names and defaults of what can be set.
        choose: The ``choose_inputs`` of `register_metric`, see `inputs_for`.
    """

    name: str
    function: Callable[..., Any]
    inputs: tuple[str, ...]
    optional_inputs: tuple[str, ...]
    options: Mapping[str, Any] = field(hash=False)
    axis: Axis
    paper: str | None
    aliases: tuple[str, ...]
    seeded: bool
    baseline: bool
    cost: str
    default_options: Mapping[str, Callable[[int], Any]] = field(default_factory=dict, hash=False)
    choose: ChooseInputs | None = None
    undefined: str = ""
    limits: str = ""
    row_wise: bool = False
    blockwise: bool = False

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"Metric({self.name!r} from {', '.join(self.inputs)}{options})"

    @property
    def summary(self) -> str:
        """The first sentence of the function's documentation."""
        return (inspect.getdoc(self.function) or "").split("\n", maxsplit=1)[0]

    def inputs_for(self, options: Mapping[str, Any], sources: Set[str]) -> tuple[str, ...]:
        """Return the inputs that will be taken, by the options of the caller and the sources, see `ChooseInputs`."""
        if self.choose is None:
            return tuple(name for name in self.inputs if name not in self.optional_inputs or name in sources)
        return self.choose({**self.options, **options}, sources)

    def resolve_options(self, options: Mapping[str, Any], num_rows: int) -> dict[str, Any]:
        """Return all options as they will be used: the caller's, else the defaults, with numbers found from the rows."""
        resolved = {**self.options, **options}
        for option, default in self.default_options.items():
            if resolved[option] is None:
                resolved[option] = default(num_rows)
        return resolved


_METRICS: dict[str, Metric] = {}
_ALIASES: dict[str, str] = {}


def register_metric(
    name: str,
    *,
    paper: str | None = None,
    aliases: tuple[str, ...] = (),
    axis: Axis = "difficulty",
    seeded: bool = False,
    baseline: bool = False,
    cost: str = "",
    default_options: Mapping[str, Callable[[int], Any]] | None = None,
    choose_inputs: ChooseInputs | None = None,
    undefined: str = "",
    limits: str = "",
    row_wise: bool = False,
    blockwise: bool = False,
) -> Callable[[Function], Function]:
    """Make a function known as a metric.

    Its positional parameters name the inputs (one with a default can be done without), its keyword-only parameters
    are the options. From that follow ``ds.score_with(name, option=...)``, the command line, recipes, records, cards
    and the shared contract test.

    Args:
        name: Name of the metric and of the score column.
        paper: Reference, such as ``"arXiv:2107.07075"``.
        aliases: Other names for it.
        axis: ``"difficulty"``, ``"uncertainty"`` or ``"none"``: what a high score means.
        seeded: Whether the result depends on a seed or on row numbers.
        baseline: Whether it knows nothing of the images.
        cost: One phrase on what it costs.
        default_options: For options whose default is None, functions from the number of rows to the value used.
        choose_inputs: For a metric with several ways to its score, a function from options and sources to the names
            of the inputs to take; without it all are taken, optional ones where they are passed.
        undefined: What is wrong, and what helps, where the function gives NaN.
        limits: One sentence for cards on what a reader must not take the score for.
        row_wise: Whether the score of a row depends on the inputs of that row alone, as it must to score a stream.
        blockwise: Whether it reads ``embeddings`` a block at a time, by ``embeddings[slice]`` and ``embeddings.shape``: it may
            then get them where they are on disk. Without it it gets an array, and all of them are in memory.

    Returns:
        A decorator that returns the function unchanged.

    Raises:
        ValueError: If the name or an alias is taken, or a parameter is neither an input nor an option.

    Example:
        >>> @register_metric("brightness_doctest")
        ... def brightness(embeddings, *, gain=1.0):
        ...     '''Mean of the row.'''
        ...     return gain * embeddings.mean(axis=1)
        >>> get_metric("brightness_doctest").inputs, dict(get_metric("brightness_doctest").options)
        (('embeddings',), {'gain': 1.0})
        >>> unregister_metric("brightness_doctest")
    """

    def register(function: Function) -> Function:
        parameters = inspect.signature(function).parameters.values()
        strange = [p.name for p in parameters if p.kind not in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        if strange:
            raise InputError(
                f"metric {name!r} cannot take {strange[0]!r}: give it named inputs, then options after a bare *"
            )
        positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        metric = Metric(
            name=name,
            function=function,
            inputs=tuple(p.name for p in positional),
            optional_inputs=tuple(p.name for p in positional if p.default is not p.empty),
            options={p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY},
            axis=axis,
            paper=paper,
            aliases=aliases,
            seeded=seeded,
            baseline=baseline,
            cost=cost,
            default_options=default_options or {},
            choose=choose_inputs,
            undefined=undefined,
            limits=limits,
            row_wise=row_wise,
            blockwise=blockwise,
        )
        for taken in (name, *aliases):
            if taken in _METRICS or taken in _ALIASES:
                raise InputError(f"a metric called {taken!r} is registered already; choose another name")
        _METRICS[name] = metric
        _ALIASES.update(dict.fromkeys(aliases, name))
        return function

    return register


def unregister_metric(name: str) -> None:
    """Forget a metric and its aliases, such as one that a notebook defines anew."""
    metric = get_metric(name)
    del _METRICS[metric.name]
    for alias in metric.aliases:
        del _ALIASES[alias]


def get_metric(name: str) -> Metric:
    """Look a metric up by its name or an alias.

    Raises:
        UnknownNameError: A KeyError that names the nearest known metric.

    Example:
        >>> get_metric("self-supervised-prototypes").name
        'prototypes'
    """
    asked: Any = name  # what a caller gave, which may not even be hashable
    metric = _METRICS.get(_ALIASES.get(asked, asked)) if isinstance(asked, str) else None
    if metric is None:
        raise UnknownNameError(unknown_name("metric", name, _METRICS))
    return metric


def check_option_names(metrics: Iterable[Metric], options: Iterable[str]) -> None:
    """Raise TypeError naming the nearest option if one is known to none of the metrics."""
    metrics = list(metrics)
    known = {option for metric in metrics for option in metric.options}
    for option in options:
        if option not in known:
            names = " and ".join(repr(metric.name) for metric in metrics)
            raise InputTypeError(unknown_name(f"option of metric {names}", option, known))


def list_metrics() -> tuple[Metric, ...]:
    """Return all metrics, sorted by name."""
    return tuple(_METRICS[name] for name in sorted(_METRICS))
