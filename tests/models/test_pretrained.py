import json
import shutil

import numpy as np
import pytest
import torch
import transformers
from scipy.stats import spearmanr

from hf_prune.models import sources
from hf_prune.models.load import load_encoder, load_teacher
from hf_prune.models.pretrained import class_names
from hf_prune.models.sources import Source
from hf_prune.runtime import integrity
from tests.helpers.tiny_models import (
    CONFIGS,
    DIMENSIONS,
    SIZE,
    build,
    config_of,
    edit_config,
    images,
    processor,
    run,
    save,
)

PICTURES = images()
BASE = {"clip_vision_model": "CLIPVisionModel", "siglip": "SiglipModel", "clip": "CLIPModel"}


def pixels(size=SIZE):
    return processor(size)(PICTURES, return_tensors="pt")["pixel_values"]


def encoder(folder, **options):
    return load_encoder(folder, dtype="float32", **options)


def reference(family, model, values):
    """The documented output of each family, written out with transformers alone."""
    if family == "clip":
        return model.get_image_features(values).pooler_output
    if family == "siglip":
        return model.vision_model(values).pooler_output
    if family == "vit_mae":
        model.config.mask_ratio = 0.0
        return model(values, noise=torch.arange(16.0).expand(len(values), -1)).last_hidden_state[:, 1:].mean(1)
    result = model(values)
    if family in ("vit", "deit", "dinov2", "dinov2_with_registers", "vit_msn"):
        return result.last_hidden_state[:, 0]
    if family == "ijepa":
        return result.last_hidden_state.mean(1)
    if family == "data2vec-vision":
        return result.last_hidden_state[:, 1:].mean(1)
    return result.pooler_output.reshape(len(values), -1)


@pytest.mark.parametrize("family", CONFIGS)
def test_each_family_opens_and_gives_its_documented_output(family, tmp_path):
    model = build(config_of(family), BASE.get(family))
    folder = save(model, tmp_path)
    loaded = encoder(folder)
    features = run(loaded, PICTURES)
    assert features.shape == (len(PICTURES), DIMENSIONS[family])
    assert loaded.names is None
    assert loaded.cacheable
    with torch.inference_mode():
        torch.testing.assert_close(features, reference(family, model, pixels()), atol=1e-5, rtol=1e-4)
    assert torch.equal(features, run(encoder(folder), PICTURES)), "two loads differ: something is random"
    assert float(features.std(0).mean()) > 1e-4, "all images look alike, so nothing was compared"

    loaded = encoder(folder, image_size=48)
    assert loaded.identity["image_size"] == 48
    assert loaded.identity["preprocessing"]["size"] == {"height": 48, "width": 48}
    assert loaded.collate(PICTURES)["pixel_values"].shape[-2:] == (48, 48)
    assert run(loaded, PICTURES).shape == (len(PICTURES), DIMENSIONS[family])


def test_only_the_vision_tower_is_loaded(tmp_path):
    for family, name in (("clip", "CLIPVisionModelWithProjection"), ("siglip", "SiglipVisionModel")):
        loaded = encoder(save(build(config_of(family), BASE[family]), tmp_path / family))
        assert loaded.identity["id"] == name
        forward = loaded.open(torch.device("cpu"))
        assert not [key for key in forward.model.state_dict() if "text" in key]


def test_the_identity_is_plain_without_a_path_and_follows_the_weights(tmp_path):
    folder = save(build(config_of("vit")), tmp_path / "one")
    identity = encoder(folder).identity
    assert json.loads(json.dumps(identity)) == identity
    assert str(tmp_path) not in json.dumps(identity)
    assert identity["id"] == "ViTModel"
    assert (identity["kind"], identity["commit"], identity["output"]) == ("transformers", None, "cls")
    assert (identity["dtype"], identity["backend"], identity["image_size"]) == ("float32", "pil", None)
    shutil.copytree(folder, tmp_path / "two")
    assert encoder(tmp_path / "two").identity == identity
    other = save(build(config_of("vit"), seed=1), tmp_path / "three")
    assert encoder(other).identity["weights_sha256"] != identity["weights_sha256"]
    assert load_encoder(folder, dtype="bfloat16").identity["dtype"] == "bfloat16"


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("config.json", {"num_attention_heads": 4}),
        ("config.json", {"hidden_act": "quick_gelu"}),
        ("config.json", {"layer_norm_eps": 0.5}),
        ("preprocessor_config.json", {"image_mean": [0.1, 0.2, 0.3]}),
        ("preprocessor_config.json", {"resample": 0}),
    ],
)
def test_config_and_processor_of_a_folder_decide_its_values_and_its_identity(file, changes, tmp_path):
    folder = save(build(config_of("vit")), tmp_path)
    before = encoder(folder)
    features = run(before, PICTURES)
    edit_config(folder, file, **changes)
    after = encoder(folder)
    assert not torch.equal(run(after, PICTURES), features)
    assert after.identity["weights_sha256"] == before.identity["weights_sha256"]
    assert after.identity["config_sha256"] != before.identity["config_sha256"]


def test_two_models_in_shards_below_their_folders_have_two_identities(tmp_path):
    found = []
    for seed in (0, 1):
        folder = tmp_path / str(seed)
        model = build(config_of("vit"), seed=seed)
        model.save_pretrained(folder, max_shard_size="10kB")
        processor().save_pretrained(folder)
        index = json.loads((folder / "model.safetensors.index.json").read_bytes())
        index["weight_map"] = {key: f"parts/{name}" for key, name in index["weight_map"].items()}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        (folder / "parts").mkdir()
        for shard in folder.glob("model-*.safetensors"):
            shard.rename(folder / "parts" / shard.name)
        loaded = encoder(folder)
        found.append((loaded.identity["weights_sha256"], run(loaded, PICTURES)))
        assert torch.equal(found[-1][1], run(encoder((model, processor())), PICTURES))
    assert None not in (found[0][0], found[1][0])
    assert found[0][0] != found[1][0]
    assert not torch.equal(found[0][1], found[1][1])


def test_a_file_without_a_commit_is_not_cached(tmp_path, monkeypatch):
    save(build(config_of("vit")), tmp_path)
    monkeypatch.setattr("hf_prune.models.pretrained.find_source", lambda *_: Source(str(tmp_path), "'a/b'"))
    loaded = encoder("a/b")
    assert not loaded.cacheable
    assert loaded.identity["not_cached"] == "the Hub named no commit of it"


def test_a_video_model_is_refused_by_its_config(tmp_path):
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.VideoMAEConfig(**small, image_size=32, patch_size=8, num_frames=2, tubelet_size=1)
    folder = save(transformers.VideoMAEModel(config), tmp_path)
    with pytest.raises(ValueError, match=r"\(videomae\) takes videos, not images: give an image model"):
        encoder(folder)


def test_a_size_that_a_model_cannot_take_is_one_line(tmp_path):
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.Aimv2VisionConfig(**small, image_size=32, patch_size=8)
    folder = save(transformers.Aimv2VisionModel(config), tmp_path)
    with pytest.raises(
        ValueError, match=r"cannot be run on images of 48 x 48 pixels \(.*\): give image_size="
    ) as caught:
        run(encoder(folder, image_size=48), PICTURES)
    assert repr(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit_the_config_are_one_line(tmp_path):
    folder = save(build(config_of("vit")), tmp_path)
    edit_config(folder, hidden_size=24)
    with pytest.raises(ValueError, match=r"the weights of .* do not fit its config, or are damaged: ") as caught:
        run(encoder(folder), PICTURES)
    assert "\n" not in str(caught.value)


def test_a_teacher_says_how_many_classes_it_knows_before_it_is_opened(tmp_path):
    folder = save(build(config_of("vit", num_labels=5), "ViTForImageClassification"), tmp_path)
    assert load_teacher(folder).num_classes == 5
    assert encoder(folder).num_classes is None


def test_the_weights_are_read_only_when_the_model_is_opened(tmp_path):
    folder = save(build(config_of("resnet")), tmp_path)
    loaded = encoder(folder)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(OSError, match="cannot read the weights of") as caught:
        loaded.open(torch.device("cpu"))
    assert "\n" not in str(caught.value)


def test_a_folder_written_between_its_digest_and_its_opening_gives_no_values(tmp_path):
    folder = save(build(config_of("vit")), tmp_path)
    loaded = encoder(folder)
    save(build(config_of("vit"), seed=1), tmp_path)
    with pytest.raises(ValueError, match=r"was changed while the model was opened from it: run again"):
        run(loaded, PICTURES)
    loaded = encoder(folder)
    edit_config(folder, hidden_act="quick_gelu")
    with pytest.raises(ValueError, match=r"config\.json' was changed while"):
        run(loaded, PICTURES)


def test_a_finished_folder_is_hashed_once_and_known_as_without_its_list(tmp_path, monkeypatch):
    folder = save(build(config_of("vit")), tmp_path)
    plain = encoder(folder).identity
    integrity.write_digests(tmp_path)
    monkeypatch.setattr(sources, "file_sha256", None)  # a second reading would fail
    assert encoder(folder).identity == plain
    save(build(config_of("vit"), seed=1), tmp_path)
    with pytest.raises(ValueError, match=r"'model\.safetensors' is not the file that was finished there"):
        encoder(folder)


def test_a_model_from_the_hub_cache_is_known_by_id_and_commit(tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--someone--tiny"
    save(build(config_of("vit")), repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    loaded = encoder("someone/tiny")
    assert (loaded.identity["id"], loaded.identity["commit"]) == ("someone/tiny", commit)
    assert loaded.identity["weights_sha256"] is None
    assert run(loaded, PICTURES).shape == (6, 16)
    with pytest.raises(OSError, match="at revision 'v2'") as caught:
        encoder("someone/tiny", revision="v2")
    assert "\n" not in str(caught.value)


def test_a_vit_without_a_pooler_gives_its_class_token_every_time(tmp_path):
    classifier = build(config_of("vit", num_labels=3), "ViTForImageClassification")
    folder = save(classifier, tmp_path)
    with torch.inference_mode():
        expected = classifier.vit(pixels()).last_hidden_state[:, 0]
    torch.testing.assert_close(run(encoder(folder), PICTURES), expected)
    torch.testing.assert_close(run(encoder(folder), PICTURES), expected)


@pytest.mark.parametrize(
    ("family", "model_class", "output"),
    [
        ("vit_mae", "ViTMAEForPreTraining", "mean"),
        ("beit", "BeitForMaskedImageModeling", "mean"),
        ("beit", "BeitForImageClassification", "pooled"),
        ("data2vec-vision", "Data2VecVisionForImageClassification", "pooled"),
        ("clip", "CLIPForImageClassification", "mean"),
        ("siglip", "SiglipForImageClassification", "mean"),
        ("clip_vision_model", "CLIPVisionModelWithProjection", "projected"),
        ("swin", "SwinForMaskedImageModeling", "pooled"),
        ("convnext", "ConvNextForImageClassification", "pooled"),
    ],
)
def test_checkpoints_with_other_heads_open_as_encoders(family, model_class, output, tmp_path):
    decoder = {"decoder_hidden_size": 16, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2}
    changes = decoder if family == "vit_mae" else {"encoder_stride": 4} if family == "swin" else {}
    folder = save(build(config_of(family, **changes), model_class), tmp_path)
    loaded = encoder(folder)
    assert loaded.identity["output"] == output
    assert torch.equal(run(loaded, PICTURES), run(encoder(folder), PICTURES))


def without(folder, *prefixes):
    """Remove weights from a saved model."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder + "/model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith(prefixes)}
    assert len(kept) < len(weights)
    save_file(kept, folder + "/model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(
    ("family", "missing", "named"),
    [
        ("beit", "pooler.", "pooler.layernorm.weight"),
        ("siglip", "vision_model.head.probe", "head.probe"),
        ("clip", "visual_projection", "visual_projection.weight"),
        ("resnet", "embedder.embedder.normalization.running_mean", "running_mean"),
        ("vit", "layernorm.weight", "layernorm.weight"),
    ],
)
def test_a_random_weight_behind_the_output_is_named(family, missing, named, tmp_path):
    folder = without(save(build(config_of(family), BASE.get(family)), tmp_path), missing)
    with pytest.raises(ValueError, match="which would be random: .*" + named.replace(".", r"\.")) as caught:
        encoder(folder).open(torch.device("cpu"))
    assert "\n" not in str(caught.value)


def test_a_missing_weight_that_the_output_does_not_use_is_no_error(tmp_path):
    folder = save(build(config_of("dinov2")), tmp_path)
    before = run(encoder(folder), PICTURES)
    assert torch.equal(run(encoder(without(folder, "embeddings.mask_token")), PICTURES), before)


def test_a_model_opened_inside_inference_mode_has_ordinary_parameters(tmp_path):
    folder = without(save(build(config_of("dinov2")), tmp_path), "embeddings.mask_token")
    with torch.inference_mode():
        forward = encoder(folder).open(torch.device("cpu"))
    assert not any(parameter.is_inference() for parameter in forward.model.parameters())


def test_many_missing_weights_stay_one_short_line(tmp_path):
    folder = without(save(build(config_of("vit")), tmp_path), "encoder.layer.")
    with pytest.raises(ValueError, match=r"and others; load it yourself") as caught:
        encoder(folder).open(torch.device("cpu"))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "family", ["vit", "dinov2", "beit", "resnet", "clip", "siglip", "convnext", "swin", "vit_msn"]
)
def test_teachers_give_the_logits_of_their_classifier(family, tmp_path):
    config = config_of(family, id2label={0: "cat", 1: "dog", 2: "owl"}, label2id={"cat": 0, "dog": 1, "owl": 2})
    torch.manual_seed(0)
    model = transformers.AutoModelForImageClassification.from_config(config).eval()
    folder = save(model, tmp_path)
    teacher = load_teacher(folder, dtype="float32")
    assert teacher.names == ("cat", "dog", "owl")
    assert teacher.identity["output"] == "logits"
    with torch.inference_mode():
        torch.testing.assert_close(run(teacher, PICTURES), model(pixels()).logits)
    logits = run(load_teacher(folder, dtype="bfloat16", image_size=48), PICTURES)
    assert (logits.shape, logits.dtype) == ((6, 3), torch.float32)


def test_an_encoder_without_a_head_is_no_teacher(tmp_path):
    folder = save(build(config_of("vit")), tmp_path)
    with pytest.raises(
        ValueError, match=r"no trained classification head \(classifier\.bias, classifier\.weight"
    ) as caught:
        load_teacher(folder).open(torch.device("cpu"))
    assert "\n" not in str(caught.value)
    mae = save(build(config_of("vit_mae")), tmp_path / "mae")
    with pytest.raises(ValueError, match=r"\(vit_mae\) is no image classification or object detection model"):
        load_teacher(mae)


def test_placeholder_names_are_no_names():
    assert class_names(config_of("vit", num_labels=3)) is None
    assert class_names(config_of("vit", id2label={1: "b", 0: "a"})) == ("a", "b")


def nearest(features, prototypes):
    unit = torch.nn.functional.normalize(features.float(), dim=1)
    return (1 - unit @ prototypes.T).min(1).values.numpy()


@pytest.mark.parametrize(
    ("family", "width"),
    [
        ("vit", {"hidden_size": 128, "initializer_range": 128**-0.5}),
        ("clip_vision_model", {"hidden_size": 128, "initializer_range": 128**-0.5}),
        ("resnet", {"hidden_sizes": [32, 128]}),
        ("convnext", {"hidden_sizes": [32, 128]}),
    ],
)
def test_bfloat16_ranks_images_as_float32_does(family, width, tmp_path):
    """Distances to the nearest of ten prototypes, as the prototypes metric takes them; the prototypes come from float32.

    The models are wider than the others here, because a distance averages the rounding over the dimensions and real encoders
    have hundreds of them; and their weights keep the variance from layer to layer as trained ones do, where the larger ones of
    the other tests amplify every rounding.
    """
    folder = save(build(config_of(family, **width), BASE.get(family)), tmp_path)
    pictures = images(200, seed=1)
    exact = run(encoder(folder), pictures)
    rounded = run(load_encoder(folder, dtype="bfloat16"), pictures)
    assert rounded.dtype == torch.bfloat16
    prototypes = torch.nn.functional.normalize(exact[:10], dim=1)
    # The ten images that became prototypes are left out: their distances are zero but for rounding.
    ranks = spearmanr(nearest(exact[10:], prototypes), nearest(rounded[10:], prototypes))
    assert ranks.statistic >= 0.999


def test_grey_and_transparent_images_pass_the_whole_way(tmp_path):
    loaded = encoder(save(build(config_of("convnext")), tmp_path))
    modes = [PICTURES[0].convert(mode) for mode in ("L", "RGB", "RGBA", "1", "CMYK", "P", "LA")]
    features = run(loaded, modes)
    assert features.shape == (7, 12)
    assert bool(features.isfinite().all())
    assert np.allclose(features[1], features[2], atol=1e-5)
