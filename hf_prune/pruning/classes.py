"""The classes of a pruning: the column or clusters they come from, and the floor or quota of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.data.columns import Labels
from hf_prune.data.label_spaces import LabelSets, find_class_column, read_classes
from hf_prune.data.memberships import Membership
from hf_prune.policy.prune_settings import BY_ERROR, PruneSettings
from hf_prune.pruning.inputs import PruningInputs
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.names import unknown_name
from hf_prune.scoring.scores import Scores
from hf_prune.selection import count_rows, error_quotas, select
from hf_prune.selection.budget import NOISE
from hf_prune.selection.classes import PAPER_CLASS_BALANCE
from hf_prune.selection.orders import AUTO, get_order
from hf_prune.selection.reasons import ABOVE_CUT, BELOW_CUT

# The label column that stands for clusters of the embeddings, where no column is called so.
CLUSTERS = "clusters"


@dataclass(frozen=True)
class Classes:
    """The classes of one pruning.

    Attributes:
        labels: Class or classes of each row; None where classes are not considered.
        column: Where they come from.
        space: Kind of the column for the record, see `hf_prune.data.label_spaces.Classes`.
        balance: Floor, or quotas by class code.
        options: Quotas, as recorded.
    """

    labels: Labels | LabelSets | None = None
    column: str | None = None
    space: dict[str, Any] | None = None
    balance: float | dict[int, int] = 0.0
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def codes(self) -> NDArray[np.int64] | Membership | None:
        """Class codes, shape (n,), or the several classes of each row."""
        if isinstance(self.labels, LabelSets):
            return self.labels.membership
        return None if self.labels is None else self.labels.codes

    @property
    def single(self) -> Labels | None:
        """The labels, where they are classes of which each row has one."""
        return self.labels if isinstance(self.labels, Labels) and self.space is None else None

    @property
    def floor(self) -> float | None:
        """The floor; None where there are quotas."""
        return None if isinstance(self.balance, dict) else self.balance


def find_classes(ds: Dataset, settings: PruneSettings, inputs: PruningInputs) -> Classes:
    """Find the classes and their floor or quotas; quotas by error are left to `with_quotas`."""
    wanted = settings.class_balance
    needs = settings.quotas is not None or wanted not in (None, 0)
    by_order = settings.order == AUTO or get_order(settings.order).by_class
    reads = needs or by_order or settings.hardest_cutoff == NOISE
    if settings.label_column is None and not reads and wanted == 0:
        return Classes()
    column, labels, space = _find_labels(ds, settings.label_column, inputs)
    if labels is None or column is None:
        if needs:
            asked = f"quotas={settings.quotas!r}" if settings.quotas else f"class_balance={wanted}"
            raise InputError(
                f"{asked} needs classes and there is no column of classes among {ds.column_names}: "
                "name one with label_column=, or pass class_balance=0"
            )
        return Classes()
    if not isinstance(labels, Labels) or space is not None:
        _check_several(settings, column, str(space and space["kind"]))
    if isinstance(wanted, Mapping):
        assert isinstance(labels, Labels)  # counts for others were refused
        quotas = by_code(wanted, labels, column, "class_balance")
        recorded = {labels.name(code): int(quota) for code, quota in quotas.items()}
        return Classes(labels, column, space, quotas, {"class_balance": recorded})
    return Classes(labels, column, space, float(PAPER_CLASS_BALANCE if wanted is None else wanted))


def _check_several(settings: PruneSettings, column: str, kind: str) -> None:
    """Refuse what takes one class per row, of labels of another kind."""
    asked = {
        "class_balance= as counts": isinstance(settings.class_balance, Mapping),
        f"quotas={settings.quotas!r}": settings.quotas is not None,
        f"hardest_cutoff={NOISE!r}": settings.hardest_cutoff == NOISE,
    }
    for name in (name for name, is_asked in asked.items() if is_asked):
        raise InputError(
            f"{name} takes one class per row, and label column {column!r} is read as {kind}: leave it out, or name another column"
        )


def are_clusters(ds: Dataset, label_column: str | None) -> bool:
    """Whether a label column stands for clusters of the embeddings: it is called so, and no column of the rows is."""
    return label_column == CLUSTERS and CLUSTERS not in ds.column_names


def _find_labels(
    ds: Dataset, label_column: str | None, inputs: PruningInputs
) -> tuple[str | None, Labels | LabelSets | None, dict[str, Any] | None]:
    if are_clusters(ds, label_column):
        return CLUSTERS, Labels(inputs.clusters(f"label_column={CLUSTERS!r}"), None, complete=False), None
    column = find_class_column(ds, label_column)
    return (column, None, None) if column is None else (column, *read_classes(ds, column))


def by_code(values: Mapping[Any, Any], labels: Labels, column: str, argument: str) -> dict[int, Any]:
    """Turn a mapping from classes, by name or by value, into one from class codes.

    Raises:
        ValueError: If a class is not one of the column, or is named twice.

    Example:
        >>> by_code({"dog": 5}, Labels(np.array([0, 1]), ("cat", "dog"), True), "label", "class_balance")
        {1: 5}
    """
    present = np.unique(labels.codes).tolist()
    codes = {labels.name(code): code for code in {*present, *range(len(labels.names or ()))}}
    found: dict[int, Any] = {}
    for given, value in values.items():
        if isinstance(given, bool) and labels.names is not None:
            raise InputError(
                f"{argument} names class {given}, as YAML reads yes, no, on and off: write the name in quotes"
            )
        is_code = isinstance(given, (int, np.integer)) and (labels.names is None or str(given) not in codes)
        name = labels.name(int(given)) if is_code else labels.name(-1) if given is None else str(given)
        if name not in codes:
            raise InputError(f"{argument}: {unknown_name(f'class of column {column!r}', str(given), codes)}")
        if codes[name] in found:
            raise InputError(f"{argument} names class {name!r} twice; give each once")
        found[codes[name]] = value
    return found


def with_quotas(
    classes: Classes, settings: PruneSettings, scores: Scores, inputs: PruningInputs, removal: Mapping[str, Any]
) -> Classes:
    """Return the classes with quotas from their errors, where these were asked for; errors not given are found out of fold."""
    labels = classes.single
    if settings.quotas is None or labels is None:
        return classes
    if settings.class_errors is None:
        errors = inputs.class_errors(labels.codes)
    else:
        errors = by_code(settings.class_errors, labels, str(classes.column), "class_errors")
    # A selection of one row, so that there is room whatever is removed: what it leaves is what there is to share out.
    left = select(scores, keep=1, order="hard", seed=settings.seed, **removal)
    usable = np.isin(left.reasons, (ABOVE_CUT.code, BELOW_CUT.code)) & (labels.codes >= 0)
    codes, sizes = np.unique(labels.codes[usable], return_counts=True)
    budget = count_rows(settings.keep, left.num_scored)
    named = {labels.name(code): code for code in codes.tolist()}
    shares = error_quotas(
        {labels.name(code): error for code, error in errors.items()},
        dict(zip(named, sizes.tolist(), strict=True)),
        budget,
    )
    recorded = {labels.name(code): float(error) for code, error in errors.items()}
    quotas = {named[name]: rows for name, rows in shares.items()}
    return replace(classes, balance=quotas, options={"quotas": BY_ERROR, "class_errors": recorded})
