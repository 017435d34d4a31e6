import functools
import io
import json

import numpy as np
import pytest
import torch
import transformers
from datasets import ClassLabel, Dataset, Features
from datasets import Image as Image_
from PIL import Image
from torch import nn

import hf_prune  # noqa: F401  # gives data sets their methods
from hf_prune import Run
from hf_prune.models.gradients import with_gradient_norms
from hf_prune.models.load import load_encoder, load_teacher
from tests.helpers.tiny_models import build, config_of, images, processor, run, save

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


class Layer(nn.Module):
    """The usual wrapper around a network of transformers that returns one of its hidden layers."""

    def __init__(self, network, layer):
        super().__init__()
        self.network, self.layer = network, layer

    def forward(self, batch):
        return self.network(pixel_values=batch, output_hidden_states=True).hidden_states[self.layer][:, 0]


def rows(count=6):
    contents = [{"bytes": encoded(picture), "path": None} for picture in images(count)]
    return Dataset.from_dict({"image": contents}, features=Features({"image": Image_()}))


def encoded(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def whole_image(image):
    return torch.from_numpy(np.asarray(image.resize((32, 32)), dtype=np.float32) / 255).permute(2, 0, 1)


def test_another_attribute_is_another_model_on_one_cache(tmp_path):
    network, ds = build(config_of("vit")), rows()

    def scores(layer, cache):
        scored = ds.score_with(
            "prototypes", encoder=(Layer(network, layer), whole_image), num_prototypes=2, run=Run(cache_dir=cache)
        )
        return scored["prototypes"][:]

    first, second = scores(1, tmp_path / "shared"), scores(2, tmp_path / "shared")
    assert second != first
    assert second == scores(2, tmp_path / "empty")
    assert first == scores(1, tmp_path / "shared")


class Tempered(nn.Module):
    def __init__(self, network, temperature):
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, batch):
        return self.network(batch) / self.temperature


def test_two_teachers_that_differ_in_an_attribute_are_two(tmp_path):
    network_ = network(3)
    ds = rows().add_column("label", [0, 1, 2, 0, 1, 2]).cast_column("label", ClassLabel(names=["a", "b", "c"]))

    def scores(*temperatures):
        teachers = [(Tempered(network_, temperature), to_tensor) for temperature in temperatures]
        return ds.score_with("el2n", teachers=teachers, run=Run(cache_dir=tmp_path))["el2n"][:]

    one, other, both = scores(1.0), scores(9.0), scores(1.0, 9.0)
    assert one != other
    np.testing.assert_allclose(both, (np.array(one) + other) / 2, rtol=1e-6)


def test_gradients_are_known_by_the_weights_that_they_are_taken_of():
    module = network(3)
    teacher = with_gradient_norms(load_teacher((module, to_tensor), dtype="float32")).identity
    module[0].requires_grad_(False)
    assert load_teacher((module, to_tensor), dtype="float32").identity["code_sha256"] == teacher["code_sha256"]
    assert with_gradient_norms(load_teacher((module, to_tensor), dtype="float32")).identity != teacher


@pytest.mark.parametrize("family", ["vit", "vit_mae", "resnet", "clip_vision_model", "siglip", "clip", "swin"])
def test_a_model_of_transformers_gives_its_usual_output(family, tmp_path):
    module = build(config_of(family), {"clip": "CLIPModel", "siglip": "SiglipModel"}.get(family))
    masked = getattr(module.config, "mask_ratio", None)
    own = load(module, processor())
    expected = run(load_encoder(save(module, tmp_path), dtype="float32"), PICTURES)
    assert own.cacheable
    torch.testing.assert_close(run(own, PICTURES), expected)
    transformed = load(module, lambda image: processor()(image, return_tensors="pt")["pixel_values"][0])
    torch.testing.assert_close(run(transformed, PICTURES), expected)
    assert getattr(module.config, "mask_ratio", None) == masked


def test_a_processor_as_transform_is_recorded_by_its_settings():
    module = build(config_of("vit"))
    found = load(module, processor())
    assert found.identity["preprocessing"]["size"] == {"height": 32, "width": 32}
    assert (found.identity["output"], found.identity["kind"]) == ("cls", "torch")
    assert load(module, processor(48)).identity != found.identity
    assert run(load(module, processor(48)), PICTURES).shape == (4, 16)


def test_what_a_processor_returns_is_taken_from_a_transform_as_well():
    module, expected = build(config_of("vit")), run(load(build(config_of("vit")), processor()), PICTURES)
    for transform in (functools.partial(processor(), return_tensors="pt"), lambda image: processor()(image)):
        torch.testing.assert_close(run(load(module, transform), PICTURES), expected)


def test_a_classifier_of_transformers_names_its_classes_and_is_no_encoder():
    classifier = build(config_of("vit", id2label={0: "cat", 1: "dog", 2: "owl"}), "ViTForImageClassification")
    teacher = load_teacher((classifier, processor()), dtype="float32")
    assert (teacher.names, teacher.num_classes) == (("cat", "dog", "owl"), 3)
    assert run(teacher, PICTURES).shape == (4, 3)
    with pytest.raises(ValueError, match="returned ImageClassifierOutput without last_hidden_state"):
        run(load(classifier, processor()), PICTURES)
    with pytest.raises(ValueError, match="without logits, from which its 'logits' output is taken"):
        run(load_teacher((build(config_of("vit")), processor()), dtype="float32"), PICTURES)


class OwnModel(transformers.ViTModel):
    def forward(self, pixel_values, **_):
        return pixel_values.mean((2, 3))


def test_a_class_of_ones_own_returns_what_it_likes():
    torch.manual_seed(0)
    assert run(load(OwnModel(config_of("vit")), processor()), PICTURES).shape == (4, 3)


def test_float32_is_kept_for_sensitive_networks_of_ones_own(monkeypatch):
    monkeypatch.setattr("hf_prune.models.loaded_model.computes_bfloat16", lambda _: True)
    timm = network()
    assert load_encoder((timm, to_tensor)).identity["dtype"] == "bfloat16"
    timm.pretrained_cfg = {"architecture": "tf_efficientnet_b0"}
    assert load_encoder((timm, to_tensor)).identity["dtype"] == "float32"
    mobile = transformers.MobileNetV2Model(transformers.MobileNetV2Config(image_size=32, depth_multiplier=0.1))
    assert load_encoder((mobile, processor())).identity["dtype"] == "float32"


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
    assert hidden.identity["preprocessing"] is None
    assert hidden.identity["not_cached"] == "no digest: Unhashable.running cannot be read"
    assert torch.equal(run(hidden, PICTURES), run(load(network()), PICTURES))
    function = load_encoder(Unhashable(brightness))
    assert not function.cacheable
    assert (function.identity["code_sha256"], "not_cached" in function.identity) == (None, True)
    far = load(nn.Linear(2, 2, device="meta"))
    assert (far.cacheable, far.identity["not_cached"]) == (False, "no digest: its weights cannot be read")


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
