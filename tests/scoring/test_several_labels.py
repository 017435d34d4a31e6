"""Metrics asked for each label of each row by itself."""

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Image, List

import hf_prune
from hf_prune import Heads, Run
from hf_prune.heads.several_labels import train_label_heads
from hf_prune.models.load import load_teacher
from hf_prune.scoring import Request
from hf_prune.scoring.pool import unit
from hf_prune.scoring.several_labels import per_label, several_labels
from tests.helpers import tiny_models

pytestmark = pytest.mark.filterwarnings("default:the two halves of the")
NAMES = ["a", "b", "c"]
DRAWS = np.random.default_rng(1)
POINTS = DRAWS.normal(size=(40, 5)).astype(np.float32)
MATRIX = (POINTS @ DRAWS.normal(size=(5, 3)) > 0.4).astype(np.int64)
SMALL = Heads(num_heads=4, num_epochs=2, hidden=4, batch_size=8)


def dataset(matrix=MATRIX, names=NAMES):
    tags = [np.flatnonzero(row).tolist() for row in matrix]
    return Dataset.from_dict({"tags": tags}, features=Features({"tags": List(ClassLabel(names=names))}))


def score(ds, metric, **options):
    given = {"inputs": {"embeddings": POINTS}, "teachers": SMALL, **options}
    return hf_prune.score_with(ds, metric, run=Run(device="cpu", load_from_cache_file=False), **given)


@pytest.fixture(scope="module")
def probs():
    return train_label_heads(unit(POINTS)[0], MATRIX, SMALL).probs.astype(np.float64)


def test_el2n_is_the_mean_over_the_labels_of_that_of_each(probs):
    scored = score(dataset(), ["el2n", "margin", "entropy", "grand"])
    # Of two classes with p and 1 - p the error has the length sqrt(2) |p - y|.
    expected = (np.sqrt(2) * np.abs(probs - MATRIX)).mean(axis=(0, 2))
    np.testing.assert_allclose(scored["el2n"][:], expected, rtol=1e-5)
    has = np.where(MATRIX == 1, probs, 1 - probs)
    np.testing.assert_allclose(scored["margin"][:], -np.log(has / (1 - has)).mean(axis=(0, 2)), rtol=1e-4)
    entropies = -(probs * np.log(probs) + (1 - probs) * np.log(1 - probs))
    np.testing.assert_allclose(scored["entropy"][:], entropies.mean(axis=(0, 2)), rtol=1e-4)
    norms = train_label_heads(unit(POINTS)[0], MATRIX, SMALL).grad_norms
    np.testing.assert_allclose(scored["grand"][:], norms.mean(axis=0), rtol=1e-5)
    step = hf_prune.provenance(scored).steps[0]
    assert step.inputs["labels"] == {"label_column": "tags", "label_space": "multi-label"}
    assert step.inputs["probs"]["label_column"] == "tags"
    assert {"fit", "members", "split_half_spearman"} <= set(step.figures)


def test_labels_may_be_given_as_a_matrix(probs):
    ds = Dataset.from_dict({"x": range(40)})
    scored = score(ds, "el2n", inputs={"embeddings": POINTS, "labels": MATRIX})
    np.testing.assert_allclose(scored["el2n"][:], (np.sqrt(2) * np.abs(probs - MATRIX)).mean(axis=(0, 2)), rtol=1e-5)
    assert "given_sha256" in hf_prune.provenance(scored).steps[0].inputs["labels"]


def test_rows_are_taken_apart_a_few_at_a_time(monkeypatch):
    expected = score(dataset(), "el2n")["el2n"][:]
    monkeypatch.setattr("hf_prune.scoring.several_labels._NUMBERS", 24 * 3)
    assert len(list(per_label({"probs": np.zeros((4, 40, 3))}))) > 10
    assert score(dataset(), "el2n")["el2n"][:] == expected


def test_columns_with_one_class_per_row_are_left_to_the_metric():
    one = Dataset.from_dict({"label": [0, 1], "tags": [[0], [1]]}).cast_column("label", ClassLabel(names=["a", "b"]))
    one = one.cast_column("tags", List(ClassLabel(names=["a", "b"])))
    assert several_labels(one, Request()) is None
    assert several_labels(one, Request(label_column="tags")).matrix.tolist() == [[1, 0], [0, 1]]
    assert several_labels(Dataset.from_dict({"x": [1, 2]}), Request()) is None
    with pytest.raises(
        ValueError, match=r"^the largest label is 1099511627776, and integers are taken for the numbers of up to"
    ):
        several_labels(Dataset.from_dict({"tags": [[2**40], [1]]}), Request(label_column="tags"))


@pytest.mark.parametrize("metric", ["aum", "forgetting", "memorization"])
def test_metrics_of_one_class_per_row_say_so(metric):
    with pytest.raises(ValueError, match="takes one class per row, and column 'tags' holds several") as caught:
        score(dataset(), metric)
    assert "\n" not in str(caught.value)


def test_rules_are_not_judged_by_several_labels(recwarn):
    scored = score(
        dataset(np.tile(MATRIX, (6, 1))), "el2n", inputs={"embeddings": np.tile(POINTS, (6, 1))}, label_column="tags"
    )
    assert hf_prune.provenance(scored).steps[0].evidence is None
    assert not [str(warning.message) for warning in recwarn if "evidence" in str(warning.message)]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A small ViT whose config says that rows have several of its classes, in another order than the labels."""
    config = tiny_models.config_of("vit", id2label={0: "c", 1: "a", 2: "b"}, problem_type="multi_label_classification")
    model = tiny_models.build(config, "ViTForImageClassification")
    return tiny_models.save(model, tmp_path_factory.mktemp("teacher"))


def with_images(count=6):
    columns = {"tags": dataset(MATRIX[:count])["tags"][:], "image": tiny_models.images(count)}
    return Dataset.from_dict(columns, features=Features({"tags": List(ClassLabel(names=NAMES)), "image": Image()}))


def test_teachers_have_a_sigmoid_where_their_config_says_so(teacher):
    ds = with_images()
    scored = hf_prune.score_with(ds, "el2n", teachers=teacher, run=Run(device="cpu", load_from_cache_file=False))
    model = load_teacher(teacher, device="cpu")
    assert model.several_labels
    logits = tiny_models.run(model, [row["image"] for row in ds])
    own = torch.sigmoid(logits).numpy()[:, [1, 2, 0]]
    expected = (np.sqrt(2) * np.abs(own - MATRIX[:6])).mean(axis=1)
    np.testing.assert_allclose(scored["el2n"][:], expected, rtol=1e-4)


def test_other_teachers_are_refused_in_a_line(teacher, tmp_path):
    tiny_models.save(
        tiny_models.build(tiny_models.config_of("vit", num_labels=3), "ViTForImageClassification"), tmp_path
    )
    with pytest.raises(ValueError, match="teacher 1 gives each row one class, and the labels are several per row"):
        hf_prune.score_with(with_images(), "el2n", teachers=str(tmp_path))
    with pytest.raises(ValueError, match="grad_norms of rows with several classes come from heads alone"):
        hf_prune.score_with(with_images(), "grand", teachers=teacher)
