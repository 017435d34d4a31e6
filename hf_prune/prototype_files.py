"""Fitted prototypes as files: the centroids, what made them, and a card."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.engine.array_files import write_arrays
from hf_prune.engine.integrity import sealed
from hf_prune.folders import owned
from hf_prune.hub.export import README
from hf_prune.hub.model_card import prototypes_card
from hf_prune.hub.model_files import read_readme
from hf_prune.inputs.from_prototypes import ARRAYS, CONFIG


def write_prototypes(
    folder: Path, centroids: NDArray[np.float64], config: dict[str, Any], repo_id: str | None
) -> Path:
    """Write them to a folder, which is made if it is not there; text of a card in it stays, outside our section."""
    with owned(folder) as own:
        new = own.stage()
        write_arrays(new / ARRAYS, {"centroids": centroids})
        (new / CONFIG).write_bytes(sealed(dict(sorted(config.items()))))
        (new / README).write_bytes(prototypes_card(config, centroids.shape, repo_id, read_readme(folder)).encode())
        own.commit()
    return folder
