"""Settings of how models are opened and run, which all functions share."""

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from datasets import is_caching_enabled

from hf_prune.runtime.arguments import check_count, check_flag, check_path, check_side, check_text
from hf_prune.runtime.errors import InputTypeError


@dataclass(frozen=True)
class Run:
    """Settings of how models are opened and run; every function that runs models takes one as ``run=``.

    Attributes:
        batch_size: Images per batch and process.
        dtype: ``"auto"`` is bfloat16 where the hardware has it, else float32; or a name of either.
        image_size: Side in pixels instead of the one in the model's own preprocessing.
        revision: Branch, tag or commit of the models on the Hub.
        device: Such as ``"cuda:1"`` or ``"cpu"``; None leaves it to Accelerate.
        num_workers: Processes that decode images beside each that runs a model; 0 is a thread of it. None is the cores of
            this machine, shared by its processes, beside a GPU of NVIDIA's or AMD's, at most 16, and 0 elsewhere.
        load_from_cache_file: Whether to use and fill the cache; None follows ``datasets.disable_caching()``.
        cache_dir: Folder of the cache; None is ``$HF_HOME/hf_prune``.
        allow_pickle: Also load weights that are not safetensors.
        embedding_dtype: ``"float16"`` or ``"bfloat16"``, to which embeddings are rounded, so that they take half the room on
            disk; None leaves them as the encoder gives them.

    Raises:
        ValueError: If a value is none that it may be.

    Example:
        >>> Run(batch_size=256, device="cuda:1").batch_size
        256
        >>> Run(batch_size="64")
        Traceback (most recent call last):
        ...
        hf_prune.InputError: batch_size='64'; give a whole number of at least 1
    """

    batch_size: int = 64
    dtype: str = "auto"
    image_size: int | None = None
    revision: str | None = None
    device: str | None = None
    num_workers: int | None = None
    load_from_cache_file: bool | None = None
    cache_dir: str | Path | None = None
    allow_pickle: bool = False
    embedding_dtype: str | None = None

    def __post_init__(self) -> None:
        check_count("batch_size", self.batch_size, 1)
        check_text("dtype", self.dtype, "'auto', or the name of a type")
        check_side(self.image_size)
        if self.revision is not None:
            check_text("revision", self.revision, "a branch, tag or commit, or leave it out")
        if self.device is not None:
            check_text("device", self.device, "a device such as 'cuda:1' or 'cpu', or leave it out")
        if self.num_workers is not None:
            check_count("num_workers", self.num_workers, 0)
        if self.load_from_cache_file is not None:
            check_flag("load_from_cache_file", self.load_from_cache_file)
        if self.cache_dir is not None:
            check_path("cache_dir", self.cache_dir)
        check_flag("allow_pickle", self.allow_pickle)
        if self.embedding_dtype is not None:
            check_text("embedding_dtype", self.embedding_dtype, "'float16' or 'bfloat16', or leave it out")

    @classmethod
    def of(cls, run: Any) -> "Run":
        """Return what was given as ``run=``, the defaults for None, and raise a TypeError for anything else."""
        if run is None or isinstance(run, cls):
            return run or cls()
        raise InputTypeError(f"run={run!r}; give a hf_prune.Run, such as hf_prune.Run(batch_size=32)")

    @property
    def store_root(self) -> Path | None:
        """Return the folder where results of models are kept; None keeps them nowhere."""
        if not (is_caching_enabled() if self.load_from_cache_file is None else self.load_from_cache_file):
            return None
        if self.cache_dir is not None:
            return Path(self.cache_dir)
        from hf_prune.engine.store import default_root

        return default_root()


SETTINGS = tuple(field.name for field in fields(Run))


def check_no_settings(options: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise a one-line TypeError if a setting of `Run` stands among options of metrics, none of which has it."""
    for name in SETTINGS:
        if name in options and name not in known:
            raise InputTypeError(f"{name}= is a setting of the run: pass run=hf_prune.Run({name}={options[name]!r})")


def flat_parameters(function: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], dict[str, Any]]:
    """Return the parameters and type hints of a function by name, with the settings of `Run` in the place of ``run``.

    So a command line and a recipe have them, which know no such object.

    Example:
        >>> def embed(encoder: str, *, run: Run | None = None, seed: int = 0): ...
        >>> list(flat_parameters(embed)[0])[:3]
        ['encoder', 'batch_size', 'dtype']
    """
    hints = typing.get_type_hints(function)
    found: dict[str, inspect.Parameter] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if hints.get(name) == Run | None:
            own = inspect.signature(Run).parameters.values()
            found |= {setting.name: setting.replace(kind=setting.KEYWORD_ONLY) for setting in own}
            hints |= typing.get_type_hints(Run)
        else:
            found[name] = parameter
    return found, hints


def with_run(function: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Gather settings among the arguments of a function into ``run``, where it takes one; reverses `flat_parameters`."""
    if typing.get_type_hints(function).get("run") != Run | None:
        return dict(values)
    own = {name: value for name, value in values.items() if name in SETTINGS}
    rest = {name: value for name, value in values.items() if name not in SETTINGS}
    return rest | ({"run": Run(**own)} if own else {})
