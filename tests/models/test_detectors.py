"""Detectors of transformers: what they give for images of several sizes, one length each and the same in any batch."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers

from hf_prune.models.detectors import split_boxes
from hf_prune.models.load import load_teacher
from hf_prune.models.outputs import Output, take
from tests.helpers import tiny_models


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_models.save_detector(tmp_path_factory.mktemp("yolos"))


def test_each_image_has_what_the_detector_gives_of_it_alone(folder):
    model, pictures = load_teacher(folder, device="cpu"), tiny_models.images(3)
    assert model.is_detector
    assert (model.identity["output"], model.identity["dtype"], model.num_classes) == ("boxes", "float32", 3)
    assert model.names == ("dog", "N/A", "cat")
    pictures[1] = pictures[1].transpose(2)  # upright, and so of another size for the model, too
    found = split_boxes(tiny_models.run(model, pictures).float().numpy(), model.num_classes)
    assert found.sizes.tolist() == [list(picture.size) for picture in pictures]
    detector = transformers.YolosForObjectDetection.from_pretrained(folder).eval()
    processor = transformers.YolosImageProcessorPil.from_pretrained(folder)
    for place, picture in enumerate(pictures):
        with torch.no_grad():
            alone = detector(**processor(picture, return_tensors="pt"))
        np.testing.assert_allclose(found.logits[place], alone.logits[0], atol=2e-3)
        np.testing.assert_allclose(found.boxes[place], alone.pred_boxes[0], atol=1e-3)


def test_a_sigmoid_has_the_odds_of_each_class_against_no_object():
    logits, boxes = torch.tensor([[[2.0, -1.0]]]), torch.full((1, 1, 4), 0.5)
    result = SimpleNamespace(logits=logits, pred_boxes=boxes)
    values = take(result, Output("boxes", classes=2))
    probs = values[0, :3].softmax(-1)
    own = logits[0, 0].sigmoid()
    torch.testing.assert_close(probs[:2] / probs[2], own / (1 - own))
    # A detector with a softmax has a logit for no object already.
    assert take(result, Output("boxes", classes=1)).tolist() == [[2.0, -1.0, 0.5, 0.5, 0.5, 0.5]]
    with pytest.raises(ValueError, match="gives 2 logits per query and its config names 5 classes"):
        take(result, Output("boxes", classes=5))
    with pytest.raises(ValueError, match="without pred_boxes, from which its 'boxes' output is taken"):
        take(SimpleNamespace(logits=logits), Output("boxes", classes=2))


def test_a_processor_that_crops_is_refused(folder, tmp_path):
    tiny_models.save_detector(tmp_path)
    transformers.ViTImageProcessorPil(do_center_crop=True).save_pretrained(tmp_path)
    tiny_models.edit_config(tmp_path, "preprocessor_config.json", do_center_crop=True)
    with pytest.raises(ValueError, match="it crops images, and boxes are parts of whole ones"):
        load_teacher(str(tmp_path), device="cpu")
