"""Weight files: the rule about pickles, and ResNets in torchvision's layout as models of `transformers`.

SwAV and DINO published ResNet-50 checkpoints as torch files whose keys are torchvision's. They open here as `ResNetModel`:
the config is inferred from the shapes, and every key is either used or ignored by name.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hf_prune.models.failures import first_line
from hf_prune.runtime.errors import InputError

_SAFE = ("model.safetensors", "model.safetensors.index.json")
_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_LFS_POINTER = b"version https://git-lfs.github.com/"
# Where full training checkpoints keep the network; DINO's teacher is the one that its authors evaluate.
_CONTAINERS = ("teacher", "student", "state_dict", "model")
_PREFIXES = ("module.", "backbone.")
_HEADS = ("projection_head.", "prototypes", "head.")
_TORCHVISION_KEY = re.compile(
    r"(?P<stem>conv1|bn1)\.(?P<stem_leaf>\w+)"
    r"|layer(?P<stage>[1-4])\.(?P<block>\d+)\.(?:(?P<kind>conv|bn)(?P<number>[1-3])|downsample\.(?P<shortcut>[01]))\.(?P<leaf>\w+)"
    r"|fc\.(?P<fc_leaf>weight|bias)"
)


@dataclasses.dataclass(frozen=True)
class ResNetCheckpoint:
    """A torchvision ResNet in the names of `transformers`.

    Args:
        settings: Keyword arguments of `ResNetConfig`.
        weights: State dict of `ResNetModel`, without the classifier.
        classifier: `weight` (classes, d) and `bias` (classes,) of the last layer; empty where there is none.
    """

    settings: dict[str, Any]
    weights: dict[str, torch.Tensor]
    classifier: dict[str, torch.Tensor]


def state_digest(module: torch.nn.Module) -> str:
    """Return the SHA-256 over a module's state dict, names, dtypes, shapes and bytes: the same on every device.

    Examples:
        >>> layer = torch.nn.Linear(1, 1)
        >>> state_digest(layer) == state_digest(layer)
        True
    """
    digest = hashlib.sha256()
    for name, value in module.state_dict(keep_vars=True).items():
        if not isinstance(value, torch.Tensor):  # extra state of a module's own making
            digest.update(f"{name}:{value!r}\n".encode())
            continue
        digest.update(f"{name}:{value.dtype}:{tuple(value.shape)}\n".encode())
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def refuse_pickle(name: str) -> ValueError:
    """Return the error for weights that exist only as a pickle."""
    return InputError(
        f"the weights of {name} are pickled, and reading a pickle can run code: convert them to safetensors, "
        "or give allow_pickle=True (they are then read with weights_only=True)"
    )


def weight_files(folder: Path, *, allow_pickle: bool, named: str | None = None) -> list[Path]:
    """Find the weight files that `transformers` would read in a local folder, and check their headers.

    Args:
        folder: Folder of a saved model.
        allow_pickle: Accept `pytorch_model.bin` where there is no safetensors file.
        named: The file that the config names (``transformers_weights``), in place of the usual ones.

    Returns:
        One file, or the shards that the index lists, wherever below the folder they lie.

    Raises:
        OSError: No weight file is there, or a shard is missing.
        ValueError: The weights are pickled and `allow_pickle` is False, or a file is damaged.
    """
    safe = _SAFE if named is None else (named,)
    for names, allowed in ((safe, True), (_PICKLED, allow_pickle)):
        found = [_below(folder, name) for name in names if (folder / name).is_file()]
        if found and not allowed:
            raise refuse_pickle(repr(str(folder)))
        if found:
            files = _shards(found[0], folder) if found[0].suffix == ".json" else found[:1]
            for file in files:
                check_weights(file)
            return files
    raise OSError(
        f"no weights in {str(folder)!r}: looked for {', '.join(safe + _PICKLED)}; save the model there first"
    )


def _shards(index: Path, folder: Path) -> list[Path]:
    """Return the files that an index lists, which may lie in folders below."""
    try:
        names = sorted({str(name) for name in json.loads(index.read_bytes())["weight_map"].values()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{str(index)!r} is no index of weight files: download it again") from error
    if not names:
        raise InputError(f"{str(index)!r} lists no weight files: download it again")
    files = [_below(folder, name) for name in names]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise FileNotFoundError(f"{str(folder)!r} lacks {missing[0].name}, which its index lists: download it again")
    return files


def _below(folder: Path, name: str) -> Path:
    """Return a file that an index or a config names, if it lies in the model's folder."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise InputError(
            f"{str(folder)!r} names {name!r} as its weights, which lies outside: give a folder of one model"
        )
    return folder / name


def check_weights(path: Path) -> None:
    """Raise a one-line ValueError if a file is Git's placeholder, or a safetensors file whose header and length disagree."""
    from safetensors import SafetensorError, safe_open

    with path.open("rb") as file:
        if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise InputError(
                f"{str(path)!r} is a placeholder of Git LFS, not the weights: run 'git lfs pull' in its folder, "
                "or download the file itself"
            )
    if path.suffix != ".safetensors":
        return
    try:
        with safe_open(path, framework="np"):
            pass
    except SafetensorError as error:
        raise InputError(
            f"the weights {str(path)!r} are damaged or cut off ({' '.join(str(error).split())}): download them again"
        ) from error


def read_state_dict(path: Path, *, allow_pickle: bool) -> dict[str, torch.Tensor]:
    """Read the state dict of a safetensors or torch file; of a full training checkpoint, that of its network (DINO: the teacher).

    A ValueError refuses a pickle without `allow_pickle`, and a file without a state dict.
    """
    check_weights(path)
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    if not allow_pickle:
        raise refuse_pickle(repr(str(path)))
    try:
        # Training checkpoints of DINO and others hold the parsed command line: attributes only, no code.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        raise InputError(f"{str(path)!r} cannot be read with weights_only=True: {first_line(error)}") from error
    inner = next((content[name] for name in _CONTAINERS if isinstance(content, Mapping) and name in content), content)
    if not isinstance(inner, Mapping) or not all(isinstance(value, torch.Tensor) for value in inner.values()):
        raise InputError(
            f"{str(path)!r} holds no state dict: pass (module, transform) with the weights loaded yourself"
        )
    return dict(inner)


def convert_resnet(state: Mapping[str, torch.Tensor]) -> ResNetCheckpoint:
    """Rename a torchvision ResNet's weights to those of `ResNetModel` and infer its config.

    Args:
        state: State dict with torchvision's keys, possibly behind `module.` or `backbone.`, possibly with projection heads.

    Returns:
        Config and weights. Stride-2 convolutions are the 3x3 ones, as in torchvision.

    Raises:
        ValueError: A key is unknown or missing, or the shapes fit no `ResNetModel`.
    """
    weights: dict[str, torch.Tensor] = {}
    classifier: dict[str, torch.Tensor] = {}
    plain = {_strip(key): (key, value) for key, value in state.items()}
    bottleneck = "layer1.0.conv3.weight" in plain
    for name, (key, value) in plain.items():
        match = _TORCHVISION_KEY.fullmatch(name)
        if name.startswith(_HEADS):  # projection heads and prototypes are left out
            continue
        if match is None:
            raise InputError(f"key {key!r} is not one of a torchvision ResNet: pass (module, transform) instead")
        if match["fc_leaf"]:
            classifier[match["fc_leaf"]] = value
        else:
            weights[_rename(match)] = value
    settings = _infer_settings(weights, bottleneck=bottleneck)
    _check(settings, weights)
    return ResNetCheckpoint(settings, weights, classifier)


def _strip(key: str) -> str:
    """Remove wrappers of distributed training and multi-crop from the front of a key."""
    while key.startswith(_PREFIXES):
        key = key.split(".", 1)[1]
    return key


def _rename(match: re.Match[str]) -> str:
    """Give one torchvision key the name that `ResNetModel` has for it."""
    if match["stem"]:
        part = "convolution" if match["stem"] == "conv1" else "normalization"
        return f"embedder.embedder.{part}.{match['stem_leaf']}"
    block = f"encoder.stages.{int(match['stage']) - 1}.layers.{match['block']}"
    if match["shortcut"]:
        part = "convolution" if match["shortcut"] == "0" else "normalization"
        return f"{block}.shortcut.{part}.{match['leaf']}"
    part = "convolution" if match["kind"] == "conv" else "normalization"
    return f"{block}.layer.{int(match['number']) - 1}.{part}.{match['leaf']}"


def _infer_settings(weights: Mapping[str, torch.Tensor], *, bottleneck: bool) -> dict[str, Any]:
    """Read depths and widths off the names and shapes."""
    stem = weights.get("embedder.embedder.convolution.weight")
    depths = [
        len({key.split(".")[4] for key in weights if key.startswith(f"encoder.stages.{stage}.")}) for stage in range(4)
    ]
    last = 2 if bottleneck else 1
    ends = [weights.get(f"encoder.stages.{stage}.layers.0.layer.{last}.convolution.weight") for stage in range(4)]
    if stem is None or any(end is None for end in ends):
        raise InputError("the checkpoint lacks conv1 or one of layer1 to layer4: it is no complete torchvision ResNet")
    return {
        "num_channels": stem.shape[1],
        "embedding_size": stem.shape[0],
        "hidden_sizes": [end.shape[0] for end in ends if end is not None],
        "depths": depths,
        "layer_type": "bottleneck" if bottleneck else "basic",
    }


def _check(settings: dict[str, Any], weights: Mapping[str, torch.Tensor]) -> None:
    """Compare names and shapes with the model that the settings describe."""
    from transformers import ResNetConfig, ResNetModel

    with torch.device("meta"):
        expected = ResNetModel(ResNetConfig(**settings)).state_dict()
    # Batch counters are absent from old files and mean nothing to a model that is not trained.
    missing = [key for key in expected if key not in weights and not key.endswith("num_batches_tracked")]
    surplus = [key for key in weights if key not in expected]
    if missing or surplus:
        raise InputError(
            f"the checkpoint fits no ResNetModel: {'missing' if missing else 'surplus'} {(missing or surplus)[0]!r}"
        )
    wrong = next((key for key in weights if weights[key].shape != expected[key].shape), None)
    if wrong is not None:
        found, wanted = tuple(weights[wrong].shape), tuple(expected[wrong].shape)
        raise InputError(
            f"the checkpoint fits no ResNetModel (grouped, wide-bottleneck or small-image ResNet?): {wrong!r} is {found}, "
            f"not {wanted}; pass (module, transform) instead"
        )
