"""A split with its history, which is read once where a data set is to be published."""

from dataclasses import dataclass

from datasets import Dataset

from hf_prune.data.history import History, Step, provenance


@dataclass(frozen=True)
class Split:
    """Rows with the history that they carry.

    Attributes:
        scored: The scored rows before they were pruned; None where these are not given, or nothing was scored.
    """

    rows: Dataset
    history: History
    scored: "Split | None" = None

    @classmethod
    def read(cls, rows: Dataset, scored: Dataset | None = None) -> "Split":
        """Read the history of some rows, and that of the scored ones they were pruned from; rows without steps have none."""
        history = provenance(rows)
        return cls(rows, history, cls.read(scored) if scored is not None and history.steps else None)

    @property
    def prunings(self) -> list[Step]:
        """Return the prune steps."""
        return [step for step in self.history.steps if step.kind == "prune"]
