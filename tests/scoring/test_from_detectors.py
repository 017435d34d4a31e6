"""Scores of images by the boxes that a detector is matched with."""

import numpy as np
import pytest
import torch
import transformers
from datasets import ClassLabel, Dataset, Features, Image, List, Value
from PIL import Image as Pictures
from transformers.loss.loss_for_object_detection import HungarianMatcher

import hf_prune
from hf_prune import Run
from hf_prune.models.loaded_model import LoadedModel
from tests.helpers import tiny_models

RUN = Run(device="cpu", load_from_cache_file=False)
FIELDS = {"bbox": List(List(Value("float64"))), "category": List(ClassLabel(names=["cat", "dog"]))}


def dataset(pictures, objects, names=("cat", "dog")):
    fields = FIELDS | {"category": List(ClassLabel(names=list(names)))}
    columns = {"image": pictures, "objects": objects}
    return Dataset.from_dict(columns, features=Features({"image": Image(), "objects": fields}))


def boxes(*pairs):
    return {"bbox": [box for box, _ in pairs], "category": [code for _, code in pairs]}


# Three queries of two classes and no object: on the right half, on the left half, and around both.
PROBS = np.array([[0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]])
QUERIES = np.array([[0.75, 0.5, 0.5, 1.0], [0.25, 0.5, 0.5, 1.0], [0.5, 0.5, 1.0, 1.0]])
LEFT, RIGHT = [0, 0, 50, 50], [50, 0, 50, 50]  # of an image of 100 x 50 pixels


def stub(probs=PROBS, names=None):
    """A detector that finds the same in every image."""
    result = torch.tensor(np.hstack([np.log(probs), QUERIES]).reshape(1, -1))
    sizes = torch.tensor([[0.0, 100.0, 0.0, 50.0]])
    identity = {"kind": "callable", "id": "stub", "output": "boxes"}

    def load(_):
        return lambda batch: torch.cat([result, sizes], dim=1).float().expand(len(batch), -1), lambda: None

    return LoadedModel(identity, names, cacheable=False, collate=list, load=load, num_classes=probs.shape[1] - 1)


def scored(objects, metric="el2n", teachers=None, names=("cat", "dog"), **options):
    ds = dataset([Pictures.new("RGB", (100, 50))] * len(objects), objects, names)
    return hf_prune.score_with(ds, metric, teachers=[stub()] if teachers is None else teachers, run=RUN, **options)


def test_two_boxes_and_three_queries_by_hand():
    ds = scored([boxes((LEFT, 0), (RIGHT, 1)), boxes((RIGHT, 0)), boxes()], ["el2n", "margin", "entropy"])
    left, right, none = PROBS[1] - [1, 0, 0], PROBS[0] - [0, 1, 0], PROBS - [0, 0, 1]
    norm = np.linalg.norm
    expected = [(norm(left) + norm(right)) / 2, norm(PROBS[0] - [1, 0, 0]), norm(none, axis=1).mean()]
    np.testing.assert_allclose(ds["el2n"][:], expected, rtol=1e-5)
    margins = [(np.log(0.3 / 0.6) + np.log(0.2 / 0.7)) / 2, np.log(0.7 / 0.2), np.log([7, 6, 1 / 8]).mean()]
    np.testing.assert_allclose(ds["margin"][:], margins, rtol=1e-5)
    entropies = -(PROBS * np.log(PROBS)).sum(axis=1)
    np.testing.assert_allclose(ds["entropy"][:], [entropies[:2].mean(), entropies[0], entropies.mean()], rtol=1e-5)
    made_from = hf_prune.provenance(ds).steps[0].inputs
    assert made_from["labels"] == {"label_column": "objects", "label_space": "objects"}
    how = {"format": "x, y, width, height", "class_cost": 1.0, "bbox_cost": 5.0, "giou_cost": 2.0}
    assert made_from["probs"]["boxes"] == how
    assert hf_prune.provenance(ds).steps[0].evidence is None


def test_classes_go_by_their_names_and_corners_are_recognised():
    corners = boxes(([0, 0, 50, 50], 0), ([50, 0, 100, 50], 1))
    named = stub(PROBS[:, [1, 0, 2]], names=("Dog", "cat"))
    ds = scored([corners], teachers=[named])
    np.testing.assert_allclose(ds["el2n"][:], scored([boxes((LEFT, 0), (RIGHT, 1))])["el2n"][:], rtol=1e-6)
    assert hf_prune.provenance(ds).steps[0].inputs["probs"]["boxes"]["format"] == "x_min, y_min, x_max, y_max"


def test_several_detectors_are_averaged():
    other = np.array([[0.1, 0.8, 0.1], [0.5, 0.1, 0.4], [0.3, 0.3, 0.4]])
    ds = scored([boxes((LEFT, 0))], teachers=[stub(), stub(other)])
    expected = [np.linalg.norm(probs[1] - [1, 0, 0]) for probs in (PROBS, other)]
    np.testing.assert_allclose(ds["el2n"][:], np.mean(expected), rtol=1e-5)
    more = stub(np.full((3, 4), 0.25), names=("cat", "owl", "dog"))
    with pytest.raises(ValueError, match="the detectors differ in the number of their classes or queries"):
        scored([boxes((LEFT, 0))], teachers=[stub(), more])


def test_rows_whose_objects_are_unknown_have_no_score():
    unknown = [boxes((LEFT, 0)), None, boxes((LEFT, -1)), boxes(([20, 20, 0, 9], 1)), boxes((LEFT, 0), (RIGHT, -1))]
    with pytest.raises(ValueError, match=r"3 of 5 rows \(first: row 1\) have no object with a class and an area"):
        scored(unknown)
    ds = scored(unknown, on_error="skip")
    known = np.linalg.norm(PROBS[1] - [1, 0, 0])
    assert [row is None for row in ds["el2n"]] == [False, True, True, True, False]
    np.testing.assert_allclose([ds["el2n"][0], ds["el2n"][4]], known, rtol=1e-5)
    assert hf_prune.provenance(ds).steps[0].unscored == (1, 2, 3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"names": ("a", "b", "c")}, "teacher 1 knows 2 classes, the labels have 3"),
        ({"metric": "grand"}, "grad_norms of rows with several classes come from heads alone"),
        (
            {"teachers": [stub(), (torch.nn.Identity(), np.asarray)]},
            "some of the teachers are detectors and some are not",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(changes, words):
    with pytest.raises(ValueError, match=words) as caught:
        scored([boxes((LEFT, 0))], **changes)
    assert "\n" not in str(caught.value)


def test_a_detector_wants_boxes(tmp_path):
    pictures = {"image": [Pictures.new("RGB", (100, 50))] * 2, "label": [0, 1]}
    fields = Features({"image": Image(), "label": ClassLabel(names=["cat", "dog"])})
    ds = Dataset.from_dict(pictures, features=fields)
    for own in (ds, ds.remove_columns("label")):
        with pytest.raises(ValueError, match="teacher 'stub' is a detector, which scores boxes by el2n"):
            hf_prune.score_with(own, "entropy", teachers=stub(), run=RUN)
    with pytest.raises(ValueError, match="a detector scores boxes, which a stream does not read"):
        hf_prune.score_with(
            ds.to_iterable_dataset(), "el2n", teachers=stub(), run=Run(device="cpu", cache_dir=tmp_path)
        )


def reference(folder, ds):
    """EL2N of each row by the detector and the matcher of transformers, image by image."""
    detector = transformers.YolosForObjectDetection.from_pretrained(folder).eval()
    processor = transformers.YolosImageProcessorPil.from_pretrained(folder)
    matcher, place = HungarianMatcher(class_cost=1, bbox_cost=5, giou_cost=2), [2, 0]  # of cat and dog
    for row in ds:
        annotations = [
            {"bbox": box, "category_id": place[code], "area": 1.0, "iscrowd": 0, "image_id": 0}
            for box, code in zip(row["objects"]["bbox"], row["objects"]["category"], strict=True)
        ]
        found = processor(row["image"], {"image_id": 0, "annotations": annotations}, return_tensors="pt")
        with torch.no_grad():
            outputs = detector(found["pixel_values"])
        probs = outputs.logits[0].softmax(-1)
        queries, places = matcher({"logits": outputs.logits, "pred_boxes": outputs.pred_boxes}, found["labels"])[0]
        codes = found["labels"][0]["class_labels"][places] if annotations else torch.full((len(probs),), 3)
        own = probs[queries] if annotations else probs
        yield float((own - torch.nn.functional.one_hot(codes.long(), 4)).norm(dim=1).mean())


def test_a_yolos_end_to_end(tmp_path):
    folder = tiny_models.save_detector(tmp_path / "yolos")
    rng, pictures = np.random.default_rng(0), tiny_models.images(8)
    objects = [
        {"bbox": rng.uniform([0, 0, 5, 5], [15, 15, 20, 20], (count, 4)), "category": rng.integers(0, 2, count)}
        for count in (1, 2, 3, 0, 1, 2, 3, 4)
    ]
    ds = dataset(pictures, objects)
    run = Run(device="cpu", batch_size=3, cache_dir=tmp_path / "cache")
    found = hf_prune.score_with(ds, "el2n", teachers=folder, run=run)
    np.testing.assert_allclose(found["el2n"][:], list(reference(folder, ds)), atol=2e-3)  # results are kept in 16 bits
    turned = hf_prune.score_with(ds.select(range(7, -1, -1)), "el2n", teachers=folder, run=run)  # from the cache
    assert turned["el2n"][:] == found["el2n"][::-1]
    kept = found.prune("el2n", keep=0.5, order="hard", class_balance=0)
    assert sorted(kept["el2n"]) == sorted(found["el2n"])[4:]
    hf_prune.export(kept, tmp_path / "out", source="local")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Boxes, matched with queries" in card
    assert "`format = 'x, y, width, height'`" in card
