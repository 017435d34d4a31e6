"""The settings of one pruning, checked before anything is computed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hf_prune.policy import Recommendation
from hf_prune.runtime.errors import InputError, InputTypeError
from hf_prune.runtime.seeds import check_seed
from hf_prune.scoring import Request
from hf_prune.scoring.agreement import handed_in_digest
from hf_prune.selection import check_class_balance
from hf_prune.selection.budget import check_hardest_cutoff, is_number
from hf_prune.selection.orders import AUTO, check_options, get_order

BY_ERROR = "error"


@dataclass(frozen=True)
class PruneSettings:
    """The arguments of `hf_prune.prune`; see there for the meaning. ``options`` are those of orders."""

    keep: float
    order: str = AUTO
    class_balance: float | Mapping[Any, int] | None = None
    label_column: str | None = None
    hardest_cutoff: float | str = 0.0
    drop_duplicates: float | None = None
    num_clusters: int | None = None
    target: Any = None
    quotas: str | None = None
    class_errors: Mapping[Any, float] | None = None
    evidence: Recommendation | None = None
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    request: Request = field(default_factory=Request)

    @property
    def is_shared(self) -> bool:
        """Whether the processes of a launcher compute something for it together: embeddings, or the keys of images."""
        given = self.request.given
        has_embeddings = self.request.encoder is not None or "embeddings" in given or self.target is not None
        return has_embeddings or bool(self.drop_duplicates and "duplicate_of" not in given)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the request, by name."""
        apart = ("request", "evidence", "options", "target")
        names = [name for name in self.__dataclass_fields__ if name not in apart]
        evidence = None if self.evidence is None else repr(self.evidence.evidence).encode()
        return {name: getattr(self, name) for name in names} | {
            "evidence": evidence,
            "target": None if self.target is None else handed_in_digest(self.target),
            **self.options,
        }

    def check(self) -> None:
        """Raise one line for what no data set could meet."""
        if self.order != AUTO:
            get_order(self.order, also=(AUTO,))
        check_options(self.options)
        check_hardest_cutoff(self.hardest_cutoff)
        self._check_auto()
        check_seed(self.seed)
        if self.class_balance is not None:
            check_class_balance(self.class_balance)
        share: Any = self.drop_duplicates
        if share is not None and share is not False and not (is_number(share) and 0 < share <= 1):
            raise InputError(f"drop_duplicates={share!r}; give the least cosine of duplicates, in (0, 1]")
        self._check_quotas()

    def _check_auto(self) -> None:
        if self.order == AUTO and self.hardest_cutoff:
            raise InputError(
                f"hardest_cutoff={self.hardest_cutoff!r} with order='auto', which chooses the cut: name an order, or leave it out"
            )
        if self.evidence is not None and not isinstance(self.evidence, Recommendation):
            raise InputTypeError(f"evidence={self.evidence!r}; give what hf_prune.recommend returned")
        if self.order != AUTO and self.evidence is not None:
            raise InputError(f"evidence= is for order='auto', not {self.order!r}: leave one of them out")

    def _check_quotas(self) -> None:
        if self.quotas not in (None, BY_ERROR):
            raise InputError(f"quotas={self.quotas!r}; give {BY_ERROR!r}, or counts per class as class_balance=")
        if self.class_errors is not None and not isinstance(self.class_errors, Mapping):
            raise InputError(f"class_errors={self.class_errors!r}; give the error of each class by its name")
        if self.quotas is None and self.class_errors is not None:
            raise InputError(f"class_errors= is for quotas={BY_ERROR!r}: give both, or leave it out")
        if self.quotas is not None and self.class_balance is not None:
            raise InputError(f"quotas={self.quotas!r} and class_balance= both set what classes get; give one of them")
