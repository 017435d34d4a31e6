"""The files of a model, in a folder or in one commit on the Hub: their digests, its config and its image processor.

Weights are not read here. Remote code is never run, one commit serves all files, and whatever is missing is named in one line.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from hf_prune.data.source import HTTP_ERROR, split_revision
from hf_prune.models.failures import first_line
from hf_prune.runtime.errors import InputError, MissingPackageError
from hf_prune.runtime.folders import recover
from hf_prune.runtime.integrity import check_digests, file_sha256

CHECKPOINT_SUFFIXES = (".safetensors", ".pth", ".pt", ".tar", ".ckpt", ".bin")
BY_HAND = "load it yourself and pass (module, transform)"
_ADAPTER = "adapter_config.json"
# What from_pretrained reads of a folder beside the weights.
_SETTINGS = ("config.json", "preprocessor_config.json", "processor_config.json")
UNREACHABLE = "the Hub cannot be reached, and the files are not in the cache of this machine"


class Unchanged:
    """Files whose digests make an identity, while a model is opened from them later; folders stand for the settings in them."""

    def __init__(self, *paths: Path) -> None:
        self._files = [file for path in paths for file in (_settings_files(path) if path.is_dir() else [path])]
        self._seen = self._look()

    def _look(self) -> list[tuple[int, int, int]]:
        found = [file.stat() for file in self._files]
        return [(state.st_mtime_ns, state.st_size, state.st_ino) for state in found]

    def check(self) -> None:
        """Raise a one-line ValueError if one was written since: what was read may belong to another digest."""
        for file, before, now in zip(self._files, self._seen, self._look(), strict=True):
            if before != now:
                raise InputError(f"{str(file)!r} was changed while the model was opened from it: run again")


@dataclasses.dataclass(frozen=True)
class Source:
    """The place of a model's files: a local folder, or a commit of a Hub repository.

    Args:
        place: What `from_pretrained` is given.
        label: How errors name it.
        commit: Commit hash on the Hub; None for a folder.
        folder: The folder; None for the Hub.
        offline: The Hub cannot be reached, so that only its cache is asked.
        digests: File in the folder → its SHA-256, of those that were compared with what was finished there.
        unchanged: Config and weights of the folder, as they were before they were digested.
    """

    place: str
    label: str
    commit: str | None = None
    folder: Path | None = None
    offline: bool = False
    digests: Mapping[str, str] = dataclasses.field(default_factory=dict)
    unchanged: Unchanged = dataclasses.field(default_factory=Unchanged)

    @property
    def keywords(self) -> dict[str, Any]:
        """Keyword arguments of every `from_pretrained` call: one commit for all files, and no remote code."""
        found: dict[str, Any] = {"trust_remote_code": False}
        if self.commit is not None:
            found["revision"] = self.commit
        if self.offline:
            found["local_files_only"] = True
        return found

    def digests_with(self, weights: list[Path]) -> dict[str, str]:
        """Return the digests of weights and settings in a folder, under their names in the identity of a model."""
        folder = self.folder or Path()
        files = {"weights_sha256": weights, "config_sha256": _settings_files(folder)}
        return {name: files_digest(paths, folder, self.digests) for name, paths in files.items()}


def files_digest(paths: Iterable[Path], folder: Path, known: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return one SHA-256 for some files of a model: the file's own for one, over names and digests for several.

    Args:
        paths: The files, at least one.
        folder: The model's folder, from which their names are counted.
        known: Name of a file → its SHA-256, where it was just computed.

    Raises:
        ValueError: There are no files, whose digest would be the same for all models.
    """
    found = sorted(paths)
    if not found:
        raise InputError(f"no files to digest in {str(folder)!r}")
    names = [path.relative_to(folder).as_posix() for path in found]
    digests = [known.get(name) or file_sha256(path) for name, path in zip(names, found, strict=True)]
    if len(found) == 1:
        return digests[0]
    lines = "".join(f"{digest}  {name}\n" for digest, name in zip(digests, names, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def _settings_files(folder: Path) -> list[Path]:
    return [path for name in _SETTINGS if (path := folder / name).is_file()]


@contextlib.contextmanager
def quiet_loading() -> Iterator[None]:
    """Silence the load report and weight progress bar of `transformers`, then restore what the user had set."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    if bars:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def find_source(name: str | Path, revision: str | None) -> Source:
    """Find a model's files, in a local folder or on the Hub at one commit, without reading its weights.

    Raises:
        OSError: Nothing is there, or it cannot be reached.
        ValueError: `revision` was given for a folder, it is an adapter without its model, or a file in it is not the one that
            was finished there.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        return _find_on_hub(str(name), revision)
    if revision is not None:
        raise InputError(
            f"revision={revision!r} is for models of the Hub, {str(name)!r} is a local folder: leave it out"
        )
    if (folder / _ADAPTER).is_file():
        raise _refuse_adapter(repr(str(name)), folder / _ADAPTER)
    if not (folder / "config.json").is_file():
        raise OSError(f"no config.json in {str(name)!r}: give a folder written by save_pretrained")
    weights = sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin") and path.is_file())
    unchanged = Unchanged(folder, *weights)
    # Those of the model; the record of a training beside it has its own.
    digests = check_digests(folder, only=lambda path: "/" not in path)
    return Source(str(folder), repr(str(name)), folder=folder, digests=digests, unchanged=unchanged)


def _refuse_adapter(label: str, config_file: Path) -> ValueError:
    """Return the error for the weights of a fine-tuning by PEFT, which change those of another model."""
    try:
        base = json.loads(config_file.read_bytes())["base_model_name_or_path"]
    except (ValueError, KeyError, TypeError):
        base = None
    of = f" to {str(base)!r}" if base else ""
    return InputError(
        f"{label} is a PEFT adapter (such as LoRA){of}, not a whole model: merge the two, "
        "model.merge_and_unload().save_pretrained(folder), and give that folder"
    )


def _find_on_hub(name: str, revision: str | None) -> Source:
    """Resolve a Hub id and revision to a commit and download config.json where it is not in the cache."""
    from transformers.utils import is_peft_available
    from transformers.utils.hub import extract_commit_hash

    label = f"{name!r}{f' at revision {revision!r}' if revision else ''}"
    offline = not hub_answers(name, "config.json", revision)
    config_file, reason = _file_on_hub(name, "config.json", revision, offline)
    # Where PEFT is installed, transformers would put an adapter beside the config into the model.
    if config_file is None or is_peft_available():
        adapter, _ = _file_on_hub(name, _ADAPTER, revision, offline)
        if adapter is not None:
            raise _refuse_adapter(label, adapter)
    if config_file is None:
        raise OSError(
            f"no model {label}: no such folder, and the Hub says: {reason}; check the name and the network "
            "(HF_HUB_OFFLINE, `hf auth login` for gated models), or give a local folder"
        )
    commit = extract_commit_hash(str(config_file), None)
    return Source(name, label, commit=commit, offline=offline)


def _file_on_hub(name: str, file: str, revision: str | None, offline: bool) -> tuple[Path | None, str]:
    """Return a file of a repository, from the cache or else from the Hub; or why there is none."""
    from transformers.utils.hub import cached_file

    try:
        found = cached_file(name, file, revision=revision, local_files_only=offline)
    except (OSError, ValueError) as error:  # ValueError: the name is no valid Hub id
        return None, UNREACHABLE if offline else first_line(error).rstrip(".:")
    return (None, f"it has no {file}") if found is None else (Path(found), "")


def hub_answers(repo_id: str, file: str, revision: str | None = None, token: str | None = None) -> bool:
    """Ask the Hub once for a file, which need not exist, without waiting for a network that is not there.

    The client itself asks six times, within half a minute, before it says that a file is neither in its cache nor to be had.

    Returns:
        False where no server can be reached, or ``HF_HUB_OFFLINE`` is set; True for any answer.
    """
    try:
        url = hf_hub_url(repo_id, file, revision=revision)
        get_hf_file_metadata(url, token=token, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except HfHubHTTPError:
        return True
    except (HTTP_ERROR, OfflineModeIsEnabled):
        return False
    except ValueError:  # no valid id: who asks for the file says so
        return True
    return True


def find_files(
    name: str | Path, files: Sequence[str], revision: str | None = None, token: str | None = None
) -> tuple[list[Path], str | None]:
    """Find files of one commit in a folder or repository of the Hub; ``id@revision`` is one with its ``revision``.

    Returns:
        Where they are, and the commit; None for a folder.

    Raises:
        FileNotFoundError: If one is not there.
        ValueError: If the name and ``revision`` disagree.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        recover(folder)
        missing = [file for file in files if not (folder / file).is_file()]
        if missing:
            raise FileNotFoundError(f"{str(name)!r} has no {missing[0]}: give a folder that save_pretrained wrote")
        return [folder / file for file in files], None
    repo_id, commit = split_revision(str(name), revision)
    found: list[Path] = []
    try:
        offline = not hub_answers(repo_id, files[0], commit, token)
        for file in files:
            found.append(Path(hf_hub_download(repo_id, file, revision=commit, token=token, local_files_only=offline)))
            commit = found[0].parent.name  # of the first: all files are of one
    except (EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        reason = UNREACHABLE if isinstance(error, LocalEntryNotFoundError) else first_line(error)
        raise FileNotFoundError(
            f"no {files[len(found)]} of {str(name)!r}, as a folder or on the Hub: {reason}"
        ) from error
    return found, commit


def read_config(source: Source) -> Any:
    """Read the config of a model with `transformers`.

    Raises:
        ImportError: A timm checkpoint, and timm is not installed.
        ValueError: The model needs code from its repository, or a newer `transformers`.
    """
    from transformers import CONFIG_MAPPING, AutoConfig, PretrainedConfig
    from transformers.utils import is_timm_available

    import hf_prune.models.small_resnet  # noqa: F401  # enters the package's own network into CONFIG_MAPPING

    try:
        settings, _ = PretrainedConfig.get_config_dict(source.place, **source.keywords)
    except OSError as error:
        raise InputError(f"the config of {source.label} is damaged: {first_line(error)}") from error
    model_type = settings.get("model_type")
    if model_type == "timm_wrapper" or "pretrained_cfg" in settings:
        if not is_timm_available():
            raise MissingPackageError(f"{source.label} is a timm checkpoint and needs timm: pip install timm")
    elif model_type not in CONFIG_MAPPING:
        if "auto_map" in settings:
            raise InputError(f"{source.label} needs code from its repository, which is never run here: {BY_HAND}")
        raise InputError(
            f"{source.label} has model type {model_type!r}, unknown to this version of transformers: {BY_HAND}"
        )
    try:
        with quiet_loading():
            return AutoConfig.from_pretrained(source.place, **source.keywords)
    except Exception as error:  # each config checks its entries in its own way
        raise InputError(f"the config of {source.label} cannot be used ({first_line(error)}): {BY_HAND}") from error


def read_processor(source: Source, config: Any) -> Any:
    """Read the image processor of a model with `transformers`, with the PIL backend.

    Raises:
        ImportError: The processor exists only for torchvision, which is not installed.
        OSError: The model has no image processor.
        ValueError: The model does not take RGB images, or its processor is code from its repository.
    """
    from transformers import AutoImageProcessor
    from transformers.utils import is_torchvision_available

    channels = getattr(getattr(config, "vision_config", config), "num_channels", 3)
    if channels != 3:
        raise InputError(f"{source.label} takes images of {channels} channels, not RGB: {BY_HAND}")
    try:
        with quiet_loading():
            return AutoImageProcessor.from_pretrained(source.place, backend="pil", config=config, **source.keywords)
    except OSError as error:
        if "valid JSON" in str(error):
            raise InputError(f"the image processor of {source.label} is damaged: {first_line(error)}") from error
        raise OSError(f"{source.label} has no preprocessor_config.json, so it is no image model: {BY_HAND}") from error
    except (ImportError, ValueError) as error:
        if "torchvision" in str(error).lower() and not is_torchvision_available():
            raise MissingPackageError(
                f"the image processor of {source.label} needs torchvision: pip install torchvision"
            ) from error
        raise InputError(
            f"the image processor of {source.label} cannot be opened ({first_line(error)}): {BY_HAND}"
        ) from error
