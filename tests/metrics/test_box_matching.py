"""Annotated boxes assigned to queries, by hand and beside the matcher of transformers."""

import numpy as np
import torch
from transformers.loss.loss_for_object_detection import HungarianMatcher, generalized_box_iou

from hf_prune.metrics.box_matching import generalized_iou, match_boxes

# Two boxes side by side, and three queries: the right one, the left one, and one around both.
TARGETS = np.array([[0.25, 0.5, 0.5, 1.0], [0.75, 0.5, 0.5, 1.0]])
QUERIES = np.array([[0.75, 0.5, 0.5, 1.0], [0.25, 0.5, 0.5, 1.0], [0.5, 0.5, 1.0, 1.0]])
EVEN = np.full((3, 2), 0.5)


def test_two_boxes_and_three_queries_by_hand():
    # The IoU of a half with itself is 1, with its neighbour 0 - (1 - 1) / 1, with the whole 1 / 2 - 0.
    np.testing.assert_allclose(generalized_iou(QUERIES, TARGETS), [[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]])
    assert match_boxes(EVEN, QUERIES, np.array([0, 1]), TARGETS).tolist() == [1, 0]
    # The whole costs 5 * (1/4 + 1/2) + 2 * (1 - 1/2) = 4.75 more than a half that fits, more than any class can gain.
    sure = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert match_boxes(sure, QUERIES, np.array([0, 1]), TARGETS).tolist() == [1, 0]
    # Of two queries in one place the class decides.
    twins = np.array([[0.1, 0.9], [0.9, 0.1], [0.5, 0.5]])
    assert match_boxes(twins, np.stack([TARGETS[0]] * 3), np.array([0, 1]), np.stack([TARGETS[0]] * 2)).tolist() == [
        1,
        0,
    ]


def test_boxes_apart_have_an_iou_below_zero():
    one, other = np.array([[0.125, 0.5, 0.25, 1.0]]), np.array([[0.875, 0.5, 0.25, 1.0]])
    np.testing.assert_allclose(generalized_iou(one, other), [[-0.5]])  # half of the box around both is neither


def drawn(rng, count):
    return np.concatenate([rng.uniform(0.3, 0.7, (count, 2)), rng.uniform(0.05, 0.5, (count, 2))], axis=1)


def test_the_matcher_of_transformers_finds_the_same():
    rng = np.random.default_rng(0)
    matcher = HungarianMatcher(class_cost=1, bbox_cost=5, giou_cost=2)
    for _ in range(20):
        logits, boxes, targets = rng.normal(size=(9, 5)), drawn(rng, 9), drawn(rng, 6)
        labels = rng.integers(0, 4, 6)
        outputs = {"logits": torch.tensor(logits)[None], "pred_boxes": torch.tensor(boxes)[None]}
        queries, places = matcher(outputs, [{"class_labels": torch.tensor(labels), "boxes": torch.tensor(targets)}])[0]
        expected = np.empty(6, np.int64)
        expected[places.numpy()] = queries.numpy()
        probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        assert match_boxes(probs, boxes, labels, targets).tolist() == expected.tolist()
        corners = [
            torch.tensor(np.hstack([b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2])) for b in (boxes, targets)
        ]
        np.testing.assert_allclose(generalized_iou(boxes, targets), generalized_box_iou(*corners).numpy(), atol=1e-12)


def test_more_boxes_than_queries_take_turns():
    found = match_boxes(EVEN[:2], QUERIES[:2], np.zeros(5, np.int64), np.stack([TARGETS[0]] * 3 + [TARGETS[1]] * 2))
    assert sorted(np.bincount(found).tolist()) == [2, 3]
    assert match_boxes(EVEN, QUERIES, np.empty(0, np.int64), TARGETS[:0]).tolist() == []
