"""What a dynamic pruning saved: rows and seconds by epoch, read from the log of the Trainer."""

import dataclasses
from typing import Any

from hf_prune.dynamic_pruning.methods import METHODS, Plan

# Of an epoch, in the Trainer's log; the last is of all epochs so far.
ROWS, SHARE, SECONDS, SAVED = "rows_seen", "rows_share", "epoch_seconds", "rows_share_saved"
_PAPERS = {
    "rs2": "RS2, arXiv 2305.18424",
    "infobatch": "InfoBatch, arXiv 2303.04947",
    "orderdp": "OrderDP, arXiv 2606.08574",
    "weighted": "rows drawn by weights",
}


@dataclasses.dataclass(frozen=True)
class EpochReport:
    """Rows and time of one epoch.

    Attributes:
        epoch: Its number, from 1.
        rows: Rows that it saw.
        share: The same as a share of all rows, in (0, 1].
        seconds: What it took, with evaluations and checkpoints within it.
    """

    epoch: int
    rows: int
    share: float
    seconds: float


class PruningReport:
    """Rows and seconds of a training by epoch; printed, it is a table. It grows while ``trainer.train()`` runs.

    Args:
        trainer: The Trainer, in whose ``state.log_history`` the figures are.
        plan: How it prunes.
    """

    def __init__(self, trainer: Any, plan: Plan) -> None:
        self._trainer, self.plan = trainer, plan

    @property
    def epochs(self) -> list[EpochReport]:
        """List the finished epochs; those before a resumed checkpoint are among them."""
        logs = [log for log in self._trainer.state.log_history if ROWS in log]
        return [EpochReport(number, log[ROWS], log[SHARE], log[SECONDS]) for number, log in enumerate(logs, 1)]

    @property
    def rows_seen(self) -> int:
        """Count the rows that all epochs saw."""
        return sum(epoch.rows for epoch in self.epochs)

    @property
    def share_saved(self) -> float:
        """Return the share of the rows of as many whole epochs that was not trained on, in [0, 1)."""
        return next((float(log[SAVED]) for log in reversed(self._trainer.state.log_history) if SAVED in log), 0.0)

    @property
    def seconds(self) -> float:
        """Sum the seconds of the epochs."""
        return sum(epoch.seconds for epoch in self.epochs)

    def log(self, rows: int, seconds: float) -> None:
        """Add an epoch of so many rows to the Trainer's log."""
        share, epochs = rows / self.plan.num_rows, float(self._trainer.state.epoch)
        saved = max(0.0, 1 - (self.rows_seen + rows) / (self.plan.num_rows * epochs)) if epochs else 0.0
        self._trainer.log({ROWS: rows, SHARE: round(share, 6), SECONDS: round(seconds, 3), SAVED: round(saved, 6)})

    def to_markdown(self) -> str:
        """Render a section for the card of the model."""
        plan = self.plan
        lines = [
            "## Rows trained on",
            "",
            f"Trained with hf_prune, method `{plan.method}` ({_PAPERS[plan.method]}): "
            f"{plan.budget:,} of {plan.num_rows:,} rows in a pruned epoch, seed {plan.seed}. In all {self.rows_seen:,} rows "
            f"were seen in {self.seconds:,.0f} s, {self.share_saved:.1%} fewer than in as many whole epochs.",
            "",
            "| epoch | rows | share | seconds |",
            "| --- | --- | --- | --- |",
            *(
                f"| {epoch.epoch} | {epoch.rows:,} | {epoch.share:.1%} | {epoch.seconds:,.1f} |"
                for epoch in self.epochs
            ),
        ]
        return "\n".join(lines) + "\n"

    def __str__(self) -> str:
        head = f"{self.plan.method}: {self.plan.budget:,} of {self.plan.num_rows:,} rows in a pruned epoch"
        lines = [f"{'epoch':>5} {'rows':>12} {'share':>7} {'seconds':>9}"]
        lines += [
            f"{epoch.epoch:5} {epoch.rows:12,} {epoch.share:7.1%} {epoch.seconds:9,.1f}" for epoch in self.epochs
        ]
        total = f"{self.rows_seen:,} rows in {self.seconds:,.1f} s; {self.share_saved:.1%} of the rows saved"
        return "\n".join([head, *lines, total])


assert _PAPERS.keys() == METHODS.keys()
