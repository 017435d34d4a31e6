import argparse
import hashlib
import json
import pickle

import pytest
import torch
from safetensors.torch import save_file

from hf_prune.models.checkpoints import convert_resnet, read_state_dict, state_digest, weight_files
from hf_prune.models.load import load_encoder, load_teacher
from hf_prune.models.sources import files_digest
from hf_prune.runtime.integrity import file_sha256
from tests.helpers.tiny_models import images, run
from tests.helpers.torchvision_resnet import make

PICTURES = images(3)
LAYOUTS = {
    "resnet18": {"depths": (2, 2, 2, 2), "bottleneck": False},
    "resnet50": {"depths": (3, 4, 6, 3)},
    "resnet50w2": {"depths": (3, 4, 6, 3), "width": 8},
}
SMALL = {"depths": (1, 1, 1, 1)}


def write(state, path):
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def behind(prefix, state):
    return {f"{prefix}{key}": value for key, value in state.items()}


def swav(state):
    """SwAV's release: no fc, projection head and prototypes of its own, everything wrapped for distributed training."""
    body = {key: value for key, value in state.items() if not key.startswith("fc.")}
    heads = {"projection_head.0.weight": torch.ones(2, 2), "prototypes.weight": torch.ones(3, 2)}
    return behind("module.", body | heads)


def dino(state):
    """DINO's full training checkpoint: two networks, the optimizer and the parsed command line."""
    body = {key: value for key, value in state.items() if not key.startswith("fc.")}
    head = {"head.mlp.0.weight": torch.ones(2, 2), "head.last_layer.weight_g": torch.ones(2, 1)}
    student = behind(
        "module.", {key: torch.zeros_like(value) for key, value in (behind("backbone.", body) | head).items()}
    )
    return {
        "student": student,
        "teacher": behind("backbone.", body) | head,
        "optimizer": {"state": {}, "param_groups": []},
        "epoch": 3,
        "args": argparse.Namespace(arch="resnet50"),
    }


@pytest.mark.parametrize("name", LAYOUTS)
def test_features_and_logits_equal_the_torchvision_layout(name, tmp_path):
    reference = make(**LAYOUTS[name])
    path = write(reference.state_dict(), tmp_path / "resnet.safetensors")
    encoder = load_encoder(path, dtype="float32", image_size=64)
    pixels = encoder.collate(PICTURES)["pixel_values"]
    assert pixels.shape == (3, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(run(encoder, PICTURES), reference.features(pixels), atol=1e-4, rtol=1e-4)
        teacher = load_teacher(path, dtype="float32", image_size=64)
        torch.testing.assert_close(run(teacher, PICTURES), reference(pixels), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("wrap", [dict, swav, dino, lambda state: {"state_dict": behind("module.", state)}])
def test_published_wrappings_open_alike(wrap, tmp_path):
    reference = make(**SMALL)
    path = write(wrap(reference.state_dict()), tmp_path / "checkpoint.pth.tar")
    encoder = load_encoder(path, dtype="float32", image_size=64, allow_pickle=True)
    with torch.inference_mode():
        expected = reference.features(encoder.collate(PICTURES)["pixel_values"])
    torch.testing.assert_close(run(encoder, PICTURES), expected, atol=1e-4, rtol=1e-4)


def test_the_identity_of_a_file_is_its_digest(tmp_path):
    path = write(make(**SMALL).state_dict(), tmp_path / "a.safetensors")
    identity = load_encoder(path, dtype="float32").identity
    assert (identity["kind"], identity["id"], identity["output"]) == ("torch", "ResNetModel", "pooled")
    assert identity["weights_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert identity["preprocessing"]["size"] == {"shortest_edge": 256}
    assert str(tmp_path) not in str(identity)


def test_heads_are_left_out_and_everything_else_is_used():
    state = swav(make(**SMALL).state_dict())
    converted = convert_resnet(state)
    heads = {"module.projection_head.0.weight", "module.prototypes.weight"}
    assert len(converted.weights) == len(state.keys() - heads) == len(state) - 2
    assert converted.settings["layer_type"] == "bottleneck"
    assert converted.settings["depths"] == [1, 1, 1, 1]
    assert converted.classifier == {}


@pytest.mark.parametrize(
    ("depths", "bottleneck"), [((3, 4, 6, 3), False), ((3, 4, 23, 3), True), ((3, 8, 36, 3), True)]
)
def test_deeper_networks_are_recognised_by_their_keys(depths, bottleneck):
    settings = convert_resnet(make(depths, bottleneck=bottleneck).state_dict()).settings
    assert settings["depths"] == list(depths)
    assert settings["layer_type"] == ("bottleneck" if bottleneck else "basic")


def test_old_files_without_batch_counters_open():
    state = {key: value for key, value in make(**SMALL).state_dict().items() if "num_batches" not in key}
    assert convert_resnet(state).settings["embedding_size"] == 4


def drop(key):
    return lambda state: {name: value for name, value in state.items() if name != key}


def widen(state):
    """The bottleneck of torchvision's wide_resnet50_2 is twice as wide, which no ResNetConfig describes."""
    return {
        key: torch.cat([value, value]) if key == "layer1.0.conv1.weight" else value for key, value in state.items()
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("layer2.0.bn2.running_var"), "missing 'encoder.stages.1.layers.0.layer.1.normalization.running_var'"),
        (drop("conv1.weight"), "lacks conv1"),
        (lambda state: state | {"layer5.0.conv1.weight": torch.ones(1)}, "key 'layer5.0.conv1.weight' is not one of"),
        (lambda state: state | {"layer1.0.conv1.bias": torch.ones(4)}, "surplus"),
        (widen, "fits no ResNetModel .*wide"),
        (lambda state: state | {"conv1.weight": torch.ones(4, 3, 3, 3)}, "small-image"),
    ],
    ids=["missing", "no stem", "unknown", "surplus", "wide", "small stem"],
)
def test_what_does_not_fit_is_named_in_one_line(change, message):
    with pytest.raises(ValueError, match=message) as caught:
        convert_resnet(change(make(**SMALL).state_dict()))
    assert "\n" not in str(caught.value)


def test_a_teacher_needs_the_last_layer(tmp_path):
    path = write(swav(make(**SMALL).state_dict()), tmp_path / "swav.safetensors")
    with pytest.raises(ValueError, match=r"no trained classification head \(classifier\.1\.bias"):
        load_teacher(path).open(torch.device("cpu"))


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".pth.tar", ".ckpt", ".bin"])
def test_pickles_are_refused_before_they_are_read(suffix, tmp_path):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"never read")
    with pytest.raises(ValueError, match="allow_pickle=True") as caught:
        load_encoder(path)
    assert "\n" not in str(caught.value)


class Code:
    def __reduce__(self):
        return (print, ("this must never be printed",))


def test_code_in_a_pickle_is_not_run(tmp_path, capsys):
    path = tmp_path / "evil.pth"
    torch.save({"state_dict": Code()}, path)
    with pytest.raises(ValueError, match="cannot be read with weights_only=True") as caught:
        read_state_dict(path, allow_pickle=True)
    assert "\n" not in str(caught.value)
    path.write_bytes(pickle.dumps(Code(), protocol=2))
    with pytest.raises(ValueError, match="cannot be read with weights_only=True"):
        read_state_dict(path, allow_pickle=True)
    assert "never" not in capsys.readouterr().out


def test_a_file_without_a_state_dict_is_refused(tmp_path):
    path = write({"epoch": 3}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="holds no state dict"):
        read_state_dict(path, allow_pickle=True)


def test_state_digest_sees_names_types_shapes_and_bytes():
    layer = torch.nn.Linear(2, 3, bias=False)
    before = state_digest(layer)
    assert before == state_digest(layer)
    changed = torch.nn.Linear(2, 3, bias=False)
    changed.weight.data = layer.weight.data.clone()
    assert state_digest(changed) == before
    changed.weight.data[0, 0] += 1
    assert state_digest(changed) != before
    changed.weight.data = layer.weight.data.reshape(2, 3)
    assert state_digest(changed) != before
    assert state_digest(torch.nn.Sequential(layer)) != before
    assert state_digest(torch.nn.Linear(2, 3, bias=False).to(torch.bfloat16)) != before
    assert len(state_digest(torch.nn.Identity())) == 64


def test_weight_files_prefer_safetensors_and_find_shards(tmp_path):
    with pytest.raises(OSError, match="no weights in"):
        weight_files(tmp_path, allow_pickle=True)
    (tmp_path / "pytorch_model.bin").write_bytes(b"b")
    with pytest.raises(ValueError, match="pickled"):
        weight_files(tmp_path, allow_pickle=False)
    assert weight_files(tmp_path, allow_pickle=True) == [tmp_path / "pytorch_model.bin"]
    shards = [sharded(tmp_path, f"model-0000{i}-of-00002.safetensors") for i in (1, 2)]
    assert weight_files(tmp_path, allow_pickle=True) == shards
    digest = files_digest(shards, tmp_path)
    lines = "".join(f"{file_sha256(shard)}  {shard.name}\n" for shard in shards)
    assert digest == files_digest(reversed(shards), tmp_path) == hashlib.sha256(lines.encode()).hexdigest()
    save_file({"w": torch.ones(3)}, shards[1])
    assert files_digest(shards, tmp_path) != digest


def sharded(folder, name, value=0.0):
    """Add a shard and its entry in the index."""
    folder.mkdir(exist_ok=True)
    index = folder / "model.safetensors.index.json"
    known = json.loads(index.read_bytes()) if index.exists() else {"metadata": {}, "weight_map": {}}
    known["weight_map"][f"w{len(known['weight_map'])}"] = name
    index.write_text(json.dumps(known))
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    save_file({"w": torch.full((2,), value)}, folder / name)
    return folder / name


def test_shards_are_those_of_the_index_wherever_they_lie(tmp_path):
    digests = set()
    for value in (0.0, 1.0):
        folder = tmp_path / str(value)
        shards = [sharded(folder, f"parts/model-{i}.safetensors", value) for i in (1, 2)]
        (folder / "model-00001-of-00002.safetensors").write_bytes(b"left over from another model")
        assert weight_files(folder, allow_pickle=False) == shards
        digests.add(files_digest(shards, folder))
    assert len(digests) == 2
    shards[1].unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks model-2\.safetensors, which its index lists"):
        weight_files(folder, allow_pickle=False)
    with pytest.raises(ValueError, match="no files to digest"):
        files_digest([], folder)


@pytest.mark.parametrize("name", ["../other/model.safetensors", "/etc/passwd"])
def test_no_index_reaches_out_of_the_folder(name, tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(ValueError, match="lies outside: give a folder of one model"):
        weight_files(tmp_path, allow_pickle=False)
    with pytest.raises((OSError, ValueError), match=r"no weights in|lies outside"):
        weight_files(tmp_path / "none", allow_pickle=False, named=name)


@pytest.mark.parametrize("text", ["{}", "[]", "no json", '{"weight_map": {}}', '{"weight_map": 3}'])
def test_a_damaged_index_is_one_line(text, tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(ValueError, match=r"index\.json' .*: download it again") as caught:
        weight_files(tmp_path, allow_pickle=False)
    assert "\n" not in str(caught.value)


def test_the_file_that_a_config_names_is_the_one_that_is_read(tmp_path):
    for name in ("model.safetensors", "ema.safetensors"):
        save_file({"w": torch.ones(1)}, tmp_path / name)
    found = weight_files(tmp_path, allow_pickle=False, named="ema.safetensors")
    assert found == [tmp_path / "ema.safetensors"]


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_placeholder_of_git_lfs_is_no_weight_file(suffix, tmp_path):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(POINTER)
    with pytest.raises(ValueError, match="is a placeholder of Git LFS, not the weights: run 'git lfs pull'") as caught:
        load_encoder(path, allow_pickle=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [0, 4, 9, 40, -1])
def test_a_cut_off_file_is_noticed_before_anything_is_computed(kept, tmp_path):
    path = write({"w": torch.ones(50)}, tmp_path / "w.safetensors")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"w\.safetensors' are damaged or cut off .*: download them again") as caught:
        load_encoder(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", bytes(64), b"\x80\x02."])
def test_a_damaged_pickle_is_one_line(content, tmp_path):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(
        ValueError, match=r"w\.pth' cannot be read with weights_only=True|holds no state dict"
    ) as caught:
        read_state_dict(tmp_path / "w.pth", allow_pickle=True)
    assert "\n" not in str(caught.value)


def test_a_file_written_between_its_digest_and_its_opening_gives_no_values(tmp_path):
    path = write(make(**SMALL).state_dict(), tmp_path / "w.safetensors")
    loaded = load_encoder(path, image_size=32)
    write({name: value + 1 for name, value in make(**SMALL).state_dict().items()}, path)
    with pytest.raises(ValueError, match=r"w\.safetensors' was changed while the model was opened"):
        run(loaded, PICTURES)
