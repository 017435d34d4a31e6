"""Per-example gradient norms of a classifier: one number per image and label."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from hf_prune.runtime.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from hf_prune.models.loaded_model import Forward, LoadedModel

MAX_GRADIENT_VALUES = 2**26  # gradients of several images at once: 256 MiB of float32


def with_gradient_norms(model: LoadedModel) -> LoadedModel:
    """Turn a classifier into a model that gives the norm of each image's own gradient.

    Args:
        model: What `load_teacher` returned, in float32: half precision loses small gradients.

    Returns:
        A model whose forward pass takes a pair (collated batch, classes (B,)) and gives (B, 1): the Euclidean norm of
        the gradient of the cross-entropy with respect to all weights, the model in eval mode. A class of -1 gives 0.

    Raises:
        ValueError: When opened, if the classifier is a function, which has no weights to differentiate by.

    References:
        GraNd of Paul et al. (2021), arXiv:2107.07075, who take the expectation over several first weights.
    """

    def load(device: torch.device) -> tuple[Forward, Callable[[], None]]:
        forward, release = model.load(device)
        if not hasattr(forward, "model"):
            release()
            raise InputError(
                f"teacher {model.identity['id']!r} is a function, which has no weights to differentiate by: "
                "give a model of transformers, or (module, transform)"
            )
        return GradientNorms(forward), release

    trained = {} if model.differentiated is None else {"trained_sha256": model.differentiated}
    identity = model.identity | {"output": "grad_norm"} | trained
    return dataclasses.replace(model, identity=identity, names=None, num_classes=None, load=load)


class GradientNorms:
    """Forward pass that gives gradient norms in place of the logits of `forward`, which holds its module as ``model``."""

    def __init__(self, forward: Any) -> None:
        self._wrapped = _module_of(forward)
        # Weights that the user froze are not trained, so they have no part in the gradient.
        self._weights = {name: value for name, value in self._wrapped.named_parameters() if value.requires_grad}
        if not self._weights:
            raise InputError("every weight of the teacher is frozen, so there is no gradient: unfreeze some")
        size = sum(value.numel() for value in self._weights.values())
        self._chunk_size = max(1, MAX_GRADIENT_VALUES // size)
        self._num_classes = 0

    def __call__(self, pair: tuple[Any, torch.Tensor]) -> torch.Tensor:
        """Return (B, 1), float32, for a collated batch and its classes."""
        import torch

        batch, targets = pair
        device = next(iter(self._weights.values())).device
        batch = dict(batch) if hasattr(batch, "items") else batch
        self._check(batch, targets)
        weights = {name: value.detach() for name, value in self._weights.items()}

        def loss(weights: dict[str, torch.Tensor], image: Any, target: torch.Tensor) -> torch.Tensor:
            alone = torch.utils._pytree.tree_map(lambda value: value.unsqueeze(0), image)
            logits = torch.func.functional_call(self._wrapped, weights, (alone,))
            return torch.nn.functional.cross_entropy(logits.float(), target[None], reduction="sum", ignore_index=-1)

        def norm(image: Any, target: torch.Tensor) -> torch.Tensor:
            gradients = torch.func.grad(loss)(weights, image, target).values()
            return torch.stack([gradient.float().square().sum() for gradient in gradients]).sum().sqrt()

        # Inside a caller's inference_mode nothing can be differentiated. Of the attention kernels the plain one is
        # known to vmap; the others would run row by row.
        math = torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)
        with torch.inference_mode(False), torch.enable_grad(), math:
            norms = torch.func.vmap(norm, chunk_size=self._chunk_size, randomness="error")(batch, targets.to(device))
        return norms.detach()[:, None]

    def _check(self, batch: Any, targets: torch.Tensor) -> None:
        """Refuse a class that the classifier does not have; how many it has shows in its first logits."""
        import torch

        if not self._num_classes:
            self._num_classes = self._wrapped(torch.utils._pytree.tree_map(lambda value: value[:1], batch)).shape[1]
        if int(targets.max()) >= self._num_classes:
            raise InputError(
                f"the teacher knows {self._num_classes} classes, a row has label {int(targets.max())}: "
                "give a teacher trained on the classes of this data set"
            )


def _module_of(forward: Any) -> torch.nn.Module:
    """Wrap the whole forward pass in one module, so that its weights can be replaced while it runs."""
    import torch

    class Wrapped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = forward.model

        def forward(self, batch: Any) -> Any:
            return forward(batch)

    return Wrapped()
