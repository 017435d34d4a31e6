"""Inputs of metrics: which are taken, from what they are made, and what does not fit is refused before any work."""

import numpy as np
import pytest
from datasets import Value

from hf_prune import Run
from hf_prune.metrics import get_metric, register_metric, unregister_metric
from hf_prune.scoring import InputBuilder, Request
from tests.helpers.metric_inputs import ROWS, TEACHER, images, make, pixels


def test_labels_may_be_handed_in_beside_a_teacher():
    made = make(images(), "el2n", teachers=TEACHER, inputs={"labels": [0, 1, 2, 2, 1, 0, 0]})
    assert made.arrays["labels"].tolist() == [0, 1, 2, 2, 1, 0, 0]


def test_missing_labels_are_found_before_a_model_runs():
    def untouched(batch):
        raise AssertionError("the model ran")

    for metric, model in (("supervised_prototypes", "encoder"), ("el2n", "teachers")):
        with pytest.raises(ValueError, match="rows have no label"):
            make(images([0, -1, 1, 2, 0, 0, 0]), metric, **{model: untouched})


def test_labels_are_never_in_the_way_of_what_needs_none():
    ds = images([None] * ROWS)
    assert len(make(ds, "prototypes", encoder=pixels).rows) == ROWS
    assert len(make(ds.add_column("label2", [[0]] * ROWS), "random").rows) == ROWS


def test_inputs_of_a_metric_of_ones_own():
    def spread_of_views(views, rows, weights=None):
        """Spread."""

    register_metric("spread_of_views")(spread_of_views)
    try:
        with pytest.raises(ValueError, match=r"needs 'views': pass inputs=\{'views': array\}"):
            make(images(), "spread_of_views")
        made = make(images(), "spread_of_views", inputs={"views": np.ones((ROWS, 2))})
        assert sorted(made.arrays) == ["rows", "views"]
    finally:
        unregister_metric("spread_of_views")


@pytest.mark.parametrize(
    ("metric", "inputs", "message"),
    [
        ("el2n", {"embeddings": np.ones((7, 2))}, "metric 'el2n' takes probs, labels"),
        ("prototypes", {"rows": np.arange(7)}, "metric 'prototypes' takes embeddings"),
        ("random", {"labels": np.arange(7)}, "metric 'random' takes none"),
        ("prototypes", {"embeddings": np.ones((6, 2))}, r"shape \(6, 2\); its axis 0 must hold the 7"),
        ("el2n", {"probs": np.ones((2, 6, 3))}, "its axis 1 must hold the 7 rows"),
        ("el2n", {"probs": 3.0}, r"has shape \(\); its rows must hold the 7 rows"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(metric, inputs, message):
    with pytest.raises(ValueError, match=message) as caught:
        make(images(), metric, inputs=inputs)
    assert "\n" not in str(caught.value)


def test_a_regression_target_and_several_labels_are_no_classes():
    regression = images().add_column("label", [0.5] * ROWS, feature=Value("float32"))
    several = images().add_column("label", [[0, 1]] * ROWS)
    for metric, options in (("el2n", {"teachers": TEACHER}), ("supervised_prototypes", {"encoder": pixels})):
        for ds, message in (
            (regression, "regression target is not a class"),
            (several, "several labels per row|labels are several per row"),
        ):
            with pytest.raises(ValueError, match=message):
                make(ds, metric, label_column="label", **options)
            with pytest.raises(ValueError, match=r"no ClassLabel column .*name one with label_column="):
                make(ds, metric, **options)


def test_a_device_that_is_not_there_is_refused_whatever_the_inputs_are_made_of():
    chosen = get_metric("prototypes")
    for given in ({"encoder": pixels}, {"inputs": {"embeddings": np.ones((7, 2))}}):
        with pytest.raises(ValueError, match="device='gpu' is none; give one such as"):
            InputBuilder(images(), Request(run=Run(device="gpu"), **given), [(chosen, {})])
