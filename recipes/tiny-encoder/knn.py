"""Accuracy of the labels that nearest neighbours vote for."""

import torch
from torch.nn import functional

NEIGHBOURS, TEMPERATURE = 20, 0.07


def knn_accuracy(bank: torch.Tensor, labels: torch.Tensor, queries: torch.Tensor, truth: torch.Tensor) -> float:
    """Return the share of queries whose label wins the vote of their 20 nearest neighbours.

    Args:
        bank: Embeddings (n, d).
        labels: Their classes (n,).
        queries: Embeddings (m, d).
        truth: Their classes (m,).

    Returns:
        Accuracy in [0, 1]. Neighbours are nearest by cosine and have exp(cosine / 0.07) votes.

    References:
        Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination (arXiv:1805.01978), section 3.4.
    """
    unit = functional.normalize(bank.float(), dim=1).T
    right = 0
    for part, wanted in zip(queries.split(1_000), truth.split(1_000), strict=True):
        cosine, rows = (functional.normalize(part.float(), dim=1) @ unit).topk(NEIGHBOURS)
        votes = torch.zeros(len(part), int(labels.max()) + 1)
        votes.scatter_add_(1, labels[rows], (cosine / TEMPERATURE).exp())
        right += int((votes.argmax(1) == wanted).sum())
    return right / len(truth)
