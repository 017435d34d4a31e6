"""``score_with`` and ``prune`` as methods of the classes of `datasets`."""

from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

from hf_prune.api import prune, score_with
from hf_prune.runtime.messages import warn

_CLASSES = (Dataset, DatasetDict, IterableDataset, IterableDatasetDict)
_METHODS = {"score_with": score_with, "prune": prune}


def install() -> None:
    """Add ``score_with`` and ``prune`` to the classes of `datasets`, those of streams included; ``import hf_prune`` does it.

    The methods are the exported functions themselves. A name that a class already has from elsewhere is left alone,
    with a warning. Calling this again changes nothing.

    Example:
        >>> from datasets import Dataset
        >>> install()
        >>> Dataset.prune is prune
        True
    """
    for owner in _CLASSES:
        for name, function in _METHODS.items():
            present = getattr(owner, name, None)
            if present is None:
                setattr(owner, name, function)
            elif present is not function:
                warn(
                    f"{owner.__name__}.{name} belongs to somebody else and was left alone: call hf_prune.{name}(ds, …)"
                )


def uninstall() -> None:
    """Remove the methods from the classes of `datasets`; methods of the same name from elsewhere stay."""
    for owner in _CLASSES:
        for name, function in _METHODS.items():
            if owner.__dict__.get(name) is function:
                delattr(owner, name)
