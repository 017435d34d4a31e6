"""Gradient norms per example, against backpropagation row by row."""

import numpy as np
import pytest
import torch
import transformers
from datasets import ClassLabel, Dataset, Features, Image

import hf_prune.models.gradients
from hf_prune.engine.image_keys import with_targets
from hf_prune.engine.loop import run_model
from hf_prune.models.gradients import with_gradient_norms
from hf_prune.models.load import load_teacher
from hf_prune.runtime.processes import process_state
from tests.helpers.tiny_models import images

CPU = torch.device("cpu")
LABELS = [0, 1, 2, 2, 1, 0]
CONFIGS = {
    "vit": transformers.ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=16, patch_size=8
    ),
    "resnet": transformers.ResNetConfig(embedding_size=4, hidden_sizes=[8], depths=[1], layer_type="basic"),
}


def to_tensor(image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image.convert("RGB").resize((16, 16)), np.float32) / 255).permute(2, 0, 1)


def network(name: str) -> torch.nn.Module:
    """A classifier of three classes, in training mode, with running statistics that differ from those of a batch."""
    torch.manual_seed(0)
    if name == "convolution":
        layers = (torch.nn.Conv2d(3, 4, 5, stride=4), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Flatten())
        return torch.nn.Sequential(*layers, torch.nn.Linear(36, 3))
    config = CONFIGS[name]
    config.num_labels = 3
    model = transformers.AutoModelForImageClassification.from_config(config)
    model.train()(torch.randn(8, 3, 16, 16))
    return model


def reference(module: torch.nn.Module, pictures, labels) -> np.ndarray:
    """One backward pass per row, in eval mode."""
    module.eval()
    norms = []
    for picture, label in zip(pictures, labels, strict=True):
        module.zero_grad()
        result = module(to_tensor(picture)[None])
        torch.nn.functional.cross_entropy(getattr(result, "logits", result), torch.tensor([label])).backward()
        gradients = [weight.grad.flatten() for weight in module.parameters() if weight.grad is not None]
        norms.append(float(torch.cat(gradients).norm()))
    module.zero_grad()
    module.train()
    return np.array(norms)


def norms_of(module: torch.nn.Module, pictures, labels) -> np.ndarray:
    model = with_gradient_norms(load_teacher((module, to_tensor), dtype="float32"))
    with model:
        forward = model.open(CPU)
        with torch.inference_mode():
            return forward((model.collate(pictures), torch.tensor(labels)))[:, 0].numpy()


@pytest.mark.parametrize("name", ["convolution", *CONFIGS])
def test_norms_are_those_of_backpropagation_row_by_row(name):
    module, pictures = network(name), images(6)
    expected = reference(module, pictures, LABELS)
    np.testing.assert_allclose(norms_of(module, pictures, LABELS), expected, rtol=1e-4)
    assert module.training
    assert all(weight.grad is None for weight in module.parameters())


def test_a_linear_model_by_hand():
    # Weights 0: p = (1/2, 1/2), the gradient is (p - y) times (image, 1); here |p - y| = sqrt(1/2).
    module = torch.nn.Linear(2, 2)
    torch.nn.init.zeros_(module.weight)
    torch.nn.init.zeros_(module.bias)
    model = with_gradient_norms(load_teacher((module, lambda _: torch.tensor([3.0, 4.0])), dtype="float32"))
    found = model.open(CPU)((torch.tensor([[3.0, 4.0]]), torch.tensor([1])))
    assert found.tolist() == [[pytest.approx((0.5 * 26) ** 0.5)]]


def test_few_gradients_at_once_give_the_same(monkeypatch):
    module, pictures = network("convolution"), images(6)
    whole = norms_of(module, pictures, LABELS)
    monkeypatch.setattr(hf_prune.models.gradients, "MAX_GRADIENT_VALUES", 500)
    np.testing.assert_allclose(norms_of(module, pictures, LABELS), whole, rtol=1e-5)


def test_frozen_weights_have_no_part():
    module, pictures = network("convolution"), images(6)
    module[0].requires_grad_(False)
    np.testing.assert_allclose(norms_of(module, pictures, LABELS), reference(module, pictures, LABELS), rtol=1e-4)
    module.requires_grad_(False)
    with pytest.raises(ValueError, match="every weight of the teacher is frozen"):
        norms_of(module, pictures, LABELS)


def test_a_row_without_label_has_no_gradient():
    assert norms_of(network("convolution"), images(2), [-1, 0])[0] == 0


def test_what_has_no_gradient_is_refused():
    function = with_gradient_norms(load_teacher(lambda batch: np.zeros((len(batch), 3)), dtype="float32"))
    with pytest.raises(ValueError, match="is a function, which has no weights"):
        function.open(CPU)
    with pytest.raises(ValueError, match="knows 3 classes, a row has label 3"):
        norms_of(network("convolution"), images(2), [0, 3])


def test_equal_images_with_other_labels_have_their_own_results(tmp_path):
    picture = images(1)[0]
    features = Features({"image": Image(), "label": ClassLabel(num_classes=3)})
    ds = Dataset.from_dict({"image": [picture] * 4, "label": [0, 1, 2, 0]}, features=features)
    module = network("convolution")
    model = with_gradient_norms(load_teacher((module, to_tensor), dtype="float32"))
    options = {"image_column": "image", "state": process_state("cpu"), "store_root": tmp_path}
    found = run_model(ds, model, targets=np.array([0, 1, 2, 0]), **options)
    np.testing.assert_allclose(found.values[:, 0], reference(module, [picture] * 4, [0, 1, 2, 0]), rtol=1e-4)
    assert found.computed == 3
    again = run_model(ds, model, targets=np.array([2, 1, 1, 0]), **options)
    assert again.computed == 0
    np.testing.assert_array_equal(again.values, found.values[[2, 1, 1, 0]])


def test_keys_of_pairs_differ_by_class():
    keys = np.frombuffer(bytes(range(32)), dtype="V16")
    pairs = {key.tobytes() for target in (0, 1, -1) for key in with_targets(keys, np.array([target, target]))}
    assert len(pairs) == 6
