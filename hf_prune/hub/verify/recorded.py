"""Settings that a record may decide when something is made again: those of the metric or the order that it names.

Where models and prototypes lie, what is read and written, and whether pickles are opened is for the user to say. A record
names repositories of the Hub at a commit; a folder, a file or anything else of this machine only the user can give.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hf_prune.data.history import Step
from hf_prune.data.source import hub_name
from hf_prune.heads.settings import Heads
from hf_prune.metrics import get_metric
from hf_prune.models.recorded import check_recorded, is_public, model_name, opening_options
from hf_prune.runtime.messages import listed, one_line
from hf_prune.runtime.names import UnknownNameError
from hf_prune.scoring.combination import WAYS
from hf_prune.selection.orders import get_order

# Options of every order besides the settings that it declares, see `hf_prune.prune`.
_OF_EVERY_ORDER = ("class_balance", "quotas", "class_errors", "hardest_cutoff", "drop_duplicates", "num_clusters")
# The most that a record may ask for, of numbers that decide how long something takes and how much memory.
_LARGEST = {
    "num_strata": 1_000_000,
    "num_clusters": 1_000_000,
    "num_prototypes": 1_000_000,
    "num_iterations": 10_000,
    "num_init": 100,
}


class CannotTellError(Exception):
    """Something is missing without which a step cannot be repeated."""


@contextmanager
def as_recorded(step: Step) -> Iterator[None]:
    """Turn errors into one line that says why a step cannot be made again: a record may ask for the impossible."""
    try:
        yield
    except (ValueError, TypeError, LookupError, ArithmeticError, MemoryError) as error:
        raise CannotTellError(f"{step.column!r} cannot be made again as it is recorded ({one_line(error)})") from error


def metric_options(step: Step) -> dict[str, Any]:
    """Return the options of a score step; CannotTellError if its metric or one of them is unknown or out of bounds."""
    try:
        known = get_metric(step.metric).options
    except UnknownNameError as error:
        raise CannotTellError(f"{step.column!r} was made with a metric that is not known here ({error})") from error
    return _declared(step, known, f"metric {step.metric!r}")


def combining_options(step: Step) -> dict[str, Any]:
    """Return the arguments of a combination of columns; CannotTellError if it is of an unknown kind."""
    if step.metric not in WAYS:
        raise CannotTellError(f"{step.column!r} was combined in a way that is not known here ({step.metric!r})")
    options = {name: value for name, value in _declared(step, ("metrics", "weights"), "combine").items() if value}
    return {"metrics": options.pop("metrics", ()), "how": step.metric, **options}


def pruning_options(step: Step) -> dict[str, Any]:
    """Return the arguments of a pruning; CannotTellError if its order does not take one, or one is out of bounds."""
    known = (*_OF_EVERY_ORDER, *get_order(step.order).options)
    options = _declared(step, known, f"order {step.order!r}")
    for name in ("keep", "order", "class_balance", "label_column", "seed"):
        if getattr(step, name) is not None:
            options.setdefault(name, getattr(step, name))
    return options


def _declared(step: Step, known: Iterable[str], by: str) -> dict[str, Any]:
    known = set(known)
    odd = sorted(name for name in step.options if name not in known)
    if odd:
        raise CannotTellError(f"{step.column!r} is recorded with {listed(odd)}, which {by} does not have")
    for name, most in _LARGEST.items():
        value = step.options.get(name)
        if isinstance(value, int | float) and not value <= most:
            raise CannotTellError(
                f"{step.column!r} is recorded with {name} above {most:,}, which no record may ask for"
            )
    return {name: value for name, value in step.options.items() if value is not None}


def heads_of(settings: Mapping[str, Any], step: Step) -> Heads:
    """Return the settings of heads that were trained on the way; CannotTellError if one is unknown or out of bounds."""
    with as_recorded(step):
        return Heads.from_record(settings)


def prototypes_name(identity: Mapping[str, Any], step: Step) -> str | None:
    """Return the repository and commit of published prototypes; None where they were not published.

    A CannotTellError says where that is no repository.
    """
    if not identity.get("commit"):
        return None
    with as_recorded(step):
        return f"{hub_name(identity.get('id'), identity['commit'])}@{identity['commit']}"


def model_names(identities: list[Mapping[str, Any]], step: Step) -> list[str]:
    """Return the names of those models that anybody can find.

    A CannotTellError says where a name is that of no repository, or they are of several commits, which one call cannot open.
    """
    public = [model for model in identities if is_public(model)]
    with as_recorded(step):
        names = [model_name(model) for model in public]
    if len({model.get("commit") for model in public}) > 1:
        raise CannotTellError(f"{step.column!r} was made with models of several repositories: give them")
    return names


def model_settings(identities: list[Mapping[str, Any]], step: Step) -> dict[str, Any]:
    """Return what models were opened with, as `opening_options` does; CannotTellError if none opens with that."""
    with as_recorded(step):
        for identity in identities:
            check_recorded(identity)
    return opening_options(identities)
