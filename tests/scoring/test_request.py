"""What a caller asked for, and the axes of rows and members in the arrays of metrics."""

import numpy as np
import pytest

from hf_prune.metrics import list_metrics
from hf_prune.scoring.request import MEMBER_AXES, ROW_AXIS, Request, has_members, num_members, row_axis, take_rows
from tests.helpers import metric_cases
from tests.helpers.metric_inputs import images, make, pixels


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"on_error": "ignore"}, r"^on_error='ignore'; give 'raise' or 'skip'$"),
        ({"label_column": 3}, r"^label_column=3; give the name of a column, or leave it out"),
        ({"image_column": ""}, r"^image_column=''; give the name of a column, or leave it out"),
        ({"inputs": [1, 2]}, r"^inputs= is list; give arrays by name, such as \{'embeddings': array\}$"),
        ({"inputs": {"x": [[1], [1, 2]]}}, r"^inputs\['x'\] is no array \(.*\); give one of numbers$"),
        ({"inputs": {"x": ["a"]}}, r"^inputs\['x'\] is list of <U1; give an array of numbers$"),
        ({"inputs": {"x": np.array([None])}}, r"^inputs\['x'\] is ndarray of object; give an array of numbers$"),
    ],
)
def test_what_cannot_be_asked_for_is_said_in_one_line(settings, message):
    with pytest.raises(ValueError, match=message) as caught:
        Request(**settings)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_asked_for_is_refused_before_a_metric_is_looked_at():
    with pytest.raises(ValueError, match=r"inputs\['labels'\] is list of <U1; give an array of numbers"):
        make(images(), "supervised_prototypes", inputs={"labels": ["a"] * 7}, encoder=pixels)


def test_sources_are_what_inputs_can_be_made_from():
    assert Request().sources == {"rows"}
    assert Request().given == {}
    found = Request(
        encoder="a", student="b", prototypes="c", inputs={"probs": [[0.5]]}, test_dataset=[], label_column="d"
    )
    assert found.sources == {"rows", "encoder", "student", "centroids", "probs"}


@pytest.mark.parametrize(
    ("name", "shape", "axis"),
    [
        ("probs", (4, 9, 3), 1),  # members, rows, classes
        ("probs", (9, 3), 0),  # one teacher may come without an axis of its own
        ("grad_norms", (4, 9), 1),
        ("correct", (2, 5, 9), 2),  # runs, epochs, rows
        ("correct", (5, 9), 1),
        ("embeddings", (9, 6), 0),
        ("labels", (9,), 0),
        ("ones_own", (9, 2, 2), 0),  # of a metric of a user's own: rows first
        ("test_hits", (4, 7), None),
        ("centroids", (3, 6), None),
    ],
)
def test_rows_lie_along_an_axis_of_each_input(name, shape, axis):
    array = np.arange(np.prod(shape)).reshape(shape)
    assert row_axis(name, array) == axis
    for rows in ([7, 0], np.isin(np.arange(9), [0, 7])):
        found = take_rows(name, array, rows)
        expected = array if axis is None else array.take(np.arange(9)[rows], axis=axis)
        assert found.tolist() == expected.tolist()


def test_every_input_of_a_metric_has_its_rows_where_the_metrics_expect_them():
    arrays = metric_cases.cases(num_rows=41)
    for name in {name for metric in list_metrics() for name in metric.inputs} & arrays.keys():
        axis = row_axis(name, arrays[name])
        assert axis is None or arrays[name].shape[axis] == 41, name


def test_members_are_counted_by_the_fewest():
    probs, norms = np.zeros((6, 9, 3)), np.zeros((4, 9))
    assert num_members({"probs": probs, "grad_norms": norms, "labels": np.zeros(9)}) == 4
    assert num_members({"probs": probs[0], "labels": np.zeros(9)}) == 0  # one teacher without an axis is no ensemble
    assert num_members({}) == 0
    assert [has_members("correct", np.zeros(shape)) for shape in ((5, 9), (2, 5, 9))] == [False, True]
    assert not set(MEMBER_AXES) - set(ROW_AXIS)
