"""Embeddings of all rows, for what compares rows with each other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import Dataset

from hf_prune.scoring import Request
from hf_prune.scoring.embeddings import all_embeddings, as_dataset, check_first_axes
from tests.helpers.metric_cases import unit
from tests.helpers.metric_inputs import RUN, images, pixels, shown
from tests.helpers.tiny_sets import make_set, noise

TAKES = ["embeddings", "labels", "probs"]


def test_a_data_set_is_taken_as_it_is():
    ds = Dataset.from_dict({"x": [1, 2]})
    inputs = {"labels": [0, 1]}
    found, given = as_dataset(ds, inputs, "duplicates", TAKES)
    assert found is ds
    assert (given, given is inputs) == (inputs, False)


def test_an_array_stands_for_rows_and_their_embeddings():
    points = np.arange(6.0).reshape(3, 2)
    found, given = as_dataset(points, {"labels": [0, 1, 0]}, "duplicates", TAKES)
    assert found["row"][:] == [0, 1, 2]
    assert given["embeddings"] is points
    assert given["labels"] == [0, 1, 0]


@pytest.mark.parametrize(
    ("rows", "given", "kind", "message"),
    [
        ([1, 2], {}, TypeError, r"^duplicates takes one Dataset or an array \(n, d\), not list"),
        (np.empty((0, 2)), {}, ValueError, r"^the data set is empty: duplicates has nothing to compare$"),
        (
            np.eye(2),
            {"views": [1, 2]},
            ValueError,
            r"^inputs=\{'views': …\}, but duplicates takes embeddings, labels and pro",
        ),
        (
            np.eye(2),
            {"labels": [1, 2, 3]},
            ValueError,
            r"^inputs\['labels'\] has shape \(3,\); its first axis .* 2 rows$",
        ),
        (
            np.eye(2),
            {"labels": ["a", "b"]},
            ValueError,
            r"^inputs\['labels'\] is list of <U1; give an array of numbers$",
        ),
        (np.eye(2), [1], ValueError, r"^inputs= is list; give arrays by name"),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line(rows, given, kind, message):
    with pytest.raises(kind, match=message) as caught:
        as_dataset(rows, given, "duplicates", TAKES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("values", [1.0, np.ones((1, 2))])
def test_each_array_has_an_entry_per_row(values):
    check_first_axes({"probs": np.ones((2, 9))}, 2)
    with pytest.raises(ValueError, match=r"^inputs\['probs'\] has shape .*; its first axis must hold the 2 rows$"):
        check_first_axes({"labels": [0, 1], "probs": values}, 2)


def test_given_embeddings_come_before_the_encoder():
    def untouched(batch):
        raise AssertionError("the encoder ran")

    points = np.array([[3.0, 4], [0, 0], [0, 2], [1, 0], [1, 0], [1, 0], [1, 0]])
    with pytest.raises(ValueError, match="the embedding of row 1 is zero or not finite"):
        all_embeddings(images(), Request(encoder=untouched, inputs={"embeddings": points}))
    request = Request(encoder=untouched, inputs={"embeddings": points}, on_error="skip")
    points_of, unscored = all_embeddings(images(), request)
    np.testing.assert_allclose(points_of[:3], [[0.6, 0.8], [0, 0], [0, 1]], atol=1e-6)
    assert points_of.dtype == np.float32
    assert unscored == {1: "its embedding is zero or not finite"}


def test_the_encoder_makes_those_that_are_missing():
    encoded = [*noise(3), b"broken", None]
    points_of, unscored = all_embeddings(images(encoded=encoded), Request(encoder=pixels, run=RUN, on_error="skip"))
    np.testing.assert_allclose(points_of, [*unit(shown(noise(3))), *np.zeros((2, 48))], atol=1e-6)
    assert sorted(unscored) == [3, 4]
    with pytest.raises(ValueError, match=r"needs embeddings: pass encoder= .*or inputs=\{'embeddings': array\}$"):
        all_embeddings(images(), Request())


def test_features_of_a_teacher_stand_in_where_there_is_no_encoder():
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(48, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))

    def vector(image):
        return torch.from_numpy(np.asarray(image, np.float32).ravel() / 255)

    ds, plain = make_set(noise(5)), replace(RUN, dtype="float32")
    found, unscored = all_embeddings(ds, Request(teachers=(layers, vector), run=plain))
    with torch.inference_mode():
        expected = layers[:2](torch.stack([vector(image) for image in ds["image"][:]])).numpy()
    np.testing.assert_allclose(found, unit(expected), atol=1e-6)
    assert unscored == {}
    with pytest.raises(ValueError, match="has no linear layer last, whose inputs could be read"):
        all_embeddings(ds, Request(teachers=(layers[:2], vector), run=plain))
