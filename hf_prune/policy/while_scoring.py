"""Evidence gathered while a data set is scored, from the embeddings that scoring makes."""

from typing import Any

from datasets import Dataset

from hf_prune.data.columns import Labels
from hf_prune.data.history import Step
from hf_prune.metrics import Metric
from hf_prune.policy.features import are_enough
from hf_prune.policy.gathering import labels_to_judge_by
from hf_prune.runtime.optional_results import extra, extra_of_all
from hf_prune.scoring import InputBuilder, Request
from hf_prune.scoring.scores import Scores
from hf_prune.selection.classes import PAPER_CLASS_BALANCE


class EvidenceWhileScoring:
    """Weighs the rules of pruning for each column of one split as it is scored; without it scores come with a warning."""

    def __init__(self) -> None:
        self._labels: Labels | None = None

    def wants_features(self, ds: Dataset, request: Request) -> bool:
        """Whether the rows suffice to judge rules by predictions of teachers."""
        try:
            labels = None if request.teachers is None else labels_to_judge_by(ds, request)
        except ValueError:  # raised by the metrics that need them, and named by the evidence
            return False
        return labels is not None and are_enough(labels.codes)

    def begin(self, ds: Dataset, request: Request) -> None:
        """Read the labels to judge by."""
        self._labels = extra(lambda: labels_to_judge_by(ds, request), "the evidence for order='auto'")

    def evidence(self, metric: Metric, step: Step, scores: Scores, builder: InputBuilder) -> dict[str, Any] | None:
        """Return what rules of pruning by the scores gain over random rows; None where that cannot be judged."""
        labels = self._labels
        if labels is None:
            return None

        def gather() -> dict[str, Any] | None:
            embeddings = builder.embeddings()
            if embeddings is None:
                return None
            from hf_prune.policy.weighing import KEEPS, Case, weigh

            options = {**step.options, "seed": step.seed}
            case = Case(metric.name, scores, step.inputs, options, embeddings, labels.codes, frozenset(step.unscored))
            if not case.is_enough():
                return None
            return weigh(case, KEEPS, class_balance=PAPER_CLASS_BALANCE, seed=step.seed).to_dict()

        return extra_of_all(gather, f"the evidence on {metric.name!r} for order='auto'")
