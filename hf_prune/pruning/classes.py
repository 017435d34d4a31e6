"""The classes of a pruning: which column or clusters they come from, and what each is owed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.data.columns import Labels, find_label_column, read_labels
from hf_prune.policy import Recommendation
from hf_prune.pruning.inputs import PruningInputs
from hf_prune.runtime.errors import InputError, InputTypeError
from hf_prune.runtime.names import unknown_name
from hf_prune.runtime.seeds import check_seed
from hf_prune.scoring import Request
from hf_prune.scoring.scores import Scores
from hf_prune.selection import ORDERS, check_class_balance, count_rows, error_quotas, select
from hf_prune.selection.budget import NOISE, check_hardest_cutoff, is_number
from hf_prune.selection.checks import check_settings
from hf_prune.selection.classes import PAPER_CLASS_BALANCE
from hf_prune.selection.result import Reason

# The label column that stands for clusters of the embeddings, where no column is called so.
CLUSTERS = "clusters"
BY_ERROR = "error"
AUTO = "auto"  # the order that follows the evidence


@dataclass(frozen=True)
class Cutting:
    """What a caller of `hf_prune.prune` asked for; see there for the meaning."""

    keep: float
    order: str = AUTO
    class_balance: float | Mapping[Any, int] | None = None
    label_column: str | None = None
    hardest_cutoff: float | str = 0.0
    num_strata: int = 50
    random_share: float = 0.5
    drop_duplicates: float | None = None
    num_clusters: int | None = None
    quotas: str | None = None
    class_errors: Mapping[Any, float] | None = None
    evidence: Recommendation | None = None
    seed: int = 0
    request: Request = field(default_factory=Request)

    @property
    def is_shared(self) -> bool:
        """Whether the processes of a launcher make something for it together: embeddings, or the keys of images."""
        given = self.request.given
        has_embeddings = self.request.encoder is not None or "embeddings" in given
        return has_embeddings or bool(self.drop_duplicates and "duplicate_of" not in given)

    def settings(self) -> dict[str, Any]:
        """Everything but the request, by name."""
        names = [name for name in self.__dataclass_fields__ if name not in ("request", "evidence")]
        evidence = None if self.evidence is None else repr(self.evidence.evidence).encode()
        return {name: getattr(self, name) for name in names} | {"evidence": evidence}


@dataclass(frozen=True)
class Classes:
    """The classes of one pruning.

    Attributes:
        labels: Class of each row, if classes have a say.
        column: Where they come from.
        balance: Floor, or quotas by class code.
        options: Quotas as they go into the record.
    """

    labels: Labels | None = None
    column: str | None = None
    balance: float | dict[int, int] = 0.0
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def codes(self) -> NDArray[np.int64] | None:
        """Class codes, shape (n,)."""
        return None if self.labels is None else self.labels.codes

    @property
    def floor(self) -> float | None:
        """The floor; None where there are quotas."""
        return None if isinstance(self.balance, dict) else self.balance


def check_cutting(cutting: Cutting) -> None:
    """Raise one line for what no data set could meet, before anything is computed."""
    check_settings(cutting.order, cutting.num_strata, cutting.random_share, also=(AUTO,))
    check_hardest_cutoff(cutting.hardest_cutoff)
    _check_auto(cutting)
    check_seed(cutting.seed)
    if cutting.class_balance is not None:
        check_class_balance(cutting.class_balance)
    share: Any = cutting.drop_duplicates
    if share is not None and share is not False and not (is_number(share) and 0 < share <= 1):
        raise InputError(f"drop_duplicates={share!r}; give the least cosine of duplicates, in (0, 1]")
    if cutting.quotas not in (None, BY_ERROR):
        raise InputError(f"quotas={cutting.quotas!r}; give {BY_ERROR!r}, or counts per class as class_balance=")
    if cutting.class_errors is not None and not isinstance(cutting.class_errors, Mapping):
        raise InputError(f"class_errors={cutting.class_errors!r}; give the error of each class by its name")
    if cutting.quotas is None and cutting.class_errors is not None:
        raise InputError(f"class_errors= is for quotas={BY_ERROR!r}: give both, or leave it out")
    if cutting.quotas is not None and cutting.class_balance is not None:
        raise InputError(f"quotas={cutting.quotas!r} and class_balance= both set what classes get; give one of them")


def _check_auto(cutting: Cutting) -> None:
    """Raise one line where what is decided by evidence was given as well."""
    if cutting.order == AUTO and cutting.hardest_cutoff:
        raise InputError(
            f"hardest_cutoff={cutting.hardest_cutoff!r} with order='auto', which chooses the cut: name an order, or leave it out"
        )
    if cutting.evidence is not None and not isinstance(cutting.evidence, Recommendation):
        raise InputTypeError(f"evidence={cutting.evidence!r}; give what hf_prune.recommend returned")
    if cutting.order != AUTO and cutting.evidence is not None:
        raise InputError(f"evidence= is for order='auto', not {cutting.order!r}: leave one of them out")


def find_classes(ds: Dataset, cutting: Cutting, inputs: PruningInputs) -> Classes:
    """The classes that have a say and what they are owed; quotas by error are left to `with_quotas`."""
    wanted = cutting.class_balance
    needs = cutting.quotas is not None or wanted not in (None, 0)
    reads = needs or cutting.order == AUTO or ORDERS[cutting.order].by_class or cutting.hardest_cutoff == NOISE
    if cutting.label_column is None and not reads and wanted == 0:
        return Classes()
    column, labels = _find_labels(ds, cutting.label_column, inputs)
    if labels is None:
        if needs:
            asked = f"quotas={cutting.quotas!r}" if cutting.quotas else f"class_balance={wanted}"
            raise InputError(
                f"{asked} needs classes and there is no ClassLabel column among {ds.column_names}: "
                "name one with label_column=, or pass class_balance=0"
            )
        return Classes()
    if isinstance(wanted, Mapping):
        quotas = by_code(wanted, labels, str(column), "class_balance")
        recorded = {labels.name(code): int(quota) for code, quota in quotas.items()}
        return Classes(labels, column, quotas, {"class_balance": recorded})
    return Classes(labels, column, float(PAPER_CLASS_BALANCE if wanted is None else wanted))


def are_clusters(ds: Dataset, label_column: str | None) -> bool:
    """Whether a label column stands for clusters of the embeddings: it is called so, and no column of the rows is."""
    return label_column == CLUSTERS and CLUSTERS not in ds.column_names


def _find_labels(ds: Dataset, label_column: str | None, inputs: PruningInputs) -> tuple[str | None, Labels | None]:
    if are_clusters(ds, label_column):
        return CLUSTERS, Labels(inputs.clusters(f"label_column={CLUSTERS!r}"), None, complete=False)
    column = find_label_column(ds, label_column)
    return column, None if column is None else read_labels(ds, column)


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
    classes: Classes, cutting: Cutting, scores: Scores, inputs: PruningInputs, removal: Mapping[str, Any]
) -> Classes:
    """The classes with quotas from their errors, where these were asked for; errors nobody gave are found out of fold."""
    if cutting.quotas is None or classes.labels is None:
        return classes
    labels = classes.labels
    if cutting.class_errors is None:
        errors = inputs.class_errors(labels.codes)
    else:
        errors = by_code(cutting.class_errors, labels, str(classes.column), "class_errors")
    # A selection of one row, so that there is room whatever is removed: what it leaves is what there is to share out.
    left = select(scores, keep=1, order="hard", seed=cutting.seed, **removal)
    usable = np.isin(left.reasons, (Reason.ABOVE_CUT, Reason.BELOW_CUT)) & (labels.codes >= 0)
    codes, sizes = np.unique(labels.codes[usable], return_counts=True)
    budget = count_rows(cutting.keep, left.num_scored)
    named = {labels.name(code): code for code in codes.tolist()}
    shares = error_quotas(
        {labels.name(code): error for code, error in errors.items()},
        dict(zip(named, sizes.tolist(), strict=True)),
        budget,
    )
    recorded = {labels.name(code): float(error) for code, error in errors.items()}
    quotas = {named[name]: rows for name, rows in shares.items()}
    return replace(classes, balance=quotas, options={"quotas": BY_ERROR, "class_errors": recorded})
