import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from hf_prune.models.load import load_encoder, load_teacher
from tests.tiny_models import images, run

PICTURES = images(4)


def to_tensor(image):
    return torch.from_numpy(np.asarray(image.resize((8, 8)), dtype=np.float32) / 255).permute(2, 0, 1)


def other_transform(image):
    return to_tensor(image) * 2


def network(outputs=5, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, outputs))


def load(module, transform=to_tensor, **options):
    return load_encoder((module, transform), **{"dtype": "float32", **options})


def test_a_module_runs_with_its_transform_in_eval_mode():
    module = network()
    features = run(load(module), PICTURES)
    module.eval()
    with torch.inference_mode():
        torch.testing.assert_close(features, module(torch.stack([to_tensor(image) for image in PICTURES])))


def test_train_flags_gradients_weights_and_device_come_back():
    module = network().train()
    module[1].eval()  # a frozen batch norm in a module that trains
    module[4].weight.requires_grad_(False)
    module(torch.zeros(2, 3, 8, 8)).sum().backward()
    gradients = {name: None if p.grad is None else p.grad.clone() for name, p in module.named_parameters()}
    state = {name: value.clone() for name, value in module.state_dict().items()}
    flags = [part.training for part in module.modules()]
    for dtype in ("float32", "bfloat16"):
        run(load(module, dtype=dtype), PICTURES)
        assert [part.training for part in module.modules()] == flags
        for name, parameter in module.named_parameters():
            assert (parameter.device.type, parameter.dtype) == ("cpu", torch.float32)
            assert parameter.requires_grad == (name != "4.weight")
            before = gradients[name]
            assert parameter.grad is None if before is None else torch.equal(parameter.grad, before)
        assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


def test_an_error_in_the_loop_gives_the_train_flags_back():
    module = network().train()
    model = load(module)
    with pytest.raises(RuntimeError), model:
        model.open(torch.device("cpu"))(torch.zeros(1, 1))
    assert module.training


def test_lower_precision_runs_a_converted_copy():
    module = network()
    features = run(load(module, dtype="bfloat16"), PICTURES)
    assert features.dtype == torch.bfloat16
    torch.testing.assert_close(features.float(), run(load(module), PICTURES), atol=0.05, rtol=0.05)


def test_the_identity_follows_weights_architecture_and_transform():
    identity = load(network()).identity
    assert json.loads(json.dumps(identity)) == identity
    assert (identity["kind"], identity["id"], identity["output"]) == ("torch", "Sequential", "forward")
    assert load(network()).identity == identity
    assert load(network(seed=1)).identity["weights_sha256"] != identity["weights_sha256"]
    strided = network()
    strided[2] = nn.Dropout(0.1)  # no weight tells them apart
    assert load(strided).identity["weights_sha256"] == identity["weights_sha256"]
    assert load(strided).identity != identity
    assert load(network(), other_transform).identity["preprocessing"] != identity["preprocessing"]
    assert load(network(), dtype="bfloat16").identity["dtype"] == "bfloat16"


class Unhashable:
    """Holds a generator, which no pickler takes."""

    def __init__(self, function):
        self.function = function
        self.running = (number for number in range(3))

    def __call__(self, value):
        return self.function(value)


def test_what_cannot_be_hashed_is_not_cached():
    assert load(network()).cacheable
    hidden = load(network(), Unhashable(to_tensor))
    assert not hidden.cacheable
    assert torch.equal(run(hidden, PICTURES), run(load(network()), PICTURES))
    assert not load_encoder(Unhashable(brightness)).cacheable


def test_pooled_maps_are_flattened_and_other_shapes_refused():
    pooling = nn.AdaptiveAvgPool2d(1)
    assert run(load(pooling), PICTURES).shape == (4, 3)
    with pytest.raises(
        ValueError, match=r"Identity returned \(4, 3, 8, 8\) for 4 images; it must return one tensor \(4, d\)"
    ):
        run(load(nn.Identity()), PICTURES)


class Classifier(nn.Module):
    """Returns an object with logits, as models of transformers do."""

    def __init__(self):
        super().__init__()
        self.body = network(3)

    def forward(self, batch):
        return Result(self.body(batch))


class Result:
    def __init__(self, logits):
        self.logits = logits


def test_a_teacher_may_return_an_object_with_logits():
    teacher = load_teacher((Classifier(), to_tensor), dtype="bfloat16")
    assert teacher.identity["output"] == "logits"
    logits = run(teacher, PICTURES)
    assert (logits.shape, logits.dtype) == ((4, 3), torch.float32)
    with pytest.raises(ValueError, match=r"Classifier returned Result for 4 images"):
        run(load(Classifier()), PICTURES)


def brightness(pictures):
    return np.stack([np.asarray(picture, dtype=np.float64).mean((0, 1)) for picture in pictures])


def test_a_function_on_images_gets_them_as_rgb():
    model = load_encoder(brightness)
    assert (model.identity["kind"], model.identity["id"], model.cacheable) == ("callable", "brightness", True)
    features = run(model, [Image.new("L", (2, 2), 9), Image.new("RGBA", (3, 3), (0, 0, 0, 0))])
    assert features.dtype == torch.float32
    assert features.tolist() == [[9, 9, 9], [255, 255, 255]]
    assert load_encoder(brightness).identity == model.identity
    with pytest.raises(ValueError, match=r"returned \(\) for 4 images"):
        run(load_encoder(lambda pictures: float(len(pictures))), PICTURES)


def test_pixels_need_no_model():
    model = load_encoder("pixels")
    assert (model.identity["image_size"], model.identity["dtype"]) == (32, "float32")
    assert run(model, PICTURES).shape == (4, 3 * 32 * 32)
    assert run(load_encoder("pixels", image_size=4), PICTURES).shape == (4, 48)
    assert load_encoder("pixels", image_size=4).identity != model.identity
