"""Prototypes that are fitted on one data set, kept and published, and score the rows of any other."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from datasets import Dataset, Image
from huggingface_hub import CommitInfo
from numpy.typing import NDArray

from hf_prune.hub.card.model_card import prototypes_card
from hf_prune.hub.layout import README
from hf_prune.hub.models.repository import read_readme, send_model
from hf_prune.models.recorded import load_recorded_encoder
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.files import write_arrays
from hf_prune.runtime.folders import owned
from hf_prune.runtime.integrity import write_sealed
from hf_prune.runtime.messages import one_line
from hf_prune.scoring import Request, Run
from hf_prune.scoring.from_prototypes import ARRAYS, CONFIG, METRIC, FittedPrototypes, read_prototypes
from hf_prune.scoring.pool import unit
from hf_prune.scoring.prototypes import fit_as_scored, fit_prototypes

if TYPE_CHECKING:
    import torch

    from hf_prune.models.loaded_model import LoadedModel


@dataclasses.dataclass
class Prototypes(FittedPrototypes):
    """Prototypes of a data set in the embedding space of an encoder, as a function that scores rows.

    ``stream.map(prototypes, batched=True)`` adds the score to every row, of a ``Dataset`` and of a stream. For the rows it
    was fitted on the scores are those of ``ds.score_with("prototypes", ...)``, as far as the encoder gives an image the same
    embedding in batches of other sizes: pass the ``batch_size`` of the scoring to ``map`` as well.

    Scores that are published are pinned to published prototypes by ``ds.score_with("prototypes", prototypes=...)``: the
    history, the card and `hf-prune rebuild --rescore` then name and use these, where k-means would be run again. Rows that
    were scored without are pinned by ``Prototypes.from_scored(ds).push_to_hub(repo_id)`` and that call with ``overwrite=True``.

    Attributes:
        column: Name of the column that a call adds.
    """

    column: str = METRIC
    device: str | None = dataclasses.field(default=None, repr=False)
    _open: Any = dataclasses.field(default=None, init=False, repr=False)

    @classmethod
    def fit(
        cls,
        ds: Dataset,
        encoder: Any,
        *,
        num_prototypes: int | None = None,
        num_iterations: int = 100,
        num_init: int = 1,
        algorithm: str = "auto",
        seed: int = 0,
        image_column: str | None = None,
        run: Run | None = None,
        on_error: str = "raise",
    ) -> Self:
        """Find the prototypes of a data set; embeddings that `score_with` has made are taken from the cache.

        Args:
            ds: Rows with images, n of them.
            encoder: As for `score_with`.
            num_prototypes: Number of prototypes k; None takes what `score_with` takes.
            num_iterations: At most so many iterations of k-means.
            num_init: Starts of k-means, of which the one with the least mean distance counts.
            algorithm: ``"auto"``, ``"lloyd"``, ``"hierarchical"`` or ``"mini_batch"``, as for `score_with`.
            seed: Seed of the first centroids.
            image_column: Column with the images; None takes the only ``Image`` column.
            run: How the encoder is opened and run: a `hf_prune.Run`; None takes its defaults.
            on_error: ``"raise"`` stops at a row that cannot be read, ``"skip"`` leaves it out.

        Returns:
            The prototypes.

        Raises:
            ValueError: If the data set or the encoder does not fit; the message says what would.

        Example:
            >>> import PIL.Image
            >>> from datasets import Features, Image
            >>> rows = {"image": [PIL.Image.new("L", (2, 2), grey) for grey in (10, 200)]}
            >>> ds = Dataset.from_dict(rows, features=Features({"image": Image()}))
            >>> Prototypes.fit(ds, "pixels", num_prototypes=1, run=Run(image_size=2)).centroids.shape
            (1, 12)
        """
        run = Run.of(run)
        request = Request(encoder=encoder, image_column=image_column, run=run, on_error=on_error)
        options = {
            "num_prototypes": num_prototypes,
            "num_iterations": num_iterations,
            "num_init": num_init,
            "algorithm": algorithm,
            "seed": seed,
        }
        centroids, config, _ = fit_prototypes(ds, request, options)
        return cls(centroids, config, encoder=encoder, device=run.device)

    @classmethod
    def from_scored(
        cls,
        ds: Dataset,
        column: str = METRIC,
        *,
        encoder: Any = None,
        image_column: str | None = None,
        run: Run | None = None,
    ) -> Self:
        """Find the prototypes that a column of scores was made by, as the history of the data set says.

        Args:
            ds: A data set as `score_with` returned it.
            column: The column.
            encoder: The encoder, where the history cannot name one that is found again: a folder, a module, a function.
            image_column: As for `fit`.
            run: As for `fit`, but for ``dtype``, ``image_size`` and ``revision``, which the history has.

        Returns:
            The prototypes, which give the rows these scores.

        Raises:
            ValueError: If the column was not made by ``prototypes`` from an encoder, or has other scores because the rows
                or the encoder changed.
        """
        run = Run.of(run)
        (centroids, config, _), given = fit_as_scored(ds, column, encoder, image_column, run)
        return cls(centroids, config, column, encoder=given, device=run.device)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Score a batch of rows, for ``map(prototypes, batched=True)``.

        Args:
            batch: Column → values; one of the columns holds B images, decoded or, of a column with ``decode=False``, as
                they are stored.

        Returns:
            The column of scores: float32, shape (B,), or a list with None where there is no image.

        Raises:
            ValueError: If no column holds a list of images, or one cannot be read.
        """
        images = batch.get(self.config["image_column"])
        if not isinstance(images, list):
            raise InputError(
                f"no list of images {self.config['image_column']!r} in {sorted(batch)}: call map(prototypes, batched=True), "
                "or set prototypes.config['image_column']"
            )
        there = [place for place, image in enumerate(images) if image is not None]
        found = self.score([_decoded(images[place], place) for place in there])
        if len(there) == len(images):
            return {self.column: found}
        by_place = dict(zip(there, found.tolist(), strict=True))
        return {self.column: [by_place.get(place) for place in range(len(images))]}

    def score(self, images: list[Any]) -> NDArray[np.float32]:
        """Return the cosine distance of images to the nearest prototype.

        Args:
            images: B PIL images of any mode.

        Returns:
            Shape (B,), in [0, 2]; higher is less typical, that is harder.

        Raises:
            ValueError: If an embedding has no direction.
        """
        if not images:
            return np.empty(0, np.float32)
        from hf_prune.metrics.kmeans import distances_to

        units, good = unit(self.embed(images))
        if not good.all():
            raise InputError(
                f"the embedding of image {int(np.flatnonzero(~good)[0])} is zero or not finite: leave it out"
            )
        return distances_to(self.centroids, units).astype(np.float32)

    def embed(self, images: list[Any]) -> NDArray[np.float32]:
        """Return the embeddings of B images as the encoder gives them, shape (B, d)."""
        import torch

        from hf_prune.engine.loop import exact_settings

        if self._open is None:
            self._open = self._open_encoder()
        model, forward, device = self._open
        with torch.inference_mode(), exact_settings(device):
            values: torch.Tensor = forward(model.collate(images))
        return np.asarray(values.float().cpu().numpy(), dtype=np.float32)

    def _open_encoder(self) -> "tuple[LoadedModel, Any, torch.device]":
        import torch

        from hf_prune.models.loaded_model import default_device

        model = load_recorded_encoder(self.config["encoder"], self.encoder, self.device)
        device = torch.device(self.device) if self.device else default_device()
        return model, model.open(device), device

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open encoder out of copies to other processes, which open it again."""
        return {**self.__dict__, "_open": None}

    def save_pretrained(self, folder: str | Path, *, repo_id: str | None = None) -> Path:
        """Write centroids, how they were made, and a card to a folder, all or nothing.

        Args:
            folder: Made if it does not exist; text on its card stays, outside our section.
            repo_id: Where the folder is going to be published, for the card.

        Returns:
            The folder.
        """
        folder = Path(folder)
        with owned(folder) as own:
            new = own.stage()
            write_arrays(new / ARRAYS, {"centroids": self.centroids})
            write_sealed(new / CONFIG, dict(sorted(self.config.items())))
            card = prototypes_card(self.config, self.centroids.shape, repo_id, read_readme(folder))
            (new / README).write_bytes(card.encode())
            own.commit()
        return folder

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        encoder: Any = None,
        revision: str | None = None,
        token: str | None = None,
        device: str | None = None,
    ) -> Self:
        """Open prototypes that were saved or published.

        Args:
            name: A folder, or a repository on the Hub; ``id@revision`` is one with its ``revision``.
            encoder: The encoder, where it is none of the Hub.
            revision: Branch, tag or commit of the repository.
            token: Token for a private repository.
            device: Where the encoder runs; None takes the accelerator of this machine, or its CPU.

        Returns:
            The prototypes; the encoder is opened at the first call.

        Raises:
            FileNotFoundError: If there are none.
            ValueError: If the files are damaged or of a later version.
        """
        found = read_prototypes(name, revision, token)
        return cls(found.centroids, found.config, encoder=encoder, device=device, origin=found.origin)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        commit_message: str = "Upload prototypes with hf_prune",
    ) -> CommitInfo:
        """Publish the prototypes as a model repository, in one commit; arguments are those of `hf_prune.push_to_hub`.

        Scores that they make from now on name the repository and this commit.
        """
        sent = send_model(
            repo_id,
            lambda folder, name: self.save_pretrained(folder, repo_id=name),
            private=private,
            token=token,
            revision=revision,
            create_pr=create_pr,
            commit_message=commit_message,
        )
        self.origin = {"id": sent.repo_url.repo_id, "commit": sent.oid}
        return sent


def _decoded(image: Any, place: int) -> Any:
    """Return an image of a batch, decoded if it was not."""
    from PIL.Image import Image as Decoded

    if isinstance(image, Decoded):
        return image
    if not isinstance(image, Mapping) or not {"bytes", "path"} <= image.keys():
        raise InputError(
            f"row {place} of the batch holds {type(image).__name__}, no image: use ds.cast_column(name, datasets.Image()) first"
        )
    try:
        return Image().decode_example(dict(image))
    except Exception as error:  # decoders fail with errors of many types
        raise InputError(f"the image in row {place} of the batch cannot be read ({one_line(error)})") from error
