"""Every kind of file that the package writes and reads again: how one is made, and what is read from it."""

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

import hf_prune
from hf_prune import Heads, Prototypes, TrainingRecord, train_heads
from hf_prune.cli.folders import save
from hf_prune.data.loading import open_dataset
from hf_prune.dynamic_pruning import checkpoint_state
from hf_prune.dynamics.epoch_rows import EpochRows
from hf_prune.dynamics.files import Rows
from hf_prune.dynamics.recorder import CheckpointState, read_state, write_state
from hf_prune.dynamics.training_folder import claim, read_settings
from hf_prune.engine import image_keys
from hf_prune.hub.read import shelf
from hf_prune.models.load import load_teacher
from hf_prune.runtime.cache import list_caches
from hf_prune.scaling.runs.results import append_run, read_runs
from hf_prune.training.classifier import train_classifier
from hf_prune.training.images import TrainingImages
from tests.dynamic_pruning.test_checkpoint_state import STATE as PRUNING
from tests.dynamics.test_record import make as make_record
from tests.helpers import teacher_jobs
from tests.helpers.tiny_models import processor
from tests.helpers.tiny_models import run as run_model
from tests.helpers.tiny_publications import SOURCE, images, scored
from tests.scaling.runs.test_results import run
from tests.training.test_classifier import CONFIG, Interrupt

RUN = hf_prune.Run(image_size=2)
IN_SHARDS: dict[str, Any] = {"encoder": "pixels", "num_prototypes": 2, "run": replace(RUN, batch_size=6)}
POINTS = np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32)
TRAINED = {"seed": 0, "batch_size": 8}


class Noticed(Exception):
    """What an answer that is no error says of damage, such as the differences of a report."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        make: Writes such files to a folder.
        use: Reads them; what it gives back is equal where they are the same.
        patterns: Of those that are flipped.
    """

    make: Callable[[Path], object]
    use: Callable[[Path], Any]
    patterns: tuple[str, ...] = ("**/*",)

    def files(self, folder: Path) -> list[str]:
        """Paths below the folder of what can be flipped."""
        matching = (path for pattern in self.patterns for path in folder.glob(pattern))
        found = (path for path in matching if path.is_file() and path.stat().st_size)
        return sorted(path.relative_to(folder).as_posix() for path in found)


def plain(value: Any) -> Any:
    """A value that can be compared: arrays, NaN included, as their bytes."""
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if dataclasses.is_dataclass(value):
        return plain(vars(value))
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def columns_of(ds: Dataset) -> list[Any]:
    return [ds.data.table.to_pydict(), str(ds.features), [step.to_dict() for step in hf_prune.provenance(ds).steps]]


def score(folder: Path) -> Any:
    run = replace(RUN, cache_dir=folder)
    return images().score_with("prototypes", encoder="pixels", num_prototypes=2, run=run)["prototypes"][:]


def score_in_shards(folder: Path) -> None:
    for number in (0, 1):
        hf_prune.score_shard(images(), "prototypes", shard=(number, 2), folder=folder, **IN_SHARDS)


def merge_shards(folder: Path) -> Any:
    given = IN_SHARDS | {"run": replace(IN_SHARDS["run"], cache_dir=folder / "cache")}
    return columns_of(hf_prune.merge_shards(images(), "prototypes", folder=folder, **given))


def describe_cache(folder: Path) -> Any:
    (entry,) = list_caches(folder)
    if not entry.identity:
        raise Noticed("the model is unknown")
    return entry.identity


def load_keys(folder: Path) -> Any:
    found = image_keys.load_keys(folder, "0" * 32)
    if found is None:
        raise Noticed("hashed again")
    return plain(list(found))


def save_keys(folder: Path) -> None:
    keys, unreadable = np.arange(32, dtype=np.uint8).view("V16"), {1: "there is no image"}
    image_keys.save_keys(folder, "0" * 32, keys, unreadable)


def heads(folder: Path) -> Any:
    runs = train_heads(POINTS, [0, 1, 2] * 8, Heads(num_heads=3, num_epochs=1), need="probs", folder=folder)
    return plain([runs.probs, runs.grad_norms, runs.fit])


def train(folder: Path, **changes: Any) -> Any:
    rows = TrainingImages(teacher_jobs.make_set(), processor())
    return train_classifier(rows, CONFIG, folder=folder, **{"num_epochs": 1, **TRAINED, **changes})


def be_interrupted(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(folder, num_epochs=3, resumable=True, callbacks=[Interrupt(7)])


def go_on(folder: Path) -> Any:
    trained = train(folder, num_epochs=3, resumable=True)
    return plain([value.numpy() for value in trained.model.state_dict().values()])


def ask_teacher(folder: Path) -> Any:
    teacher = load_teacher(str(folder), dtype="float32")
    return [plain(run_model(teacher, images(3)["image"]).numpy()), teacher.names]


def export_teacher(folder: Path) -> None:
    train(folder / "teacher")
    hf_prune.export_teacher(folder / "teacher", folder / "out", trained_on=teacher_jobs.make_set(), source=SOURCE)


def read_record(folder: Path) -> Any:
    record = TrainingRecord.load(folder)
    head = dataclasses.asdict(record.head)
    held = [record.read(name) for name in record.arrays] + [record.labels, record.trained_on, record.not_finite]
    return plain([head, record.num_epochs, *held])


def write_checkpoint_state(folder: Path) -> None:
    head = make_record().head
    rows = np.arange(head.num_rows)
    fields = {field.name: np.ones(head.num_rows, np.float16) for field in dataclasses.fields(EpochRows)}
    seen = EpochRows(**fields | {"rows": rows})
    write_state(folder, CheckpointState(head, 3, 1, seen, None, Rows(rows, rows > 1, rows.astype(np.int32))))


def write_settings(folder: Path) -> None:
    described = {"name": "toy", "rows": 24, "images": "a" * 32, "labels": "b" * 32}
    claim(folder, {"dataset": described, "test_dataset": None, "seed": 0, "learning_rate": 1e-3}, num_processes=1)


def write_results(folder: Path) -> None:
    for draw in range(3):
        append_run(folder / "results.csv", run(draw))


def fit(folder: Path) -> None:
    run = replace(RUN, cache_dir=folder / "cache")
    Prototypes.fit(images(), "pixels", num_prototypes=2, run=run).save_pretrained(folder / "out")


def open_fitted(folder: Path) -> Any:
    fitted = Prototypes.from_pretrained(folder / "out")
    return plain([fitted.centroids, fitted.config])


def export(folder: Path) -> None:
    ds = scored(images(20))
    kept = ds.prune("prototypes", keep=0.5, order="hard", class_balance=0.5)
    hf_prune.export(kept, folder / "out", source="local", scores=ds, what="scores")


def verify(folder: Path) -> Any:
    report = hf_prune.verify(folder / "out")
    if report.differences:
        raise Noticed(str(report.differences[0]))
    return report.exit_code


def load_published(folder: Path) -> Any:
    loaded = hf_prune.load_scores(folder / "out", images(20))
    applied = hf_prune.apply(folder / "out", images(20))
    return loaded.data.table.to_pydict(), str(loaded.features), applied.data.to_pydict()


def save_scored(folder: Path) -> None:
    save(scored(images(20)), folder / "saved", overwrite=False)


def open_saved(folder: Path) -> Any:
    return columns_of(open_dataset(folder / "saved"))


def keep_released(folder: Path) -> None:
    (folder / "shelf").mkdir()
    path = folder / "shelf" / "ImageNet-1K_DDD.csv"
    path.write_text("".join([",filename,score\n", *(f"{row},n01440764_{row}.JPEG,0.{row}\n" for row in range(1, 40))]))
    path.rename(path.with_name(shelf._kept_as("ImageNet-1K_DDD", path)))


def open_released(folder: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelf, "default_root", lambda: folder)
        shelved = shelf.open_shelved("sorscher2022/DDD")
    return [shelved.names, shelved.scores.tolist()]


KINDS = {
    "cached embeddings": Kind(score, score, ("rows/*/*.safetensors",)),
    "shards": Kind(score_in_shards, merge_shards, ("*-of-2/**/*",)),
    "description of a cache": Kind(score, describe_cache, ("rows/*/meta.json",)),
    "cached content keys": Kind(save_keys, load_keys),
    "trained heads": Kind(heads, heads),
    "trained model": Kind(train, ask_teacher),
    "published teacher": Kind(export_teacher, lambda folder: ask_teacher(folder / "out"), ("out/*[!d]",)),
    "checkpoint": Kind(be_interrupted, go_on),
    "training record": Kind(lambda folder: make_record().save(folder), read_record),
    "state of a record": Kind(write_checkpoint_state, lambda folder: plain(read_state(folder))),
    "state of a pruning": Kind(
        lambda folder: checkpoint_state.write_state(folder, PRUNING),
        lambda folder: plain(checkpoint_state.read_state(folder)),
    ),
    "settings of trainings": Kind(write_settings, read_settings),
    "results of a study": Kind(write_results, lambda folder: read_runs(folder / "results.csv")),
    "prototypes": Kind(fit, open_fitted, ("out/prototypes*",)),
    "published data set, verified": Kind(export, verify),
    "published data set, used": Kind(export, load_published, ("out/provenance.json", "out/scores/*")),
    "saved data set": Kind(save_scored, open_saved),
    "released scores": Kind(keep_released, open_released),
}
