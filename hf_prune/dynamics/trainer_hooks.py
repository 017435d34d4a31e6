"""Methods of a Trainer that are replaced once, whoever asks: its training batches carry row numbers as far as its own loss."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers.trainer_utils import get_last_checkpoint

from hf_prune.dynamics.numbered_rows import ROW_KEY, numbered_loader

_NAME = "hf_prune_hooks"  # attribute of a Trainer that holds its hooks


class TrainerHooks:
    """A Trainer whose training batches can carry row numbers, and the checkpoint that its training goes on from.

    What reads the numbers wraps ``compute_loss`` of the Trainer afterwards and leaves them in the batch: only the
    innermost method, which is here, takes them out. So several readers can be put around each other in any order.

    Attributes:
        numbered: Whether somebody reads the numbers; else batches have none.
        training: Whether ``trainer.train()`` is running.
        checkpoint: The folder that it resumes, or None.
    """

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        self.numbered = self.training = False
        self.checkpoint: Path | None = None
        self._compute_loss: Callable[..., Any] = trainer.compute_loss
        self._train: Callable[..., Any] = trainer.train
        self._make_loader: Callable[[], Any] = trainer.get_train_dataloader
        trainer.compute_loss = self.compute_loss
        trainer.train = self.train
        trainer.get_train_dataloader = self.get_train_dataloader
        setattr(trainer, _NAME, self)

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """Note which checkpoint is resumed, then train."""
        found = resume_from_checkpoint or None
        if found is True:
            found = get_last_checkpoint(self.trainer.args.output_dir)
        self.checkpoint = Path(found) if isinstance(found, str | Path) else None
        self.training = True
        try:
            return self._train(resume_from_checkpoint, *args, **kwargs)
        finally:
            self.training = False

    def get_train_dataloader(self) -> Any:
        """Make the Trainer's own loader, with row numbers in a training: a loop of the caller has no use for them."""
        if self.training and self.numbered:
            return numbered_loader(self.trainer, self._make_loader)
        return self._make_loader()

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute the Trainer's own loss, without the row numbers."""
        inputs.pop(ROW_KEY, None)
        return self._compute_loss(model, inputs, *args, **kwargs)


def hook(trainer: Any) -> TrainerHooks:
    """Return the hooks of a Trainer, put there by the first call."""
    return vars(trainer).get(_NAME) or TrainerHooks(trainer)
