import subprocess
import sys

import pytest
import torch
import transformers
from PIL import Image
from torch.nn import functional as F

from hf_prune.models.load import load_encoder, load_teacher
from hf_prune.models.small_resnet import (
    NETWORKS,
    SmallResNetConfig,
    SmallResNetForImageClassification,
    make_processor,
    network_config,
)
from tests.helpers.tiny_models import images, run


def build(seed=0, **settings):
    torch.manual_seed(seed)
    classes = {} if "id2label" in settings else {"num_labels": 10}
    return SmallResNetForImageClassification(SmallResNetConfig(**classes, **settings))


def spread(model, seed=1):
    """Give norms and running statistics values that are not their first ones, or a mistake with them would not show."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.state_dict().items():
        if value.is_floating_point() and value.ndim == 1:
            low = 0.5 if name.endswith(("running_var", "weight")) else -0.5
            value.copy_(low + torch.rand(value.shape, generator=generator))
    return model


def weighted_layers(model):
    return [part for part in model.modules() if isinstance(part, torch.nn.Conv2d | torch.nn.Linear)]


def parameters(model):
    return sum(value.numel() for value in model.parameters())


def by_hand(blocks, widths, classes):
    """Weights of the network of section 4.2 of the paper, counted layer by layer."""
    first, *_ = widths
    count, channels = 3 * first * 9 + 2 * first, first
    for width in widths:
        for _ in range(blocks):
            count += channels * width * 9 + width * width * 9 + 2 * (2 * width)
            channels = width
    return count + widths[-1] * classes + classes


@pytest.mark.parametrize(
    ("name", "layers", "widths"),
    [
        ("resnet8", 8, (16, 32, 64)),
        ("resnet8-half", 8, (8, 16, 32)),
        ("resnet8-groupnorm", 8, (16, 32, 64)),
        ("resnet20", 20, (16, 32, 64)),
    ],
)
def test_layers_and_weights_are_those_of_the_paper(name, layers, widths):
    config = network_config(name)
    model = SmallResNetForImageClassification(config)
    assert len(weighted_layers(model)) == layers == 6 * config.num_blocks + 2
    assert parameters(model) == by_hand((layers - 2) // 6, widths, config.num_labels)
    assert name in NETWORKS


def test_the_documented_sizes():
    assert parameters(build()) == 75_290
    assert parameters(build(num_blocks=3)) == 269_722  # table 6 of the paper: 0.27 million


def reference(weights, pixels, blocks, norm):
    """The forward pass with functions of torch alone, in the ordinary memory layout."""

    def normalise(values, prefix):
        scale, shift = weights[f"{prefix}.weight"], weights[f"{prefix}.bias"]
        if norm == "group":
            grouped = values.reshape(len(values), 8, -1)
            grouped = grouped - grouped.mean(2, keepdim=True)
            values = (grouped / (grouped.square().mean(2, keepdim=True) + 1e-5).sqrt()).reshape(values.shape)
        else:
            mean, variance = weights[f"{prefix}.running_mean"], weights[f"{prefix}.running_var"]
            values = (values - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
        return values * scale[:, None, None] + shift[:, None, None]

    features = F.conv2d(pixels, weights["resnet.stem.weight"], padding=1)
    features = normalise(features, "resnet.stem_norm").clamp(min=0)
    for number in range(3 * blocks):
        place = f"resnet.blocks.{number}"
        stride = 2 if number in (blocks, 2 * blocks) else 1
        inner = F.conv2d(features, weights[f"{place}.convolution1.weight"], padding=1, stride=stride)
        inner = normalise(inner, f"{place}.norm1").clamp(min=0)
        inner = normalise(F.conv2d(inner, weights[f"{place}.convolution2.weight"], padding=1), f"{place}.norm2")
        shortcut = torch.zeros_like(inner)
        shortcut[:, : features.shape[1]] = features[:, :, ::stride, ::stride]
        features = (inner + shortcut).clamp(min=0)
    pooled = features.sum((2, 3)) / (features.shape[2] * features.shape[3])
    return pooled @ weights["classifier.weight"].T + weights["classifier.bias"]


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize(("blocks", "side"), [(1, 32), (3, 16), (1, 13)])
def test_the_forward_pass_is_that_of_plain_functions(blocks, side, norm):
    model = spread(build(num_blocks=blocks, norm=norm)).eval()
    pixels = torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        logits = model(pixels).logits
        expected = reference(model.state_dict(), pixels, blocks, norm)
    assert float(expected.std()) > 0.01
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


def test_the_loss_is_the_mean_cross_entropy():
    model, labels = build().eval(), torch.tensor([3, 0, 9])
    result = model(pixel_values=torch.randn(3, 3, 32, 32), labels=labels)
    chosen = result.logits.softmax(1)[range(3), labels]
    torch.testing.assert_close(result.loss, -chosen.log().mean())
    assert model(torch.zeros(1, 3, 32, 32)).loss is None


def test_a_stem_in_larger_steps_sees_every_pixel_and_makes_a_smaller_map():
    for kernel, stride, side in ((3, 1, 32), (3, 2, 16), (4, 4, 8), (6, 4, 8)):
        model = spread(build(stem_kernel=kernel, stem_stride=stride)).eval()
        pixels = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0), requires_grad=True)
        features = model.resnet(pixels).last_hidden_state
        assert features.shape == (1, 64, -(-side // 4), -(-side // 4))
        model.resnet.stem(pixels).abs().sum().backward()
        assert bool((pixels.grad != 0).all())
        stem = F.conv2d(pixels, model.resnet.stem.weight, padding=(kernel - stride + 1) // 2, stride=stride)
        assert stem.shape[2:] == (side, side)
        torch.testing.assert_close(model.resnet.stem(pixels), stem)


def test_group_norm_sees_each_image_alone_and_batch_norm_the_batch():
    pixels = torch.randn(4, 3, 16, 16)
    for norm, alike in (("group", True), ("batch", False)):
        model = build(norm=norm).train()
        together, alone = model(pixels).logits[:2], model(pixels[:2]).logits
        assert torch.allclose(together, alone, atol=1e-5) is alike


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_gradients_of_single_rows_can_be_taken_at_once(norm):
    model, labels = spread(build(norm=norm)).eval(), torch.tensor([1, 0, 4])
    pixels = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    weights = {name: value.detach() for name, value in model.named_parameters()}

    def loss(weights, image, label):
        batch = {"pixel_values": image[None], "labels": label[None]}
        return torch.func.functional_call(model, weights, (), batch).loss

    together = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(weights, pixels, labels)
    for row in range(3):
        model.zero_grad()
        model(pixels[row : row + 1], labels[row : row + 1]).loss.backward()
        for name, value in model.named_parameters():
            torch.testing.assert_close(together[name][row], value.grad, atol=1e-4, rtol=1e-3)


def test_a_saved_network_opens_as_teacher_and_encoder_without_remote_code(tmp_path):
    model = spread(build(id2label={0: "cat", 1: "dog", 2: "owl"}, label2id={"cat": 0, "dog": 1, "owl": 2})).eval()
    model.save_pretrained(tmp_path)
    make_processor().save_pretrained(tmp_path)
    pictures = images(3)
    again = transformers.AutoModelForImageClassification.from_pretrained(tmp_path)
    assert type(again) is SmallResNetForImageClassification
    pixels = torch.from_numpy(make_processor()(pictures, return_tensors="np")["pixel_values"])
    with torch.inference_mode():
        expected = model(pixels).logits
        assert torch.equal(again(pixels).logits, expected)
        features = model.resnet(pixels).pooler_output
    teacher = load_teacher(str(tmp_path), dtype="float32")
    assert teacher.names == ("cat", "dog", "owl")
    torch.testing.assert_close(run(teacher, pictures), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(run(load_encoder(str(tmp_path), dtype="float32"), pictures), features)
    assert not list(tmp_path.glob("*.py"))
    script = f"from hf_prune.models.load import load_teacher; print(load_teacher({str(tmp_path)!r}).identity['id'])"
    fresh = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert fresh.stdout.strip() == "SmallResNetForImageClassification"


def test_images_are_32_pixels_wide_from_minus_one_to_one():
    black, white = make_processor()([Image.new("RGB", (40, 20), shade) for shade in ("black", "white")])[
        "pixel_values"
    ]
    assert black.shape == (3, 32, 32)
    assert (set(black.ravel()), set(white.ravel())) == ({-1}, {1})


def test_what_does_not_exist_is_named_with_the_nearest():
    with pytest.raises(ValueError, match=r"unknown model 'resnet18'\. Did you mean 'resnet8'\? Known: resnet20, "):
        network_config("resnet18")
    with pytest.raises(ValueError, match=r"unknown norm 'bach'\. Did you mean 'batch'\?"):
        SmallResNetConfig(norm="bach")
    with pytest.raises(ValueError, match=r"widths=\[4, 8, 16\] with group norm; give multiples of 8"):
        SmallResNetConfig(norm="group", widths=[4, 8, 16])
