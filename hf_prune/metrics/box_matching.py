"""Assignment of annotated boxes to the queries of a detector, as DETR assigns them for its loss."""

import numpy as np
from numpy.typing import NDArray

from hf_prune.metrics.rows import Array

# Weights of DETR: of the probability of the class, the L1 distance of the boxes, and their generalised IoU.
CLASS_COST, BBOX_COST, GIOU_COST = 1.0, 5.0, 2.0


def match_boxes(probs: Array, boxes: Array, labels: Array, targets: Array) -> NDArray[np.int64]:
    """Assign to each annotated box of an image a query of a detector, so that the costs of all are least.

    The cost of a pair is minus the probability of the box's class, plus 5 times the L1 distance of the boxes, minus twice their
    generalised IoU.

    Args:
        probs: Probabilities of each query, shape (queries, classes).
        boxes: Centre, width and height of each query in shares of the image, shape (queries, 4).
        labels: Class of each annotated box, integers from 0, shape (m,).
        targets: Centre, width and height of each annotated box, above 0, shape (m, 4).

    Returns:
        The query of each box, shape (m,). No two boxes have the same, but where there are more boxes than queries: those that
        are left over are assigned in a further round.

    Example:
        >>> probs, boxes = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.5, 0.5, 1, 1], [0.2, 0.2, 0.4, 0.4]])
        >>> match_boxes(probs, boxes, np.array([1]), np.array([[0.2, 0.2, 0.3, 0.4]])).tolist()
        [1]

    References:
        Carion et al. (2020), arXiv:2005.12872, section 3.1. There boxes beyond the number of queries are left out.
    """
    from scipy.optimize import linear_sum_assignment

    costs = -CLASS_COST * probs[:, labels].astype(np.float64)
    costs += BBOX_COST * np.abs(boxes[:, None] - targets[None]).sum(axis=2)
    costs -= GIOU_COST * generalized_iou(boxes, targets)
    found, left = np.empty(len(labels), dtype=np.int64), np.arange(len(labels))
    while len(left):
        queries, places = linear_sum_assignment(costs[:, left])
        found[left[places]] = queries
        left = np.delete(left, places)
    return found


def generalized_iou(boxes: Array, targets: Array) -> NDArray[np.float64]:
    """Compute the generalised IoU of every pair: the IoU less the share of the smallest box around both that neither covers.

    Args:
        boxes: Centre, width and height, shape (q, 4).
        targets: The same, of widths and heights above 0, shape (m, 4).

    Returns:
        Shape (q, m), in (-1, 1].

    Example:
        >>> generalized_iou(
        ...     np.array([[0.25, 0.5, 0.5, 1.0]]), np.array([[0.25, 0.5, 0.5, 1.0], [0.75, 0.5, 0.5, 1.0]])
        ... ).tolist()
        [[1.0, 0.0]]

    References:
        Rezatofighi et al. (2019), arXiv:1902.09630.
    """
    one, other = _corners(boxes)[:, None], _corners(targets)[None]
    inner = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    overlap = np.maximum(inner, 0).prod(axis=2)
    outer = (np.maximum(one[..., 2:], other[..., 2:]) - np.minimum(one[..., :2], other[..., :2])).prod(axis=2)
    union = _areas(boxes)[:, None] + _areas(targets)[None] - overlap
    return np.asarray(overlap / union - (outer - union) / outer)


def _corners(boxes: Array) -> NDArray[np.float64]:
    centres, halves = boxes[:, :2].astype(np.float64), boxes[:, 2:].astype(np.float64) / 2
    return np.concatenate([centres - halves, centres + halves], axis=1)


def _areas(boxes: Array) -> NDArray[np.float64]:
    return np.asarray(boxes[:, 2:].astype(np.float64).prod(axis=1))
