from types import SimpleNamespace

import pytest
import torch
import transformers

from hf_prune.models.outputs import (
    _SENSITIVE,
    FAMILIES,
    LOGITS,
    Output,
    embedding_output,
    is_convolutional,
    needs_float32,
    take,
    timm_needs_float32,
)


def config(model_type, *architectures, **more):
    return SimpleNamespace(model_type=model_type, architectures=list(architectures) or None, **more)


@pytest.mark.parametrize(
    ("model_type", "name"),
    [
        ("vit", "cls"),
        ("dinov2", "cls"),
        ("dinov3_vit", "cls"),
        ("vit_mae", "mean"),
        ("ijepa", "mean"),
        ("beit", "pooled"),
        ("clip", "projected"),
        ("siglip2", "pooled"),
        ("resnet", "pooled"),
        ("timm_wrapper", "pooled"),
        ("a family of tomorrow", "mean"),
    ],
)
def test_the_config_alone_decides(model_type, name):
    assert embedding_output(config(model_type)).name == name


def test_every_family_of_the_table_exists_and_ends_in_a_rule_for_all():
    for model_type, rows in FAMILIES.items():
        assert model_type in transformers.CONFIG_MAPPING
        assert rows[-1][0] == ""
        for architecture, output in rows:
            assert not architecture or hasattr(transformers, architecture)
            assert not output.model or hasattr(transformers, output.model)


def test_a_siglip_tower_without_its_head_averages():
    tower = SimpleNamespace(vision_use_head=False)
    assert embedding_output(config("siglip", vision_config=tower)).name == "mean"


def test_an_unknown_model_of_several_towers_is_refused():
    with pytest.raises(ValueError, match="'blip' joins several towers"):
        embedding_output(config("blip", vision_config=SimpleNamespace()))


def test_each_output_is_taken_from_its_place():
    hidden = torch.arange(24.0).reshape(2, 4, 3)
    result = SimpleNamespace(
        last_hidden_state=hidden,
        pooler_output=torch.ones(2, 5, 1, 1),
        image_embeds=torch.zeros(2, 7),
        logits=torch.full((2, 9), 4.0),
    )
    assert torch.equal(take(result, Output("cls")), hidden[:, 0])
    assert torch.equal(take(result, Output("mean")), hidden.mean(1))
    assert torch.equal(take(result, Output("mean", skip=1)), (hidden[:, 1] + hidden[:, 2] + hidden[:, 3]) / 3)
    assert take(result, Output("pooled")).shape == (2, 5)
    assert take(result, Output("projected")).shape == (2, 7)
    assert take(result, LOGITS).shape == (2, 9)


def test_the_mean_of_a_feature_map_is_over_space():
    result = SimpleNamespace(last_hidden_state=torch.arange(16.0).reshape(1, 4, 2, 2))
    assert take(result, Output("mean")).tolist() == [[1.5, 5.5, 9.5, 13.5]]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("tf_efficientnet_lite0.in1k", True),
        ("efficientnetv2_rw_s", True),
        ("mobilenetv2_100", True),
        ("tf_mobilenetv3_large_100", True),
        ("mobilenetv4_conv_small", True),
        ("mobilevitv2_100", True),
        ("resnet50.a1_in1k", False),
        ("vit_base_patch16_224.dino", False),
    ],
)
def test_float32_is_kept_for_a_network_by_timms_name_as_well(name, answer):
    assert needs_float32(config("timm_wrapper", architecture=name)) is answer
    assert needs_float32(config("of two towers", vision_config=config("timm_wrapper", architecture=name))) is answer


def test_every_sensitive_family_is_one_of_the_table_and_has_its_name_in_timm():
    assert set(FAMILIES) >= _SENSITIVE
    for family in _SENSITIVE:
        assert timm_needs_float32(family.replace("_", "")), "timm writes mobilenetv2 for mobilenet_v2"


@pytest.mark.parametrize(("tag", "output"), [("mae", "mean"), ("augreg_in21k", "pooled")])
def test_a_masked_autoencoder_of_timm_averages_its_patches_too(tag, output):
    timm = config("timm_wrapper", architecture="vit_base_patch16_224", pretrained_cfg={"tag": tag})
    assert embedding_output(timm).name == output


def test_an_output_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="returned SimpleNamespace without image_embeds, from which its 'projected'"):
        take(SimpleNamespace(pooler_output=torch.zeros(1, 2)), Output("projected"))
    tensor = torch.zeros(2, 3)
    assert take(tensor, Output("cls")) is tensor


def test_families_of_convolutions_are_those_whose_embedding_is_taken_channels_last():
    assert is_convolutional(SimpleNamespace(model_type="efficientnet"))
    assert is_convolutional(SimpleNamespace(model_type="convnextv2"))
    assert not is_convolutional(SimpleNamespace(model_type="swin"))
    assert not is_convolutional(SimpleNamespace(model_type="unheard_of"))
