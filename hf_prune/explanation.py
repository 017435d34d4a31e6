"""Why each row of a scored data set was kept or dropped, from the step that a pruning left in the history."""

from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.digests import unpack_rows
from hf_prune.given_data import check_one
from hf_prune.provenance import Step, not_the_input, provenance
from hf_prune.reason_records import unpack_reasons
from hf_prune.scores import read_scores
from hf_prune.selection.result import explain_rows


def explain(ds: Dataset, kept: Dataset) -> Dataset:
    """Say of every row of a scored data set whether a pruning kept it, its score, its rank and why.

    Nothing is computed again: the reasons lie in the history of what was kept.

    Args:
        ds: The scored data set as it was before it was pruned, n rows.
        kept: What `prune` made of it, whatever was done to it since.

    Returns:
        A ``Dataset`` of n rows with the columns ``row``, ``kept``, ``score`` (null where there is none), ``rank`` (1 is
        the hardest, equal scores share a rank, null without a score) and ``reason``. Its ``to_csv`` writes it.

    Raises:
        ValueError: If ``kept`` has no pruning of ``ds`` in its history: rows and scores are compared with their digests.
        TypeError: If one of them is not a single ``Dataset``.

    Example:
        >>> import hf_prune
        >>> ds = Dataset.from_dict({"difficulty": [0.1, 0.9, 0.5, 0.7]})
        >>> hf_prune.explain(ds, ds.prune("difficulty", keep=0.5, order="hard"))["reason"][:]
        ['below the cut', 'above the cut', 'below the cut', 'above the cut']
    """
    for name, found in (("ds", ds), ("kept", kept)):
        check_one(found, f"{name}= of explain")
    step = _find_step(ds, kept)
    is_kept = np.zeros(len(ds), dtype=bool)
    is_kept[unpack_rows(str(step.rows), len(ds))] = True
    return explain_rows(is_kept, read_scores(ds, step.column), pa.array(_reasons(step, is_kept), pa.string()))


def _find_step(ds: Dataset, kept: Dataset) -> Step:
    """The pruning of ``ds`` in the history of ``kept``."""
    prunings = [step for step in provenance(kept).steps if step.kind == "prune"]
    if not prunings:
        raise ValueError("kept has no pruning in its history: give what prune made of ds")
    alike = [step for step in prunings if step.rows_in == len(ds) and step.column in ds.column_names]
    reasons = [_why_not(step, ds) for step in alike]
    if None in reasons:
        return alike[reasons.index(None)]
    last = (alike or prunings)[-1]
    but = f", but {reasons[-1]}" if reasons else ""
    raise ValueError(
        f"kept was pruned from {last.rows_in} rows by column {last.column!r}, ds has {len(ds)} rows and the columns "
        f"{ds.column_names}{but}: give the scored data set as it was before that pruning"
    )


def _why_not(step: Step, ds: Dataset) -> str | None:
    """Why a data set is not the one that a pruning began with; None if it is."""
    history = provenance(ds)
    if step.rows is None:
        return "the row numbers were not recorded"
    if step.digest_before is None and step.parents != tuple(head.id for head in history.heads):
        return "its last step is another than the one before the pruning"
    if step.digest_before is None and history.changed_since(ds):
        return "it was changed since its last step"
    return not_the_input(step, ds)


def _reasons(step: Step, kept: NDArray[np.bool_]) -> list[str]:
    """The reason of every row; of a pruning that recorded none, what is known."""
    record: dict[str, Any] = step.reasons or {"kept": "kept", "dropped": "dropped", "rows": {}}
    return unpack_reasons(record, kept, np.array(step.unscored, dtype=np.int64))
