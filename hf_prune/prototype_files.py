"""Fitted prototypes as files: the centroids, what made them, and a card."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.digests import array_sha256
from hf_prune.engine.array_files import DamagedFile, read_arrays, write_arrays, write_file
from hf_prune.hub.model_card import prototypes_card
from hf_prune.hub.model_files import find_files
from hf_prune.prototype_fitting import FORMAT

CONFIG, ARRAYS, README = "prototypes.json", "prototypes.safetensors", "README.md"


def write_prototypes(
    folder: Path, centroids: NDArray[np.float64], config: dict[str, Any], repo_id: str | None
) -> Path:
    """Write them to a folder, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config, indent=1, sort_keys=True, allow_nan=False) + "\n"
    write_arrays(folder / ARRAYS, {"centroids": centroids})
    write_file(folder / CONFIG, text.encode())
    write_file(folder / README, prototypes_card(config, centroids.shape, repo_id).encode())
    return folder


def read_prototypes(
    name: str | Path, revision: str | None, token: str | None
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Read them from a folder or a repository on the Hub.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If the files are damaged or of a later version.
    """
    config_file, arrays_file = find_files(name, (CONFIG, ARRAYS), revision, token)
    try:
        config: dict[str, Any] = json.loads(config_file.read_bytes())
        centroids = read_arrays(arrays_file)[0]["centroids"]
        if config["format"] != FORMAT:
            raise ValueError(f"format {config['format']}, this version reads {FORMAT}")
        if config["centroids_sha256"] != array_sha256(centroids):
            raise ValueError("the centroids are not those of their digest")
    except (DamagedFile, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"the prototypes in {str(name)!r} cannot be read ({error}): fetch or fit them again"
        ) from error
    return centroids, config
