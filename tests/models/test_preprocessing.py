import json
import pickle

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from hf_prune.models.preprocessing import (
    PixelsCollate,
    ProcessorCollate,
    TransformCollate,
    describe,
    resize_to,
    rgb_images,
)


def noise(count=3, size=(61, 47), seed=0):
    rng = np.random.default_rng(seed)
    return [Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)) for _ in range(count)]


PROCESSORS = {
    "vit": lambda: transformers.ViTImageProcessorPil(size={"height": 32, "width": 32}),
    "bit": lambda: transformers.BitImageProcessorPil(
        size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32}
    ),
    "clip": lambda: transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ),
    "siglip": lambda: transformers.SiglipImageProcessorPil(size={"height": 32, "width": 32}),
    "convnext": lambda: transformers.ConvNextImageProcessorPil(size={"shortest_edge": 32}),
    "beit": lambda: transformers.BeitImageProcessorPil(
        size={"height": 36, "width": 36}, crop_size={"height": 32, "width": 32}, do_center_crop=True
    ),
    "efficientnet": lambda: transformers.EfficientNetImageProcessorPil(
        size={"height": 32, "width": 32}, include_top=False
    ),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_batches_equal_the_processors_own_to_the_last_bit(name):
    processor = PROCESSORS[name]()
    collate = ProcessorCollate(processor)
    assert collate._table is not None, "the fast path was not taken, so nothing was compared"
    images = noise() + noise(2, (20, 90), seed=1) + noise(1, (300, 30), seed=2)
    batch = collate(images)["pixel_values"]
    own = torch.stack([torch.as_tensor(np.asarray(p)) for p in processor(images)["pixel_values"]])
    assert batch.dtype == torch.float32
    assert torch.equal(batch, own)


class Oddly(transformers.ViTImageProcessorPil):
    """Does more than look up values: it subtracts each image's own mean."""

    def normalize(self, image, *args, **kwargs):  # noqa: ARG002 - the signature is the overridden method's
        return image - image.mean()


@pytest.mark.parametrize(
    "make", [Oddly, transformers.EfficientNetImageProcessorPil], ids=["subclass", "normalises twice"]
)
def test_a_processor_with_steps_of_its_own_is_called_as_it_is(make):
    processor = make(size={"height": 16, "width": 16})
    collate = ProcessorCollate(processor)
    assert collate._table is None
    images = noise()
    expected = np.stack([np.asarray(p) for p in processor(images)["pixel_values"]])
    np.testing.assert_array_equal(collate(images)["pixel_values"].numpy(), expected)


@pytest.mark.parametrize("name", PROCESSORS)
def test_mixed_modes_share_a_batch_and_grey_equals_its_rgb_copy(name):
    collate = ProcessorCollate(PROCESSORS[name]())
    grey = noise(1)[0].convert("L")
    images = [grey, grey.convert("RGB"), grey.convert("RGBA"), grey.convert("CMYK"), grey.convert("P")]
    batch = collate(images)["pixel_values"]
    assert batch.shape == (5, 3, 32, 32)
    assert torch.equal(batch[0], batch[1])
    assert torch.equal(batch[0], batch[2])


@pytest.mark.parametrize("make", [*PROCESSORS.values(), lambda: None], ids=[*PROCESSORS, "pixels"])
def test_collates_survive_pickling(make):
    processor = make()
    collate = PixelsCollate(4) if processor is None else ProcessorCollate(processor)
    images = noise()
    first, second = collate(images), pickle.loads(pickle.dumps(collate))(images)
    if processor is not None:
        first, second = first["pixel_values"], second["pixel_values"]
    assert torch.equal(first, second)


def test_sizes_that_differ_make_a_one_line_error():
    processor = transformers.BitImageProcessorPil(size={"shortest_edge": 16}, do_center_crop=False)
    collate = ProcessorCollate(processor)
    with pytest.raises(ValueError, match="give image_size= to resize"):
        collate(noise(1, (20, 40)) + noise(1, (40, 20)))
    resize_to(processor, 16)
    assert ProcessorCollate(processor)(noise(1, (20, 40)) + noise(1, (40, 20)))["pixel_values"].shape == (2, 3, 16, 16)


@pytest.mark.parametrize(
    ("name", "size", "crop"),
    [
        ("vit", {"height": 64, "width": 64}, None),
        ("bit", {"shortest_edge": 80}, {"height": 64, "width": 64}),
        ("clip", {"shortest_edge": 64}, {"height": 64, "width": 64}),
        ("convnext", {"shortest_edge": 64}, None),
        ("beit", {"height": 72, "width": 72}, {"height": 64, "width": 64}),
        ("efficientnet", {"height": 64, "width": 64}, None),
    ],
)
def test_image_size_keeps_the_ratio_of_resize_and_crop(name, size, crop):
    processor = PROCESSORS[name]()
    resize_to(processor, 64)
    record = describe(processor)
    assert record["size"] == size
    if crop:
        assert record["crop_size"] == crop
    assert ProcessorCollate(processor)(noise())["pixel_values"].shape == (3, 3, 64, 64)


def test_image_size_needs_a_processor_with_a_size():
    with pytest.raises(ValueError, match="image_size=32 cannot be applied to Siglip2ImageProcessorPil"):
        resize_to(transformers.Siglip2ImageProcessorPil(), 32)


def test_the_record_is_plain_and_holds_no_origin(tmp_path):
    processor = PROCESSORS["bit"]()
    processor.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "preprocessor_config.json").read_text())
    settings |= {"_name_or_path": str(tmp_path), "processor_class": "X", "auto_map": {"AutoProcessor": "a.B"}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    loaded = transformers.AutoImageProcessor.from_pretrained(tmp_path, backend="pil", trust_remote_code=False)
    record = describe(loaded)
    assert json.loads(json.dumps(record)) == record
    assert str(tmp_path) not in json.dumps(record)
    assert record == describe(processor)
    assert record["resample"] == 3
    assert record["convert"].startswith("rgb")


def test_pixels_are_resized_bilinear_flattened_and_scaled():
    image = noise(1)[0]
    batch = PixelsCollate(8)([image, Image.new("L", (5, 5), 51)])
    assert batch.shape == (2, 192)
    assert batch.dtype == torch.float32
    expected = np.asarray(image.resize((8, 8), Image.Resampling.BILINEAR), dtype=np.float32).reshape(-1) / 255
    np.testing.assert_array_equal(batch[0].numpy(), expected)
    np.testing.assert_allclose(batch[1].numpy(), 0.2, atol=1e-7)


def test_a_transform_gets_rgb_images():
    seen = []

    def transform(image):
        seen.append(image.mode)
        return np.asarray(image, dtype=np.float64).mean((0, 1))

    batch = TransformCollate(transform)([Image.new("L", (2, 2), 3), Image.new("CMYK", (2, 2))])
    assert seen == ["RGB", "RGB"]
    assert batch.dtype == torch.float32
    assert batch.tolist() == [[3, 3, 3], [255, 255, 255]]
    assert [image.mode for image in rgb_images([Image.new("1", (1, 1))])] == ["RGB"]
