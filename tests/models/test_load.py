import hashlib
from pathlib import Path

import pytest
import torch

import hf_prune
from hf_prune.data.history import provenance
from hf_prune.models.load import load_encoder, load_teacher
from tests.helpers.tiny_publications import images

TINY = Path(hf_prune.__file__).parent / "assets" / "tiny-encoder"


def one_line(caught):
    assert "\n" not in str(caught.value)


def test_a_bare_module_is_told_the_tuple_form():
    with pytest.raises(
        TypeError, match=r"Linear comes without its preprocessing: pass \(module, transform\)"
    ) as caught:
        load_encoder(torch.nn.Linear(1, 1))
    one_line(caught)


@pytest.mark.parametrize("encoder", [3, None, (), (torch.nn.Identity(),), ("pixels", str), torch.nn.Linear, {"a": 1}])
def test_what_is_no_model_is_told_the_forms(encoder):
    with pytest.raises(TypeError, match="give a Hub id, a local folder, a checkpoint file") as caught:
        load_encoder(encoder)
    one_line(caught)


@pytest.mark.parametrize("size", [0, -3, 1.5, True, "64", 8193, 60_000])
def test_image_size_is_a_positive_whole_number(size):
    with pytest.raises(ValueError, match=r"^image_size=.*; give a whole number in \[1, 8192\]$"):
        load_encoder("pixels", image_size=size)


def test_options_without_effect_are_refused(tmp_path):
    module = (torch.nn.Identity(), torch.as_tensor)
    with pytest.raises(ValueError, match="revision='x' does not apply to 'pixels'"):
        load_encoder("pixels", revision="x")
    with pytest.raises(ValueError, match="image_size=3 does not apply to a model of your own"):
        load_encoder(module, image_size=3)
    with pytest.raises(ValueError, match="revision='x' does not apply to a model of your own"):
        load_teacher(len, revision="x")
    (tmp_path / "w.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="does not apply to a checkpoint file"):
        load_encoder(tmp_path / "w.safetensors", revision="x")


@pytest.mark.parametrize("name", ["pixels", "tiny"])
def test_encoders_of_the_package_are_no_teachers_and_have_no_revision(name):
    with pytest.raises(ValueError, match=f"'{name}' gives no class logits"):
        load_teacher(name)
    with pytest.raises(ValueError, match=f"revision='main' does not apply to '{name}'"):
        load_encoder(name, revision="main")


def test_the_tiny_encoder_scores_offline_and_is_recorded_by_name_and_digest(tmp_path):
    run = hf_prune.Run(device="cpu", dtype="float32", cache_dir=tmp_path)
    scored = images(8).score_with("prototypes", encoder="tiny", num_prototypes=2, run=run)
    encoder = provenance(scored).steps[-1].inputs["embeddings"]["encoder"]
    digest = hashlib.sha256((TINY / "model.safetensors").read_bytes()).hexdigest()
    assert (encoder["id"], encoder["weights_sha256"], encoder["output"]) == ("tiny", digest, "pooled")
    assert str(TINY.parent) not in str(encoder)
    assert len(set(scored["prototypes"][:])) > 1


def test_the_tiny_encoder_tells_pictures_apart():
    model = load_encoder("tiny", dtype="float32", device="cpu")
    forward = model.open(torch.device("cpu"))
    with torch.inference_mode():
        found = forward(model.collate([row["image"] for row in images(8)]))
    assert found.shape == (8, 256)
    assert torch.isfinite(found).all()
    assert torch.pdist(found).min() > 0
    assert sum(file.stat().st_size for file in TINY.iterdir()) < 4 * 2**20


def test_an_unknown_dtype_is_refused_before_anything_is_read():
    with pytest.raises(ValueError, match="dtype='half' is not known"):
        load_encoder("no/such-model", dtype="half")
