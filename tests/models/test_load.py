import pytest
import torch

from hf_prune.models.load import load_encoder, load_teacher


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


def test_pixels_are_no_teacher():
    with pytest.raises(ValueError, match="'pixels' gives no class logits"):
        load_teacher("pixels")


def test_an_unknown_dtype_is_refused_before_anything_is_read():
    with pytest.raises(ValueError, match="dtype='half' is not known"):
        load_encoder("no/such-model", dtype="half")
