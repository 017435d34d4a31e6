from types import SimpleNamespace

import pytest
import torch
import transformers

from hf_prune.models.outputs import FAMILIES, LOGITS, Output, embedding_output, take


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
