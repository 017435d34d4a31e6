"""Distances to prototypes that were fitted before, on these rows or on others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.data.digests import array_sha256
from hf_prune.data.source import split_revision
from hf_prune.metrics import get_metric
from hf_prune.metrics.registry import Metric
from hf_prune.models.recorded import check_recorded, check_same_encoder, encoder_options
from hf_prune.models.sources import find_files
from hf_prune.runtime.errors import InputError, InputTypeError
from hf_prune.runtime.files import DamagedFile, read_arrays
from hf_prune.runtime.integrity import unsealed
from hf_prune.runtime.messages import one_line
from hf_prune.runtime.untrusted import read_bytes
from hf_prune.scoring.from_models import encoder_of
from hf_prune.scoring.pool import InputPool
from hf_prune.scoring.request import Request

CONFIG, ARRAYS = "prototypes.json", "prototypes.safetensors"
FORMAT = 1
METRIC = "prototypes"
CENTROIDS = "centroids"  # the input of a metric that is measured by them


@dataclass
class FittedPrototypes:
    """Prototypes of a data set in the embedding space of an encoder.

    Attributes:
        centroids: Unit rows, float64, shape (k, d).
        config: How they were fitted, in plain JSON values: ``encoder`` (id, commit, preprocessing, ...), ``options``,
            ``rows``, ``source``, ``image_column``, ``versions``, ``centroids_sha256``.
        encoder: The encoder, where it is none of the Hub.
        origin: Where they were opened or published: ``id`` of the repository, or name of the folder, and ``commit``.
    """

    centroids: NDArray[np.float64]
    config: dict[str, Any]
    encoder: Any = field(default=None, repr=False, kw_only=True)
    origin: dict[str, str | None] = field(default_factory=dict, kw_only=True)

    @property
    def identity(self) -> dict[str, str | None]:
        """Return their entry in a record."""
        place = {name: self.origin.get(name) for name in ("id", "commit")}
        return {**place, "centroids_sha256": array_sha256(self.centroids)}


def read_prototypes(name: str | Path, revision: str | None = None, token: str | None = None) -> FittedPrototypes:
    """Read prototypes from a folder, or a repository on the Hub, of which ``id@revision`` names one with its revision.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If the files are damaged or of a later version.
    """
    (config_file, arrays_file), commit = find_files(name, (CONFIG, ARRAYS), revision, token)
    try:
        config = unsealed(read_bytes(config_file))
        if config["format"] != FORMAT:
            raise InputError(f"format {config['format']}, this version reads {FORMAT}")
        check_recorded(config["encoder"])
        if not isinstance(config["options"], dict) or config["options"].keys() - get_metric(METRIC).options.keys():
            raise InputError(f"its options are not those of {METRIC!r}")
        centroids = read_arrays(arrays_file)[0]["centroids"]
        if config["centroids_sha256"] != array_sha256(centroids):
            raise InputError("the centroids are not those of their digest")
        if centroids.ndim != 2 or centroids.dtype.kind != "f":
            raise InputError("the centroids are no rows of numbers")
    except (DamagedFile, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"the prototypes in {str(name)!r} cannot be read ({one_line(error)}): fetch or fit them again"
        ) from error
    place = split_revision(str(name))[0] if commit else Path(name).expanduser().resolve().name
    return FittedPrototypes(centroids, config, origin={"id": place, "commit": commit})


def open_prototypes(request: Request, metrics: Sequence[Metric]) -> Request:
    """Open the prototypes of a request, and take their encoder where it has none.

    Raises:
        ValueError: If no metric is measured by prototypes, or the encoder is not theirs.
        FileNotFoundError: If there are none.
        TypeError: If ``prototypes`` is neither a name nor prototypes.
    """
    given = request.prototypes
    if given is None:
        return request
    if not any(CENTROIDS in metric.inputs for metric in metrics):
        raise InputError(f"prototypes= is for the metric 'prototypes', not {metrics[0].name!r}: leave it out")
    opened = read_prototypes(given) if isinstance(given, str | Path) else given
    if not isinstance(opened, FittedPrototypes):
        raise InputTypeError(f"prototypes={given!r}: give a Prototypes, or the folder or repository of one")
    request = replace(request, prototypes=opened)
    return request if "embeddings" in request.given else _with_encoder(request, opened)


def _with_encoder(request: Request, prototypes: FittedPrototypes) -> Request:
    """Add the encoder that prototypes were fitted with, opened as it was then except where the request differs."""
    known = prototypes.config["encoder"]
    options = encoder_options(known, prototypes.encoder if request.encoder is None else request.encoder)
    encoder = options.pop("encoder")
    run = request.run
    asked = {
        "revision": run.revision,
        "dtype": None if run.dtype == "auto" else run.dtype,
        "embedding_dtype": run.embedding_dtype,
        "image_size": run.image_size,
    }
    run = replace(run, **options | {name: value for name, value in asked.items() if value})
    request = replace(request, encoder=encoder, run=run)
    check_same_encoder(encoder_of(request).identity, known)
    return request


def options_of(request: Request, metric: Metric, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a metric, which of fitted prototypes are those that they were fitted with; refuse others."""
    own = {name: value for name, value in options.items() if name in metric.options}
    if CENTROIDS not in metric.inputs or CENTROIDS not in request.sources:
        return own
    given = request.given.get(CENTROIDS)
    fitted = dict(request.prototypes.config["options"]) if given is None else {"num_prototypes": len(given)}
    odd = [name for name, value in own.items() if name != "seed" and value not in (None, fitted.get(name))]
    if odd:
        raise InputError(f"{odd[0]}={own[odd[0]]!r}, but the prototypes have {fitted.get(odd[0])!r}: leave it out")
    return own | fitted


def make_centroids(pool: InputPool) -> None:
    """Take the centroids of the prototypes of a request; they are the same in every process."""
    prototypes = pool.request.prototypes
    pool.made_from[CENTROIDS] = {"prototypes": prototypes.identity}
    pool.everywhere[CENTROIDS] = prototypes.centroids
