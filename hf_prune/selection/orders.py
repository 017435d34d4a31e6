"""One way to add an order: a decorated pure function that ranks the rows, and the reasons that it gives for them."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hf_prune.runtime.errors import InputError, InputTypeError
from hf_prune.runtime.names import unknown_name
from hf_prune.selection.candidates import Candidates
from hf_prune.selection.reasons import ABOVE_CUT, BELOW_CUT, STEP_REASONS, Reason

Function = TypeVar("Function", bound=Callable[..., Any])
Places = NDArray[np.int64]

RANDOM = "random"
AUTO = "auto"  # stands for the order that the evidence names
ARRAYS = ("embeddings", "clusters", "similarity", "confidence")
# Codes of reasons that orders outside hf_prune may give: 16 bits are stored per row.
OWN_CODES = range(100, 2**15)


@dataclass(frozen=True)
class Order:
    """A function that ranks rows, with the arguments of `register_order`, which explains them.

    Attributes:
        function: From `Candidates` and the options to all places, best first.
        options: Names and defaults of what can be set.
    """

    name: str
    keeps: str
    needs: tuple[str, ...]
    kept: tuple[Reason, ...]
    dropped: Reason
    by_class: bool
    check: Callable[..., None] | None
    paper: str | None
    function: Callable[..., Any]
    options: Mapping[str, Any] = field(hash=False)

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"Order({self.name!r} keeps {self.keeps.format(column='…')}{options})"

    def own_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return all options of this order, the defaults for those that were not given."""
        return {name: options.get(name, default) for name, default in self.options.items()}

    def rank(self, candidates: Candidates, options: Mapping[str, Any]) -> tuple[Places, Places]:
        """Return the places of the candidates, best first, and the code of the reason to keep each, both (m,).

        Raises:
            ValueError: If the function returned something else.
        """
        found = self.function(candidates, **self.own_options(options))
        places, codes = found if isinstance(found, tuple) else (found, self.kept[0].code)
        places, seen = np.asarray(places), np.zeros(len(candidates.rows), dtype=bool)
        if places.shape == seen.shape and places.dtype.kind in "iu" and places.min() >= 0 and places.max() < len(seen):
            seen[places] = True
        if not seen.all():
            raise InputError(f"order {self.name!r} did not rank each of {len(seen)} rows once: correct its function")
        if not np.isin(codes, [reason.code for reason in self.kept]).all():
            raise InputError(f"order {self.name!r} keeps rows for reasons that it does not declare: add them to kept=")
        return places, np.broadcast_to(codes, places.shape)


_ORDERS: dict[str, Order] = {}


def register_order(
    name: str,
    *,
    keeps: str,
    needs: tuple[str, ...] = (),
    kept: Reason | tuple[Reason, ...] = ABOVE_CUT,
    dropped: Reason = BELOW_CUT,
    by_class: bool = False,
    check: Callable[..., None] | None = None,
    paper: str | None = None,
) -> Callable[[Function], Function]:
    """Make a function known as an order of pruning.

    It takes `Candidates` and returns all their places, best first; where it keeps rows for several reasons, a pair of
    these and the code of the reason to keep each. Its keyword-only parameters are options, with defaults. From that
    follow ``ds.prune(…, order=name, option=…)``, the command line, recipes, records, `explain`, cards and `rebuild`.

    Args:
        name: Name of the order.
        keeps: The rows that it keeps, as cards end a sentence; ``{column}`` stands for the score column.
        needs: Arrays besides the scores that it cannot do without: ``"embeddings"``, ``"clusters"``, ``"similarity"``,
            ``"confidence"``.
        kept: Reason for which it keeps rows, or several.
        dropped: Reason for which it drops rows.
        by_class: Whether it reads the classes of the rows, if they have any.
        check: Called with all options as keywords before anything is computed, to raise an error.
        paper: Reference, such as ``"arXiv:2107.07075"``.

    Returns:
        A decorator that returns the function unchanged.

    Raises:
        ValueError: If the name or a reason is taken, or the declaration is incomplete.

    Example:
        >>> from hf_prune.selection import select
        >>> @register_order("first_doctest", keeps="the first rows", kept=Reason(100, "comes early"))
        ... def first(candidates):
        ...     return np.arange(len(candidates.rows))
        >>> select([0.1, 0.9, 0.5], keep=1, order="first_doctest").explain()["reason"][:2]
        ['comes early', 'below the cut']
        >>> unregister_order("first_doctest")
    """

    def register(function: Function) -> Function:
        _, *parameters = inspect.signature(function).parameters.values()
        strange = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY or p.default is p.empty]
        if strange:
            raise InputError(
                f"order {name!r} cannot take {strange[0]!r}: give it the candidates, then options with defaults after a bare *"
            )
        options = {p.name: p.default for p in parameters}
        reasons = (kept,) if isinstance(kept, Reason) else kept
        order = Order(name, keeps, needs, reasons, dropped, by_class, check, paper, function, options)
        _check(order)
        _ORDERS[name] = order
        return function

    return register


def _check(order: Order) -> None:
    name = order.name
    if name in (AUTO, *_ORDERS):
        raise InputError(f"an order called {name!r} is registered already; choose another name")
    if odd := [array for array in order.needs if array not in ARRAYS]:
        raise InputError(f"order {name!r} needs {odd[0]!r}; it can need {', '.join(ARRAYS)}")
    try:
        order.keeps.format(column="")
    except (LookupError, ValueError) as error:
        raise InputError(f"order {name!r}: keeps={order.keeps!r} may hold no braces but {{column}}") from error
    is_own = order.function.__module__.split(".")[0] == __name__.split(".")[0]
    known = known_reasons()
    for reason, is_kept in (*((reason, True) for reason in order.kept), (order.dropped, False)):
        if known.get(reason) is is_kept and reason not in STEP_REASONS:
            continue
        taken = [other for other in known if other.code == reason.code or other.words == reason.words]
        if taken:
            use = "keep" if known[taken[0]] else "drop"
            raise InputError(
                f"order {name!r}: reason {reason.code} {reason.words!r} is taken by {taken[0].code} "
                f"{taken[0].words!r}, to {use} rows: choose another code and other words"
            )
        if not is_own and reason.code not in OWN_CODES:
            raise InputError(
                f"order {name!r}: reason {reason.code} {reason.words!r}; give a code in [{OWN_CODES[0]}, {OWN_CODES[-1]}]"
            )
        known[reason] = is_kept


def unregister_order(name: str) -> None:
    """Forget an order and its reasons, such as one that a notebook defines anew."""
    del _ORDERS[get_order(name).name]


def list_orders() -> tuple[Order, ...]:
    """Return all orders, sorted by name."""
    return tuple(_ORDERS[name] for name in sorted(_ORDERS))


def find_order(name: Any) -> Order | None:
    """Return the order of a name; None for anything else."""
    return _ORDERS.get(name) if isinstance(name, str) else None


def get_order(name: Any, also: tuple[str, ...] = ()) -> Order:
    """Return the order of a name, or raise a one-line ValueError, which lists ``also`` the names that are no orders."""
    order = find_order(name)
    if order is None:
        raise InputError(f"order={name!r}; give one of {', '.join(map(repr, (*also, *sorted(_ORDERS))))}")
    return order


def known_reasons() -> dict[Reason, bool]:
    """Return every reason and whether rows are kept for it."""
    found = dict(STEP_REASONS)
    for order in _ORDERS.values():
        found |= {**dict.fromkeys(order.kept, True), order.dropped: False}
    return found


def find_reason(code: int) -> Reason:
    """Return the reason of a code, or raise a one-line ValueError if no order gives it."""
    reason = next((reason for reason in known_reasons() if reason.code == code), None)
    if reason is None:
        raise InputError(f"reason {code} is given by no order that is registered here: import what registers it")
    return reason


def check_options(options: Mapping[str, Any]) -> None:
    """Raise one line if an option belongs to no order, whichever was asked for, or is out of range."""
    known = {name for order in _ORDERS.values() for name in order.options}
    for name in options:
        if name not in known:
            raise InputTypeError(unknown_name("option of an order", name, known))
    for order in list_orders():
        if order.check is not None and order.options.keys() & options.keys():
            order.check(**order.own_options(options))


def is_random(step: Mapping[str, Any]) -> bool:
    """Whether a recorded pruning, which anybody may have edited, chose without regard to the scores.

    Example:
        >>> is_random({"order": "random"}), is_random({"order": "random", "options": {"hardest_cutoff": 0.1}})
        (True, False)
    """
    options = step.get("options")
    cutoff = options.get("hardest_cutoff") if isinstance(options, Mapping) else None
    return step.get("order") == RANDOM and not isinstance(cutoff, int | float)
