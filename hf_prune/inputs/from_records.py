"""Inputs that trainings leave behind: what a record says of every row, epoch by epoch or run by run."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.array_names import PER_CLASS, PER_ROW, PER_RUN
from hf_prune.collectives import check_alike
from hf_prune.columns import Labels
from hf_prune.digests import array_sha256
from hf_prune.inputs.made import MadeInputs

if TYPE_CHECKING:
    from hf_prune.dynamics import TrainingRecord

Array = NDArray[Any]

# Read epoch by epoch, shape (epochs, n, …) of one record, (runs, epochs, n, …) of several.
_PER_EPOCH = (*PER_ROW, PER_CLASS)
RECORDED = frozenset({*_PER_EPOCH, *PER_RUN})


def make_recorded(made: MadeInputs, name: str) -> None:
    """An array from ``dynamics=``."""
    made.records = made.records or _records(made, name)
    records, source = made.records
    parts = [read_input(record, name) for record in records]
    shapes = sorted({part.shape for part in parts})
    if len(shapes) > 1:
        raise ValueError(
            f"the {len(records)} records hold {name!r} of shapes {shapes[0]} and {shapes[-1]}: "
            "give records of equally long trainings with one test set"
        )
    array = parts[0] if len(parts) == 1 and name in _PER_EPOCH else np.stack(parts)
    digest = array_sha256(array)
    check_alike({name: f"{array.shape} {digest}".encode()})
    made.made_from[name] = source | {"runs": len(records), "sha256": digest}
    made.whole[name] = array


def read_input(record: "TrainingRecord", name: str) -> Array:
    """What one record says of an input: (epochs, n, …), or of one of `PER_RUN` (n,) or (m,)."""
    found: Array = getattr(record, name) if name in PER_RUN else record.read(name)
    return found


def _records(made: MadeInputs, name: str) -> "tuple[list[TrainingRecord], dict[str, Any]]":
    """Records of this data set, and how the history calls them."""
    if made.request.dynamics is None:
        raise ValueError(
            f"this metric needs {name}: pass dynamics= (a record of hf_prune.watch, its folder, or a list of them), "
            f"teachers='heads' with encoder=, or inputs={{{name!r}: array}}"
        )
    from hf_prune.dynamics import dataset_name, open_records

    dynamics = made.request.dynamics
    records = open_records(getattr(dynamics, "records", dynamics))  # of `Teachers`, those of its trainings
    labels: Labels | None = made.find_labels()
    for record in records:
        record.check(len(made.ds), None if labels is None else labels.codes, dataset_name(made.ds))
    first = records[0]
    return records, {"dynamics": {"dataset": first.dataset, "mode": first.mode, "epochs": first.num_epochs}}
