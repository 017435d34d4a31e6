"""Inputs of the last layer of a classifier: the features of an image, kept beside its logits in the same pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hf_prune.runtime.processes import all_max

if TYPE_CHECKING:
    import torch

    from hf_prune.models.loaded_model import Forward, LoadedModel


def with_features(model: LoadedModel) -> LoadedModel:
    """Turn a classifier into a model that also gives the inputs of its last linear layer.

    Returns:
        A model whose forward pass gives (B, classes + d + 1), float32: logits, features and their number d, which is 0
        where no linear layer gives the logits, as in a function. Its results are kept apart from those of logits alone.
    """

    def load(device: torch.device) -> tuple[Forward, Callable[[], None]]:
        forward, release = model.load(device)
        both = LogitsAndFeatures(forward)

        def close() -> None:
            both.close()
            release()

        return both, close

    return dataclasses.replace(model, identity=model.identity | {"output": "logits, features"}, load=load)


def split_features(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Split such results into logits (n, classes) and features (n, d) or None; every process must call this.

    Example:
        >>> logits, features = split_features(np.array([[0.5, -0.5, 7.0, 8.0, 9.0, 3.0]], dtype=np.float32))
        >>> logits.tolist(), features.tolist()
        ([[0.5, -0.5]], [[7.0, 8.0, 9.0]])
    """
    size = all_max(int(values[0, -1]) if len(values) else 0)  # a process without rows does not know it
    num_classes = values.shape[1] - size - 1
    return values[:, :num_classes], values[:, num_classes:-1] if size else None


class LogitsAndFeatures:
    """Forward pass that gives features beside the logits of `forward`, which holds its module, if it has one, as ``model``."""

    def __init__(self, forward: Any) -> None:
        self._forward, self._linear = forward, _linear_layers(getattr(forward, "model", None))
        self._searched = not self._linear
        self._hook: Any = None
        self._seen: tuple[Any, torch.Tensor, torch.Tensor] | None = None

    def __call__(self, batch: Any) -> torch.Tensor:
        """Return (B, classes + d + 1), float32, for a collated batch."""
        import torch

        logits = self._forward(batch) if self._searched else self._first(batch)
        seen, self._seen = self._seen, None
        if logits.ndim != 2:
            return logits  # refused by the engine
        features = logits[:, :0] if seen is None else seen[1].float()
        return torch.cat([logits, features, logits.new_full((len(logits), 1), features.shape[1])], dim=1)

    def close(self) -> None:
        """Remove the hook."""
        if self._hook is not None:
            self._hook.remove()

    def _first(self, batch: Any) -> torch.Tensor:
        """Run the first batch, which shows whether the linear layer that was called last gives the logits.

        The hook is torch's own for all modules: one on a layer inside would keep transformers of torch from their fused
        kernels, which round otherwise.
        """
        import torch

        hook = torch.nn.modules.module.register_module_forward_hook(self._note)
        try:
            logits: torch.Tensor = self._forward(batch)
        finally:
            hook.remove()
        self._searched = True
        if self._seen is not None and torch.equal(self._seen[2].float(), logits):
            self._hook = self._seen[0].register_forward_hook(self._note)
        else:
            self._seen = None
        return logits

    def _note(self, module: Any, inputs: tuple[Any, ...], output: Any) -> None:
        if module in self._linear and inputs:
            self._seen = module, inputs[0], output


def _linear_layers(model: Any) -> set[Any]:
    """Return the linear layers of a module; none for a function or a compiled module, which a hook would compile anew."""
    import torch

    if not isinstance(model, torch.nn.Module):
        return set()
    parts = list(model.modules())
    if any(hasattr(part, "_orig_mod") or getattr(part, "_compiled_call_impl", None) is not None for part in parts):
        return set()
    return {part for part in parts if isinstance(part, torch.nn.Linear)}
