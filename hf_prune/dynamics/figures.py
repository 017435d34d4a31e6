"""Figures of rows with known labels from the logits of a classifier, and the names of the arrays of a training record."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hf_prune.runtime.slices import slices

if TYPE_CHECKING:
    import torch

FIGURES = ("correct", "label_probs", "margins", "entropies", "errors")  # of one state of a model, (n,) each
PER_ROW = (*FIGURES, "divergences")  # (n,) per epoch; a divergence needs the epoch before
PER_CLASS = "epoch_probs"  # (n, classes) per epoch
PER_RUN = ("trained_on", "hits", "test_hits")  # one entry per run, (n,), of the test set (m,)
OF_THE_END = ("probs", "grad_norms")  # of the last state of a model, no part of a record
ADDED = 1e-8  # to each probability before its logarithm is taken, as the authors of TDDS do
_LARGEST = 65504.0  # of float16
_BLOCK_VALUES = 2**22  # numbers in single precision at once


def logit_figures(logits: "torch.Tensor", labels: "torch.Tensor") -> tuple["torch.Tensor", "torch.Tensor"]:
    """Compute the figures of rows on the device of the logits, without waiting for it.

    Args:
        logits: Shape (B, classes), two classes or more; any float dtype, worked in float32.
        labels: Integers, shape (B,); one that is no class, such as -100, makes a row of NaN.

    Returns:
        Figures (B, 5) float16: correct (1 where the first largest logit is the label's, else 0), probability of the
        label, margin (logit of the label less the largest other), entropy in nats, Euclidean distance of the
        probabilities to the one-hot label. And logarithms of the probabilities (B, classes) float16, with 1e-8 added to
        each probability. A row with logits that are not finite is not correct, and NaN otherwise.

    Example:
        >>> import torch
        >>> figures, _ = logit_figures(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0]))
        >>> [[round(value, 2) for value in row] for row in figures.tolist()]
        [[1.0, 0.88, 2.0, 0.37, 0.17], [0.0, 0.27, -1.0, 0.58, 1.03]]
    """
    import torch

    logits = logits.detach().float()
    known = (labels >= 0) & (labels < logits.shape[1])
    column = torch.where(known, labels, 0).long()[:, None]
    log_probs = logits.log_softmax(dim=1)
    probs = log_probs.exp()
    own = logits.gather(1, column)[:, 0]
    others = logits.scatter(1, column, -torch.inf).amax(dim=1)
    finite = log_probs.sum(dim=1).isfinite()
    correct = (logits.argmax(dim=1) == column[:, 0]) & finite
    off = probs.scatter_add(1, column, torch.full_like(own, -1.0)[:, None])
    figures = torch.stack(
        [
            correct.float(),
            probs.gather(1, column)[:, 0],
            (own - others).clamp(-_LARGEST, _LARGEST),
            -torch.linalg.vecdot(probs, log_probs),
            torch.linalg.vecdot(off, off).sqrt(),
        ],
        dim=1,
    )
    figures[:, 1:].masked_fill_(~finite[:, None], torch.nan)
    figures.masked_fill_(~known[:, None], torch.nan)
    return figures.half(), probs.add_(ADDED).log_().half()


def divergences(log_probs: NDArray[np.float16], before: NDArray[np.float16]) -> NDArray[np.float16]:
    """Compare the class probabilities of rows with those of the epoch before, as TDDS does.

    Args:
        log_probs: Logarithms of the probabilities now, p, shape (B, classes), as `logit_figures` gives them.
        before: The same one epoch earlier, q; NaN where a row was not presented then.

    Returns:
        The sum over classes of ``|p log(p / q)|``, shape (B,), float16: high where the prediction changed much, NaN where
        either is not known.

    Example:
        >>> now, before = np.log(np.float16([[0.5, 0.5], [0.9, 0.1]])), np.log(np.float16([[0.5, 0.5], [0.5, 0.5]]))
        >>> [round(value, 2) for value in divergences(now, before).tolist()]
        [0.0, 0.69]

    References:
        Zhang et al. (CVPR 2024), arXiv:2311.13613, in the form of the authors' code: absolute values within the sum,
        over all classes, 1e-8 added to each probability.
    """
    found = np.empty(len(log_probs), dtype=np.float16)
    size = max(1, _BLOCK_VALUES // max(log_probs.shape[1], 1))
    for block in slices(len(found), size):
        now, then = log_probs[block].astype(np.float32), before[block].astype(np.float32)
        found[block] = np.abs(np.exp(now) * (now - then)).sum(axis=1)
    return found
