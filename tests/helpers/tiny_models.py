"""Tiny vision models from configs, saved as save_pretrained saves them; random weights with enough spread to tell images apart."""

import json
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image

SIZE = 32
_VIT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": SIZE,
    "patch_size": 8,
    "initializer_range": 0.3,
}
_CONV = {"num_channels": 3, "hidden_sizes": [8, 12], "depths": [1, 1]}
_SWIN = {"image_size": SIZE, "patch_size": 2, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4}
_VISION = {"vision_config": _VIT}
_TEXT = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 9,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}

# name -> (config class, settings); the config names its model classes through the Auto mappings.
CONFIGS = {
    "vit": ("ViTConfig", _VIT),
    "deit": ("DeiTConfig", _VIT),
    "dinov2": ("Dinov2Config", {**_VIT, "mlp_ratio": 2}),
    "dinov2_with_registers": ("Dinov2WithRegistersConfig", {**_VIT, "mlp_ratio": 2, "num_register_tokens": 2}),
    "vit_mae": ("ViTMAEConfig", {**_VIT, "mask_ratio": 0.75}),
    "vit_msn": ("ViTMSNConfig", _VIT),
    "ijepa": ("IJepaConfig", _VIT),
    "beit": ("BeitConfig", {**_VIT, "use_relative_position_bias": True}),
    "data2vec-vision": ("Data2VecVisionConfig", {**_VIT, "use_relative_position_bias": True}),
    "clip": ("CLIPConfig", {"vision_config": _VIT, "text_config": _TEXT, "projection_dim": 12}),
    "clip_vision_model": ("CLIPVisionConfig", {**_VIT, "projection_dim": 12}),
    "siglip": ("SiglipConfig", {"vision_config": _VIT, "text_config": _TEXT}),
    "resnet": ("ResNetConfig", {**_CONV, "embedding_size": 8}),
    "regnet": ("RegNetConfig", {**_CONV, "embedding_size": 8, "groups_width": 4}),
    "convnext": ("ConvNextConfig", {**_CONV, "num_stages": 2}),
    "convnextv2": ("ConvNextV2Config", {**_CONV, "num_stages": 2}),
    "swin": ("SwinConfig", _SWIN),
    "swinv2": ("Swinv2Config", _SWIN),
}
DIMENSIONS = {
    "vit": 16,
    "deit": 16,
    "dinov2": 16,
    "dinov2_with_registers": 16,
    "vit_mae": 16,
    "vit_msn": 16,
    "ijepa": 16,
    "beit": 16,
    "data2vec-vision": 16,
    "clip": 12,
    "clip_vision_model": 16,
    "siglip": 16,
    "resnet": 12,
    "regnet": 12,
    "convnext": 12,
    "convnextv2": 12,
    "swin": 16,
    "swinv2": 16,
}


def config_of(family, **changes):
    name, settings = CONFIGS[family]
    return getattr(transformers, name)(**{**settings, **changes})


def build(config, model_class=None, seed=0):
    torch.manual_seed(seed)
    if model_class is not None:
        return getattr(transformers, model_class)(config).eval()
    return transformers.AutoModel.from_config(config).eval()


def processor(size=SIZE):
    return transformers.ViTImageProcessorPil(size={"height": size, "width": size})


def save(model, folder):
    model.save_pretrained(folder)
    processor().save_pretrained(folder)
    return str(folder)


def save_detector(folder, seed=0, names=("dog", "N/A", "cat"), queries=5):
    """A YOLOS, whose processor keeps the aspect ratio of images and pads the smaller ones of a batch."""
    config = transformers.YolosConfig(
        **_VIT | {"image_size": [SIZE, 48]}, num_detection_tokens=queries, id2label=dict(enumerate(names))
    )
    build(config, "YolosForObjectDetection", seed).save_pretrained(folder)
    transformers.YolosImageProcessorPil(size={"shortest_edge": SIZE, "longest_edge": 64}).save_pretrained(folder)
    return str(folder)


def edit_config(folder, file="config.json", **changes):
    """Change entries of a saved model's config, or of another of its files."""
    path = Path(folder) / file
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changes))


def images(count=6, seed=0):
    """Smooth random colour fields of different sizes: unlike noise, they differ after averaging."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 3, 3, 3), dtype=np.uint8)
    return [Image.fromarray(field).resize((40 + i, 36), Image.Resampling.BICUBIC) for i, field in enumerate(coarse)]


def run(model, pictures):
    """Open, run and close a LoadedModel on the CPU, as the engine does."""
    with model, torch.inference_mode():
        return model.open(torch.device("cpu"))(model.collate(pictures))
