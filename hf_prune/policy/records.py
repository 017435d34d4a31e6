"""Evidence that lies in the history of a data set, and what else of that has a say."""

from datasets import ClassLabel, Dataset

from hf_prune.columns import Labels
from hf_prune.inputs import Request
from hf_prune.inputs.made import labels_of
from hf_prune.policy.evidence import Evidence
from hf_prune.provenance import History, Step, provenance

LEAST_LIKE = 0.8  # share of the rows that were judged that must still be there for evidence to hold


def labels_to_judge_by(ds: Dataset, request: Request) -> Labels | None:
    """The classes that were named or handed in, or the only ones there are; None where there are none or several."""
    columns = [name for name, feature in ds.features.items() if isinstance(feature, ClassLabel)]
    named = "labels" in request.given or request.label_column is not None
    return labels_of(ds, request) if named or len(columns) == 1 else None


def recorded_evidence(ds: Dataset, column: str, history: History | None = None) -> Evidence | None:
    """The evidence that was gathered when a column was scored; None where there is none, or it may be of others.

    It holds where enough of the rows are left, and neither rows nor scores were changed by other means since.

    Args:
        ds: The data set.
        column: The score column.
        history: Its history, if that is at hand.
    """
    history = history or provenance(ds)
    step = history.score_step(column)
    if step is None or step.evidence is None or not LEAST_LIKE <= len(ds) / max(step.rows_out, 1) <= 1:
        return None
    if history.made_by(ds, column) is None:
        return None
    return Evidence.from_dict(step.evidence)


def scoring_passes(step: Step | None) -> float:
    """Passes through a model that scoring took per row: one for an encoder, one for each teacher; 0 where none is known."""
    if step is None:
        return 0.0
    encoders = any("encoder" in source for source in step.inputs.values())
    named = ("teachers", "student")
    teachers = [len(source[name]) for source in step.inputs.values() for name in named if name in source]
    return float(encoders + sum(teachers))
