"""Checkpoints of the Trainer that a killed training leaves behind: the one to go on from, and those to remove."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import transformers

from hf_prune.dynamics.training_folder import COMPLETE
from hf_prune.runtime.files import remove_stale_parts
from hf_prune.runtime.integrity import find_damage, write_digests
from hf_prune.runtime.messages import warn
from hf_prune.runtime.processes import barrier, check_alike, is_main_process

# While one checkpoint is being written, the one before must still be there.
KEEPING = {"save_strategy": "epoch", "save_total_limit": 2}
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


class MarkComplete(transformers.TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Marks each checkpoint when it is whole, with the digests of its files.

    To be the last callback, since others may add to a checkpoint.
    """

    def on_save(self, *given: Any, **_: Any) -> None:
        """Put the mark, once every process has come this far."""
        arguments, state = given[:2]
        barrier()
        if is_main_process():
            write_digests(Path(arguments.output_dir, f"checkpoint-{state.global_step}"), name=COMPLETE)


class RestoreWeights(transformers.TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Reads the weights of a checkpoint as `transformers` opens a saved model.

    The Trainer matches them by their names in the file, which are older ones for some families, such as ViT, and leaves
    first weights where none matches, with no more than a line in its log (transformers 5.23, #43701).
    """

    def __init__(self, checkpoint: Path) -> None:
        self._checkpoint = checkpoint

    def on_train_begin(self, *_given: Any, **given: Any) -> None:
        """Put the weights in place; the Trainer restores the random numbers later."""
        model = given["model"]
        saved = type(model).from_pretrained(self._checkpoint, dtype=model.dtype, use_safetensors=True)
        model.load_state_dict(saved.state_dict())


def last_checkpoint(folder: Path) -> Path | None:
    """Find the checkpoint to go on from and remove all others, such as one that was being written or is damaged.

    Returns:
        The complete checkpoint with the most steps, the same in every process; None where there is none.
    """
    if is_main_process():
        remove_stale_parts(folder)
        last = next(filter(_is_whole, reversed(_checkpoints(folder))), None)
        _remove(place for place in _checkpoints(folder) if place != last)
    barrier()
    places = _checkpoints(folder)
    check_alike({"the last checkpoint": places[-1].name if places else None})
    return places[-1] if places else None


def _is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint was finished and is what it was then; a mark of an earlier version has no digests."""
    if not (checkpoint / COMPLETE).is_file():
        return False
    damage = find_damage(checkpoint, COMPLETE)
    if damage is not None:
        warn(f"the checkpoint {checkpoint} is left out, and the training goes on from an earlier state: {damage}")
    return damage is None


def remove_checkpoints(folder: Path) -> None:
    """Remove all checkpoints; called by one process."""
    _remove(_checkpoints(folder))


def _checkpoints(folder: Path) -> list[Path]:
    """Return the folders of checkpoints by number of steps."""
    found = [(match, place) for place in folder.glob("checkpoint-*") if (match := _CHECKPOINT.fullmatch(place.name))]
    return [place for _, place in sorted(found, key=lambda pair: int(pair[0][1]))]


def _remove(places: Iterable[Path]) -> None:
    for place in places:
        (place / COMPLETE).unlink(missing_ok=True)  # first: a half-removed checkpoint is no complete one
        shutil.rmtree(place)
