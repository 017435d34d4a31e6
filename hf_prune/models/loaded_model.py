"""A model that is ready to run over images, of whatever origin, and the choice of its number format.

The engine and the cache need a model's identity, its collate function and its forward pass; where these
come from (transformers, a torch module, a function) is the business of the files that build a `LoadedModel`.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self

from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import computes_bfloat16

if TYPE_CHECKING:
    import torch
    from PIL import Image

    Forward = Callable[[Any], torch.Tensor]

PIXELS, TINY = "pixels", "tiny"  # encoders that need no file but this package's, by the names that records hold
DTYPES = ("auto", "float32", "bfloat16", "float16")
EMBEDDING_DTYPES = ("float16", "bfloat16")


def _nothing() -> None:
    """Release nothing."""


@dataclasses.dataclass
class LoadedModel:
    """A model with its preprocessing; the weights are read only by `open`.

    Args:
        identity: What makes two runs the same, in plain JSON values without a local path: kind, id, commit,
            weights_sha256, output, preprocessing, image_size, backend, dtype; config_sha256 of a local folder,
            code_sha256 of what the user made; not_cached, a reason, where something of it is unknown.
        names: Class names in the order of the logits, for teachers whose config has real names.
        cacheable: False where no identity can be computed; then nothing may be cached.
        collate: Picklable; a list of B PIL images of any mode becomes one batch on the CPU.
        load: Builds the forward pass on a device and says how to release it.
        num_classes: How many logits a teacher gives, where that is known before it runs.
        several_labels: Whether its config says that a row may have several of its classes, so that each logit is one of its own.
        differentiated: A digest of which weights a gradient is taken of, where the user decides that.
    """

    identity: dict[str, Any]
    names: tuple[str, ...] | None
    cacheable: bool
    collate: Callable[[list[Image.Image]], Any]
    load: Callable[[torch.device], tuple[Forward, Callable[[], None]]] = dataclasses.field(repr=False)
    num_classes: int | None = None
    differentiated: str | None = None
    several_labels: bool = False
    _release: Callable[[], None] = dataclasses.field(default_factory=lambda: _nothing, init=False, repr=False)

    @property
    def is_detector(self) -> bool:
        """Whether its results are those of a detector, and not one vector per image that means something as a whole."""
        return bool(self.identity.get("output") == "boxes")

    def open(self, device: torch.device) -> Forward:
        """Load the weights on a device and return the forward pass.

        Returns:
            A function from a collated batch to a tensor (B, d) on `device`, to be called under `torch.inference_mode`.
        """
        self.close()
        forward, self._release = self.load(device)
        return forward

    def close(self) -> None:
        """Release the weights; a module of the user's own gets its train flags back. Safe to call twice."""
        release, self._release = self._release, _nothing
        release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def with_first_output(model: LoadedModel, look: Callable[[torch.Tensor], object]) -> LoadedModel:
    """Return a model that shows `look` the output (B, d) of its first batch, which may be refused before the rest is computed."""

    def load(device: torch.device) -> tuple[Forward, Callable[[], None]]:
        forward, release = model.load(device)
        return _FirstOutput(forward, look), release

    return dataclasses.replace(model, load=load)


def with_embedding_dtype(model: LoadedModel, embedding_dtype: str | None) -> LoadedModel:
    """Return a model whose embeddings are rounded to 16 bits, which its identity tells; None leaves them as they are.

    Raises:
        ValueError: `embedding_dtype` is none of `float16`, `bfloat16` and None.
    """
    if embedding_dtype is None:
        return model
    if embedding_dtype not in EMBEDDING_DTYPES:
        raise InputError(
            f"embedding_dtype={embedding_dtype!r}; give {' or '.join(map(repr, EMBEDDING_DTYPES))}, or leave it out"
        )

    def load(device: torch.device) -> tuple[Forward, Callable[[], None]]:
        import torch

        forward, release = model.load(device)
        number_format: torch.dtype = getattr(torch, embedding_dtype)
        return lambda batch: forward(batch).to(number_format), release

    return dataclasses.replace(model, identity=model.identity | {"embedding_dtype": embedding_dtype}, load=load)


@contextlib.contextmanager
def kept_open(model: LoadedModel) -> Iterator[LoadedModel]:
    """Lend a model whose weights stay in place from one pass to the next, until the block is left."""
    opened: list[tuple[Forward, Callable[[], None]]] = []

    def load(device: torch.device) -> tuple[Forward, Callable[[], None]]:
        if not opened:
            opened.append(model.load(device))
        return opened[0][0], _nothing

    try:
        yield dataclasses.replace(model, load=load)
    finally:
        for _, release in opened:
            release()


class _FirstOutput:
    """Forward pass that shows its first output; it holds its module, if it has one, as ``model``."""

    def __init__(self, forward: Forward, look: Callable[[torch.Tensor], object]) -> None:
        self.forward, self.model = forward, getattr(forward, "model", None)
        self._look: Callable[[torch.Tensor], object] | None = look

    def __call__(self, batch: Any) -> torch.Tensor:
        output = self.forward(batch)
        look, self._look = self._look, None
        if look is not None:
            look(output)
        return output


@dataclasses.dataclass(frozen=True)
class LoadOptions:
    """Options of loading a model: the arguments of `hf_prune.models.load.load_encoder`, and whether it is a teacher."""

    revision: str | None
    dtype: str
    image_size: int | None
    allow_pickle: bool
    device: torch.device | str | None
    logits: bool

    def number_format(self, *, in_float32: bool = False) -> torch.dtype:
        """Return the format of the weights; ``in_float32`` is what ``auto`` means where bfloat16 would change rankings."""
        return resolve_dtype("float32" if self.dtype == "auto" and in_float32 else self.dtype, self.device)


def model_identity(kind: str, name: str, output: str, dtype: Any, **known: Any) -> dict[str, Any]:
    """Return an identity of a `LoadedModel` with what is known of it."""
    return {
        "kind": kind,
        "id": name,
        "commit": None,
        "weights_sha256": None,
        "output": output,
        "preprocessing": None,
        "image_size": None,
        "backend": "pil",
        "dtype": str(dtype).removeprefix("torch."),
        **known,
    }


def default_device() -> torch.device:
    """Return the accelerator of this machine, or the CPU where there is none."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def resolve_dtype(dtype: str, device: torch.device | str | None) -> torch.dtype:
    """Turn the `dtype=` of a call into the number format of the weights.

    `auto` is bfloat16 where the hardware of `device` (None: the accelerator of this machine, or its CPU) computes in it, else
    float32. bfloat16 keeps 8 bits of every weight. The order of distances hardly changes for wide models; networks of depthwise
    convolutions are more sensitive, and `auto` leaves them in float32, see `hf_prune.models.outputs.needs_float32`.

    Raises:
        ValueError: `dtype` is none of `auto`, `float32`, `bfloat16` and `float16`.

    Examples:
        >>> resolve_dtype("float32", "cpu")
        torch.float32
    """
    import torch

    if dtype not in DTYPES:
        raise InputError(f"dtype={dtype!r} is not known; give one of {', '.join(map(repr, DTYPES))}")
    if dtype != "auto":
        chosen: torch.dtype = getattr(torch, dtype)
        return chosen
    return torch.bfloat16 if computes_bfloat16(torch.device(device or default_device())) else torch.float32
