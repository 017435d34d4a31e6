import json
import logging as python_logging
import socket

import numpy as np
import pytest
import safetensors.numpy
import transformers
from transformers.utils import is_timm_available, is_torchvision_available, logging

from hf_prune.models.load import load_encoder
from hf_prune.models.sources import find_files, hub_answers, quiet_loading
from tests.helpers.tiny_models import build, config_of, images, processor, run, save


def one_line(caught):
    assert "\n" not in str(caught.value)


def folder_with(tmp_path, config, preprocessor=None):
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(safetensors.numpy.save({"never": np.zeros(1)}))
    if preprocessor is not None:
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return tmp_path


@pytest.mark.parametrize("name", ["someone/no-such-model", "no-such-model", "/no/such/folder", "not a valid id/x"])
def test_a_missing_model_says_what_was_looked_for_and_what_to_do(name):
    with pytest.raises(
        OSError, match=f"no model '{name}': no such folder, and the Hub says: .* local folder"
    ) as caught:
        load_encoder(name)
    one_line(caught)


def test_a_folder_without_a_model_or_with_a_revision_is_refused(tmp_path):
    with pytest.raises(OSError, match=r"no config\.json in") as caught:
        load_encoder(tmp_path)
    one_line(caught)
    with pytest.raises(ValueError, match="revision='main' is for models of the Hub"):
        load_encoder(folder_with(tmp_path, {"model_type": "vit"}), revision="main")


def test_remote_code_is_never_run(tmp_path):
    (tmp_path / "own.py").write_text("raise SystemExit('the code was run')")
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}
    with pytest.raises(ValueError, match=r"needs code from its repository.*pass \(module, transform\)") as caught:
        load_encoder(folder_with(tmp_path, own))
    one_line(caught)
    # Where transformers has a class of its own for the model, that one is used in place of the repository's.
    preprocessor = {"image_processor_type": "Own", "auto_map": {"AutoImageProcessor": "own.Processor"}}
    loaded = load_encoder(folder_with(tmp_path, {"model_type": "vit"}, preprocessor))
    assert loaded.identity["preprocessing"]["image_processor_type"] == "ViTImageProcessor"


def test_an_unknown_model_type_is_named(tmp_path):
    with pytest.raises(ValueError, match="has model type 'from-tomorrow', unknown to this version") as caught:
        load_encoder(folder_with(tmp_path, {"model_type": "from-tomorrow"}))
    one_line(caught)


def test_a_language_model_is_no_encoder(tmp_path):
    with pytest.raises(ValueError, match=r"\(bert\) does not take images"):
        load_encoder(folder_with(tmp_path, {"model_type": "bert"}))


def test_a_model_without_an_image_processor_says_so(tmp_path):
    with pytest.raises(OSError, match=r"no preprocessor_config.json.*pass \(module, transform\)") as caught:
        load_encoder(folder_with(tmp_path, {"model_type": "vit"}))
    one_line(caught)


def test_a_model_of_other_channels_is_refused(tmp_path):
    folder = folder_with(tmp_path, {"model_type": "vit", "num_channels": 1}, processor().to_dict())
    with pytest.raises(ValueError, match="images of 1 channels, not RGB"):
        load_encoder(folder)


@pytest.mark.skipif(is_torchvision_available(), reason="torchvision is installed, so nothing is missing")
def test_a_processor_that_needs_torchvision_names_the_extra(tmp_path):
    folder = folder_with(
        tmp_path, {"model_type": "dinov3_vit"}, {"image_processor_type": "DINOv3ViTImageProcessorFast"}
    )
    with pytest.raises(ImportError, match=r"needs torchvision: pip install torchvision") as caught:
        load_encoder(folder)
    one_line(caught)


@pytest.mark.skipif(is_timm_available(), reason="timm is installed, so nothing is missing")
@pytest.mark.parametrize(
    "config",
    [{"architecture": "resnet18", "pretrained_cfg": {"input_size": [3, 64, 64]}}, {"model_type": "timm_wrapper"}],
)
def test_a_timm_checkpoint_names_the_extra(config, tmp_path):
    with pytest.raises(ImportError, match=r"needs timm: pip install timm") as caught:
        load_encoder(folder_with(tmp_path, config))
    one_line(caught)


def test_pickled_weights_are_refused_unless_asked_for(tmp_path):
    import torch

    model = build(config_of("vit"))
    folder = save(model, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"are pickled, .*allow_pickle=True") as caught:
        load_encoder(folder)
    one_line(caught)
    loaded = load_encoder(folder, allow_pickle=True, dtype="float32")
    assert len(loaded.identity["weights_sha256"]) == 64
    weights = loaded.open(torch.device("cpu")).model.state_dict()
    assert torch.equal(weights["layernorm.weight"], model.state_dict()["layernorm.weight"])


def fail_quietly():
    with quiet_loading():
        assert logging.get_verbosity() == python_logging.ERROR
        assert not logging.is_progress_bar_enabled()
        raise KeyError


@pytest.mark.parametrize("bars", [True, False])
def test_silence_lasts_as_long_as_the_loading(bars):
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    try:
        logging.set_verbosity_info()
        (logging.enable_progress_bar if bars else logging.disable_progress_bar)()
        with pytest.raises(KeyError):
            fail_quietly()
        assert logging.get_verbosity() == python_logging.INFO
        assert logging.is_progress_bar_enabled() is bars
    finally:
        logging.set_verbosity(before[0])
        (logging.enable_progress_bar if before[1] else logging.disable_progress_bar)()


def test_loading_prints_nothing(tmp_path, capfd):
    import torch

    folder = save(transformers.ViTForImageClassification(config_of("vit")), tmp_path)
    capfd.readouterr()
    load_encoder(folder, dtype="float32").open(torch.device("cpu"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("with_config", [False, True])
def test_an_adapter_is_told_what_it_is(with_config, tmp_path):
    folder = folder_with(tmp_path, {"model_type": "vit"})
    if not with_config:
        (tmp_path / "config.json").unlink()
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "google/vit", "peft_type": "LORA"}')
    with pytest.raises(ValueError, match=r"is a PEFT adapter \(such as LoRA\) to 'google/vit'.*merge") as caught:
        load_encoder(folder)
    one_line(caught)
    (tmp_path / "adapter_config.json").write_text("[]")
    with pytest.raises(ValueError, match=r"is a PEFT adapter \(such as LoRA\), not a whole model"):
        load_encoder(folder)


def test_an_adapter_on_the_hub_is_told_what_it_is(tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    folder = tmp_path / "models--someone--lora" / "snapshots" / commit
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "google/vit"}')
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=r"'someone/lora' at revision '0.*' is a PEFT adapter .* to 'google/vit'"):
        load_encoder("someone/lora", revision=commit)


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("config.json", "{", "the config of .* is damaged"),
        ("config.json", '{"model_type": "vit", "hidden_size": "wide"}', "the config of .* cannot be used"),
        ("preprocessor_config.json", "{", "the image processor of .* is damaged"),
        ("preprocessor_config.json", '{"image_processor_type": "ViTImageProcessor", "size": 3.5}', "processor of"),
    ],
)
def test_damaged_settings_are_one_line(file, text, reason, tmp_path):
    folder = folder_with(tmp_path, {"model_type": "vit"}, {"image_processor_type": "ViTImageProcessor"})
    (tmp_path / file).write_text(text)
    with pytest.raises(ValueError, match=reason) as caught:
        load_encoder(folder)
    one_line(caught)


@pytest.fixture
def without_network(monkeypatch, tmp_path):
    """The Hub at an address where nobody answers, and no waiting."""

    def wait(seconds):
        raise AssertionError(f"waited {seconds} s for a network that is not there")

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", wait)
        yield tmp_path


@pytest.mark.usefixtures("without_network")
def test_a_hub_that_cannot_be_reached_is_one_line_at_once():
    assert not hub_answers("someone/tiny", "config.json")
    with pytest.raises(
        OSError, match=r"no model 'someone/tiny': .* the Hub cannot be reached, and the files"
    ) as caught:
        load_encoder("someone/tiny")
    one_line(caught)
    with pytest.raises(FileNotFoundError, match=r"no prototypes\.json of 'someone/tiny'.* the Hub cannot be reached"):
        find_files("someone/tiny", ["prototypes.json"])


def test_without_a_network_the_cache_is_used_and_what_it_lacks_is_one_line(without_network):
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = without_network / "models--someone--tiny"
    folder = repository / "snapshots" / commit
    save(build(config_of("vit")), folder)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    for revision in (None, commit):
        loaded = load_encoder("someone/tiny", revision=revision)
        assert loaded.identity["commit"] == commit
        assert run(loaded, images(2)).shape == (2, 16)
    (folder / "model.safetensors").unlink()
    with pytest.raises(OSError, match="cannot read the weights of 'someone/tiny'") as caught:
        run(load_encoder("someone/tiny"), images(2))
    one_line(caught)
