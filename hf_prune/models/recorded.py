"""Open the encoder that some embeddings were made by, as their record names it, and no other."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_prune.data.source import hub_name
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.messages import warn

if TYPE_CHECKING:
    from hf_prune.models.loaded_model import LoadedModel


# Pixels of a side that a record may ask for; of the pixels themselves each is three values of every row's embedding.
MAX_SIDE, MAX_SIDE_OF_PIXELS = 1024, 256
PIXELS = "pixels"


def check_recorded(identity: Mapping[str, Any]) -> None:
    """Raise a one-line ValueError if what a record says of a model is not what `hf_prune` writes there.

    Example:
        >>> check_recorded({"id": "pixels", "kind": "pixels", "dtype": "float32", "image_size": 60_000})
        Traceback (most recent call last):
        ...
        hf_prune.InputError: a record asks for images of 60,000 pixels a side: at most 256 are made by its word
    """
    texts = [identity.get(name) for name in ("id", "kind", "dtype")]
    side = identity.get("image_size")
    if not all(isinstance(text, str | None) for text in texts) or not (
        side is None or (type(side) is int and side > 0)
    ):
        raise InputError("what a record says of a model cannot be read")
    most = MAX_SIDE_OF_PIXELS if identity.get("kind") == PIXELS else MAX_SIDE
    if side is not None and side > most:
        raise InputError(f"a record asks for images of {side:,} pixels a side: at most {most:,} are made by its word")


def named_encoder(identity: Mapping[str, Any]) -> str:
    """What names the encoder so that it is found again: a repository, or the pixels themselves.

    Raises:
        ValueError: If it is neither.
    """
    if identity.get("kind") == PIXELS:
        return PIXELS
    if identity.get("commit"):
        return hub_name(identity.get("id"), identity["commit"])
    raise InputError(
        f"the encoder {identity['id']!r} is none of the Hub: pass encoder=, as it was given when these were made"
    )


def load_known_encoder(identity: Mapping[str, Any], encoder: Any, device: str | None) -> "LoadedModel":
    """Load the encoder that some embeddings were made by.

    Args:
        identity: Its record.
        encoder: What the caller says it is; None takes what the record names.
        device: Where it will run.

    Raises:
        ValueError: If it is another one.
    """
    from hf_prune.models.load import load_encoder

    check_recorded(identity)
    given = named_encoder(identity) if encoder is None else encoder
    named = isinstance(given, str | Path)
    model = load_encoder(
        given,
        revision=identity.get("commit") if named and str(given) == identity["id"] else None,
        dtype=identity["dtype"],
        image_size=identity.get("image_size") if named else None,
        device=device,
    )
    check_known_encoder(model.identity, identity)
    return model


def check_known_encoder(found: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Raise a one-line ValueError if an encoder is not the one that some embeddings were made by.

    Warns:
        UserWarning: If the record does not tell encoders of its kind apart.
    """
    untold = identity.get("not_cached")
    if "code" in identity:  # of a module or function, by an earlier version
        untold = "its record is of an earlier version, which did not look at all of it"
    left_out = {"id", "commit", "not_cached"} | ({"code", "preprocessing"} if "code" in identity else set())
    known = {name: value for name, value in identity.items() if name not in left_out}
    differing = sorted(name for name, value in known.items() if found.get(name) != value)
    if differing:
        raise InputError(
            f"encoder {found['id']!r} is not the one that these prototypes were made by ({', '.join(differing)} "
            f"differ): pass the encoder {identity['id']!r} as it was"
        )
    if untold:
        warn(
            f"whether encoder {found['id']!r} is the one that these prototypes were made by cannot be told: {untold}",
            stacklevel=2,
        )
