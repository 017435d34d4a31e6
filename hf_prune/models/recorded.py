"""Models opened again as their record names them, and no others."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from hf_prune.data.source import hub_name
from hf_prune.models.loaded_model import PIXELS, TINY
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.messages import error_line, warn

if TYPE_CHECKING:
    from hf_prune.models.loaded_model import LoadedModel


# Pixels of a side that a record may ask for; of the pixels themselves each is three values of every row's embedding.
MAX_SIDE, MAX_SIDE_OF_PIXELS = 1024, 256
_FORMATS = ("dtype", "embedding_dtype")


def check_recorded(identity: Mapping[str, Any]) -> None:
    """Raise a one-line ValueError if a record describes a model otherwise than `hf_prune` does.

    Example:
        >>> check_recorded({"id": "pixels", "kind": "pixels", "dtype": "float32", "image_size": 60_000})
        Traceback (most recent call last):
        ...
        hf_prune.InputError: a record asks for images of 60,000 pixels a side: at most 256 are made by its word
    """
    texts = [identity.get(name) for name in ("id", "kind", *_FORMATS)]
    side = identity.get("image_size")
    if not all(isinstance(text, str | None) for text in texts) or not (
        side is None or (type(side) is int and side > 0)
    ):
        raise InputError("what a record says of a model cannot be read")
    most = MAX_SIDE_OF_PIXELS if identity.get("kind") == PIXELS else MAX_SIDE
    if side is not None and side > most:
        raise InputError(f"a record asks for images of {side:,} pixels a side: at most {most:,} are made by its word")


def is_public(identity: Mapping[str, Any]) -> bool:
    """Whether anybody can find a recorded model: at a commit of the Hub, with this package, or as the pixels themselves."""
    return bool(_own_name(identity) or identity.get("commit"))


def _own_name(identity: Mapping[str, Any]) -> str | None:
    """Return the name of an encoder that needs no file but this package's; local folders go by the class of their model."""
    if identity.get("kind") == PIXELS:
        return PIXELS
    brought_along = (
        identity.get("kind") == "transformers" and identity.get("id") == TINY and not identity.get("commit")
    )
    return TINY if brought_along else None


def model_name(identity: Mapping[str, Any]) -> str:
    """Return the name that finds a public model again, ``"pixels"``, ``"tiny"`` or its repository; ValueError for any other."""
    if not is_public(identity):
        raise InputError(
            f"the encoder {identity['id']!r} is none of the Hub: pass encoder=, as it was given when these were made"
        )
    return _own_name(identity) or hub_name(identity.get("id"), identity["commit"])


def opening_options(models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what recorded models were opened with, each where it is known: ``revision``, ``image_size`` and number formats.

    Args:
        models: Their records; models of several commits have no ``revision`` in common.
    """
    commits = {model.get("commit") for model in models} - {None}
    found = {"revision": commits.pop() if len(commits) == 1 else None}
    found |= {name: models[0].get(name) for name in (*_FORMATS, "image_size")}
    return {name: value for name, value in found.items() if value is not None}


def encoder_options(identity: Mapping[str, Any], encoder: Any = None) -> dict[str, Any]:
    """Return the arguments of `load_encoder` that open a recorded encoder as it was.

    Args:
        identity: Its record.
        encoder: The encoder of the caller, which need not lie where the recorded one did; None takes that.

    Raises:
        ValueError: If the record is damaged, or names no public model where the caller has none.
    """
    check_recorded(identity)
    name = model_name(identity) if encoder is None else encoder
    options = opening_options([identity])
    if not isinstance(name, str | Path):  # a module or a function has its size already
        options.pop("image_size", None)
    if str(name) != identity["id"]:
        options.pop("revision", None)
    return {"encoder": name, **options}


def load_recorded_encoder(identity: Mapping[str, Any], encoder: Any, device: str | None) -> "LoadedModel":
    """Load the encoder that embeddings were made by, for a device.

    A ValueError is as of `encoder_options`, or says that it is another encoder.
    """
    from hf_prune.models.load import load_encoder

    model = load_encoder(**encoder_options(identity, encoder), device=device)
    check_same_encoder(model.identity, identity)
    return model


def recorded_model(
    identity: Mapping[str, Any], *, is_teacher: bool, allow_pickle: bool, device: str | None
) -> "LoadedModel":
    """Prepare a model that a record names; its weights are read only where results of it are missing.

    A folder or module of the user's own is not named so that it could be found again, and one of the Hub may be out of
    reach. Results of such a model are read where they are kept; if some are missing, opening it raises a one-line ValueError.

    Args:
        identity: Its record.
        is_teacher: Whether its logits are wanted, else its embeddings.
        allow_pickle: As of `load_encoder`.
        device: Where it will run.

    Raises:
        ValueError: If the record is damaged.
    """
    from hf_prune.models.load import load_encoder, load_teacher
    from hf_prune.models.loaded_model import LoadedModel

    check_recorded(identity)
    reason = "is none of the Hub"
    if is_public(identity):
        try:
            options = encoder_options(identity) | {"allow_pickle": allow_pickle, "device": device}
            name = options.pop("encoder")
            model = load_teacher(name, **options) if is_teacher else load_encoder(name, **options)
            check_same_encoder(model.identity, identity, made="the scores")
            return model
        except Exception as error:  # of any kind: what is kept may do
            reason = f"cannot be opened ({error_line(error)})"
    refuse = partial(_refuse, f"{identity.get('id')!r} {reason}, and its results are not all in the cache")
    return LoadedModel(dict(identity), None, "not_cached" not in identity, collate=list, load=refuse)


def _refuse(reason: str, _: Any) -> NoReturn:
    raise InputError(reason)


def check_same_encoder(found: Mapping[str, Any], identity: Mapping[str, Any], made: str = "these prototypes") -> None:
    """Raise a one-line ValueError if an encoder is not the recorded one; ``made`` is what was made by it, for the message.

    Warns:
        UserWarning: If the record does not tell encoders of its kind apart.
    """
    unknown = identity.get("not_cached")
    if "code" in identity:  # of a module or function, by an earlier version
        unknown = "its record is of an earlier version, which did not look at all of it"
    left_out = {"id", "commit", "not_cached"} | ({"code", "preprocessing"} if "code" in identity else set())
    known = {"embedding_dtype": None} | {name: value for name, value in identity.items() if name not in left_out}
    differing = sorted(name for name, value in known.items() if found.get(name) != value)
    if differing:
        raise InputError(
            f"encoder {found['id']!r} is not the one that {made} were made by ({', '.join(differing)} "
            f"differ): pass the encoder {identity['id']!r} as it was"
        )
    if unknown:
        warn(f"whether encoder {found['id']!r} is the one that {made} were made by cannot be told: {unknown}")
