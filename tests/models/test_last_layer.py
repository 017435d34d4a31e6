"""What the last layer of a classifier sees comes with its logits, which stay what they are."""

import numpy as np
import pytest
import torch
import transformers

from hf_prune.models.last_layer import split_features, with_features
from hf_prune.models.load import load_teacher
from tests.helpers.tiny_models import config_of, images, save

CPU = torch.device("cpu")
CLASSES = 3


def to_tensor(image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image.convert("RGB").resize((16, 16)), np.float32) / 255).permute(2, 0, 1)


class Tokens(torch.nn.Module):
    """A transformer of torch, whose fused kernel runs only while none of its layers has a hook."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(48, CLASSES)
        self.encoder = torch.nn.TransformerEncoderLayer(48, 4, 64, batch_first=True)

    def forward(self, batch):
        return self.head(self.encoder(batch.flatten(2)[..., ::16].reshape(len(batch), -1, 48)).mean(1))


class Scaled(torch.nn.Sequential):
    """Its last linear layer does not give the logits."""

    def forward(self, batch):
        return 2 * super().forward(batch)


class Compiled(torch.nn.Module):
    """Looks as what torch.compile returns, without the compiler, which takes long to load."""

    def __init__(self, module):
        super().__init__()
        self._orig_mod = module

    def forward(self, batch):
        return self._orig_mod(batch)


def network(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    if name == "tokens":
        return Tokens()
    layers = (torch.nn.Conv2d(3, 4, 5, stride=4), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Flatten())
    if name == "without":
        return torch.nn.Sequential(*layers, torch.nn.Unflatten(1, (36, 1)), torch.nn.Conv1d(36, CLASSES, 1))
    kind = Scaled if name == "scaled" else torch.nn.Sequential
    found = kind(*layers, torch.nn.Linear(36, 8), torch.nn.ReLU(), torch.nn.Linear(8, CLASSES))
    return Compiled(found) if name == "compiled" else found


def two_batches(model) -> np.ndarray:
    """The first batch finds the layer, the second is past that."""
    pictures = images(6)
    with model, torch.inference_mode():
        forward = model.open(CPU)
        return torch.cat([forward(model.collate(part)) for part in (pictures[:4], pictures[4:])]).numpy()


def hooks(module: torch.nn.Module) -> int:
    return sum(len(part._forward_hooks) for part in module.modules())


@pytest.mark.parametrize(("name", "layer", "size"), [("convolution", "6", 8), ("tokens", "head", 48)])
def test_logits_keep_their_bits_and_features_are_what_the_last_layer_saw(name, layer, size):
    module = network(name)
    teacher = load_teacher((module, to_tensor), dtype="float32")
    alone, values = two_batches(teacher), two_batches(with_features(teacher))
    logits, features = split_features(values)
    assert logits.tobytes() == alone.tobytes()
    assert features.shape == (6, size)
    again = module.get_submodule(layer)(torch.from_numpy(features.copy())).detach().numpy()
    np.testing.assert_allclose(again, logits, atol=1e-6)
    assert hooks(module) == 0
    assert module.training


@pytest.mark.parametrize("family", ["vit", "resnet", "swin"])
def test_classifiers_of_transformers_have_features(tmp_path, family):
    config = config_of(family, num_labels=CLASSES)
    model = transformers.AutoModelForImageClassification.from_config(config)
    teacher = load_teacher(save(model, tmp_path), dtype="float32")
    logits, features = split_features(two_batches(with_features(teacher)))
    assert logits.tobytes() == two_batches(teacher).tobytes()
    expected = {"vit": 16, "resnet": 12, "swin": 16}[family]
    assert features.shape == (6, expected)


def test_weights_in_half_precision_have_features():
    teacher = load_teacher((network("convolution"), to_tensor), dtype="bfloat16")
    logits, features = split_features(two_batches(with_features(teacher)))
    assert logits.tobytes() == two_batches(teacher).tobytes()
    assert features.shape == (6, 8)


@pytest.mark.parametrize("name", ["without", "scaled", "compiled"])
def test_where_no_linear_layer_gives_the_logits_there_are_no_features(name):
    module = network(name)
    teacher = load_teacher((module, to_tensor), dtype="float32")
    logits, features = split_features(two_batches(with_features(teacher)))
    assert features is None
    assert logits.tobytes() == two_batches(teacher).tobytes()
    assert hooks(module) == 0


def test_the_results_are_kept_apart():
    teacher = load_teacher((network("convolution"), to_tensor), dtype="float32")
    both = with_features(teacher)
    assert {name for name in both.identity if both.identity[name] != teacher.identity[name]} == {"output"}


def test_a_process_without_rows_has_nothing_to_split():
    logits, features = split_features(np.empty((0, 12), np.float32))
    assert (logits.shape, features) == ((0, 11), None)
