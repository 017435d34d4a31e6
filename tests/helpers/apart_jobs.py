"""What processes do that do not hold the same: each case is one call, of which the last process makes something else.

``main`` forks the processes of one start, gives them 60 s, and keeps how each call of each process ended.
"""

import io
import json
import os
import pickle
import signal
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
import PIL.Image
import torch
from datasets import ClassLabel, Dataset, DatasetDict
from numpy.typing import NDArray

import hf_prune
from hf_prune import (
    Heads,
    Prototypes,
    Run,
    duplicates,
    keep_curve,
    label_noise,
    recommend,
    train_heads,
    train_teachers,
)
from hf_prune.data.history import provenance
from hf_prune.engine import image_keys
from hf_prune.heads.runs import HeadRuns
from hf_prune.runtime.processes import check_alike
from hf_prune.scoring.run import with_run
from tests.helpers import teacher_jobs
from tests.helpers.forking import fork
from tests.helpers.rank_jobs import free_port, unit
from tests.helpers.tiny_sets import WEIGHTS, make_model, make_set, run
from tests.helpers.watched_trainings import Items, make_rows

LIMIT = 60  # seconds, after which processes wait for each other
ROWS, CLASSES = 320, 4  # more than the rows that the cheap digest reads whole
UNSEEN = 100  # a row that it does not


def pictures(seed: int = 0) -> list[bytes]:
    """Images whose encoded bytes are all of one length, so that no two of them differ in it."""
    generator = np.random.default_rng(seed)
    shades = generator.integers(0, 256, (ROWS, 4, 4, 3), dtype=np.uint8)
    return [_bitmap(pixels) for pixels in shades]


def _bitmap(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "BMP")
    return buffer.getvalue()


def image_rows(encoded: list[bytes] | None = None) -> Dataset:
    labels = np.arange(ROWS) % CLASSES
    ds = make_set(pictures() if encoded is None else encoded).add_column("label", labels)
    names = ClassLabel(names=[f"class {number}" for number in range(CLASSES)])
    return ds.cast_column("label", names).add_column("difficulty", np.random.default_rng(1).random(ROWS))


def one_image_changed() -> Dataset:
    encoded = pictures()
    encoded[UNSEEN] = pictures(seed=1)[0]
    return image_rows(encoded)


def split_unseeded(odd: bool) -> Dataset:
    return image_rows().train_test_split(test_size=0.2, seed=int(odd))["train"]


def relabelled(odd: bool) -> Dataset:
    ds = image_rows()
    labels = np.roll(ds["label"][:], int(odd))
    feature = ds.features["label"]
    return ds.remove_columns("label").add_column("label", labels).cast_column("label", feature)


def module(scale: float) -> tuple[torch.nn.Module, Callable[..., torch.Tensor]]:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, CLASSES))
    with torch.no_grad():
        network[1].bias.mul_(scale)
    return network, to_tensor


def to_tensor(image: Any) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image.convert("RGB"), np.float32).ravel() / 255)


def function(shift: int) -> Callable[..., np.ndarray]:
    """An encoder that moves what it sees."""
    return lambda images: np.stack([np.roll(np.asarray(image, np.float32).ravel(), shift) ** 2 for image in images])


def is_last() -> bool:
    return int(os.environ.get("RANK", "0")) == int(os.environ.get("WORLD_SIZE", "1")) - 1 > 0


def failing(images: list[Any]) -> np.ndarray:
    """An encoder that the last process has no device for."""
    if is_last():
        raise OSError("no such device")
    return function(0)(images)


def killing(images: list[Any]) -> np.ndarray:
    """An encoder that is the end of the last process."""
    if is_last():
        os.kill(os.getpid(), signal.SIGKILL)
    return function(0)(images)


def unnamed(odd: bool) -> NDArray[np.float32]:
    """Outputs of a model whose identity does not show what it does."""
    model = make_model(lambda batch: (batch + odd) @ WEIGHTS, cacheable=False)
    return run(image_rows().select(range(30)), model).values


def score(ds: Any, metric: Any = "prototypes", *, cache: Path | None = None, **options: Any) -> list[float]:
    given = {"device": "cpu", "cache_dir": cache, "load_from_cache_file": cache is not None, "evidence": False}
    if metric == "prototypes" and "encoder" not in options:
        options |= {"encoder": "pixels", "image_size": options.get("image_size", 4)}
    scored = ds.score_with(metric, **with_run(hf_prune.score_with, given | options))
    return scored[metric][:] if isinstance(scored, Dataset) else []


def cut(ds: Dataset, **options: Any) -> list[int]:
    given = {"keep": 0.5, "order": "cluster", "encoder": "pixels", "image_size": 4, "device": "cpu"}
    given |= {"load_from_cache_file": False} | options
    return ds.prune("difficulty", **with_run(hf_prune.prune, given))["label"][:]


def cut_by_record(keeps_results: bool, place: Path) -> None:
    """Prune by the encoder that the history names, whose results this process may have kept or not."""
    run = Run(device="cpu", cache_dir=place / "cache")
    ds = image_rows().score_with("prototypes", encoder=function(0), run=run, evidence=False)
    run = replace(run, load_from_cache_file=keeps_results)
    step = provenance(ds.prune("prototypes", keep=0.5, run=run)).steps[-1]
    check_alike({"evidence": repr(step.evidence).encode(), "rows": repr(step.rows).encode()})
    assert step.evidence is not None


def points(seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(ROWS, 6)))


def classes(shift: bool = False) -> np.ndarray:
    return np.roll(np.arange(ROWS) % CLASSES, int(shift))


def heads(**given: Any) -> HeadRuns:
    chosen = {"labels": classes(), "heads": Heads(num_heads=3, num_epochs=1)}
    return train_heads(points(), **chosen | given)


def teachers(folder: Path, ds: Dataset | None = None, **changes: Any) -> None:
    given = {"num_teachers": 1, "num_epochs": 1, "batch_size": 4, "image_size": 8, "folder": folder / "teachers"}
    ds = teacher_jobs.make_set() if ds is None else ds
    train_teachers(ds, changes.pop("model", None) or teacher_jobs.Watched(), **given | changes)


def watched(folder: Path, ds: Dataset, **settings: Any) -> None:
    from hf_prune import watch
    from tests.helpers.watched_trainings import make_trainer

    trainer = make_trainer(folder / "watched", ds, num_train_epochs=1, **settings)
    watch(trainer)
    trainer.train()


def on_disk(folder: Path, odd: bool) -> Dataset:
    """Rows of one file, by which processes know that they hold the same without hashing all of it."""
    ds = Dataset.from_file(str(folder / "rows.arrow"))
    return ds.shuffle(seed=1) if odd else ds


def split_up(odd: bool) -> DatasetDict:
    rows = image_rows()
    return DatasetDict({"train": rows, "test": rows} if not odd else {"train": rows})


def teacher_names(odd: bool) -> list[Any]:
    return [module(1.0)] * (1 + odd)


class Turned(Items):
    """The same rows from the last to the first."""

    def __getitem__(self, row: int) -> dict[str, Any]:
        return super().__getitem__(len(self) - 1 - row)


class Case(NamedTuple):
    """A call of all processes.

    Attributes:
        call: Gets whether this process is the one that is different, and a folder that all share.
        ends: What the error of every process holds; None where there must be none.
        kills: Whether it ends the last process, so that no other case can follow it.
    """

    call: Callable[[bool, Path], Any]
    ends: str | None
    kills: bool = False


OTHER = "process {rank} holds other "
CASES = {
    "score: another split": Case(
        lambda odd, place: score(split_unseeded(odd), cache=place / "cache"), OTHER + "rows than"
    ),
    "score: one image that no sample sees": Case(
        lambda odd, place: score(one_image_changed() if odd else image_rows(), cache=place / "cache"),
        OTHER + "rows than",
    ),
    "score: another order of one file": Case(
        lambda odd, place: score(on_disk(place, odd), cache=place / "cache"), OTHER + "rows than"
    ),
    "score: one file": Case(lambda _, place: score(on_disk(place, False), cache=place / "cache"), None),
    "score: fewer rows": Case(
        lambda odd, place: score(image_rows().select(range(ROWS - odd)), cache=place / "cache"), OTHER + "rows than"
    ),
    "score: other labels": Case(
        lambda odd, place: score(relabelled(odd), "supervised_prototypes", encoder="pixels", cache=place / "cache"),
        OTHER + "labels than",
    ),
    "score: other inputs": Case(
        lambda odd, _: score(image_rows(), "prototypes", encoder=None, inputs={"embeddings": points(odd)}),
        OTHER + r"inputs\['embeddings'\] than",
    ),
    "score: another batch size": Case(
        lambda odd, place: score(image_rows(), batch_size=8 + odd, cache=place / "cache"),
        "process {rank} has batch_size=9, process 0 batch_size=8: give every process the same",
    ),
    "score: another seed": Case(lambda odd, _: score(image_rows(), seed=int(odd)), "process {rank} has options="),
    "score: another way with errors": Case(
        lambda odd, _: score(image_rows(), on_error="skip" if odd else "raise"), "process {rank} has on_error='skip'"
    ),
    "score: another metric": Case(
        lambda odd, _: score(image_rows(), "random" if odd else "prototypes"), "process {rank} has metrics="
    ),
    "score: another size": Case(
        lambda odd, place: score(image_rows(), image_size=3 + odd, cache=place / "cache"),
        "process {rank} has image_size=4, process 0 image_size=3",
    ),
    "score: other weights": Case(
        lambda odd, place: score(image_rows(), encoder=module(1.0 + odd), cache=place / "cache"),
        OTHER + "model weights_sha256 than",
    ),
    "score: another function": Case(
        lambda odd, place: score(image_rows(), encoder=function(int(odd)), cache=place / "cache"),
        "(process {rank} has model |" + OTHER + "model |runs another model than process 0)",
    ),
    "a model without identity": Case(lambda odd, _: unnamed(odd), "process {rank} runs another model than process 0"),
    "score: a teacher more": Case(
        lambda odd, _: score(image_rows(), "el2n", teachers=teacher_names(odd)), "process {rank} has teachers="
    ),
    "score: no such column": Case(
        lambda odd, _: score(image_rows(), image_column="none" if odd else None),
        "(has image_column=|no column 'none')",
    ),
    "score: no such metric": Case(
        lambda odd, _: score(image_rows(), "protopypes" if odd else "prototypes"), "protopypes"
    ),
    "score: an encoder that fails": Case(lambda _, __: score(image_rows(), encoder=failing), "no such device"),
    "score: other splits": Case(
        lambda odd, _: score(split_up(odd), splits=["train", "test"]), "no split 'test' among"
    ),
    "score: other folders of the cache": Case(
        lambda odd, place: score(image_rows(), cache=place / f"cache-{odd}"), None
    ),
    "score: a cache and none": Case(
        lambda odd, place: score(image_rows(), cache=None if odd else place / "cache"), None
    ),
    "score: other workers": Case(lambda odd, _: score(image_rows(), num_workers=int(odd)), None),
    "another call": Case(
        lambda odd, _: duplicates(image_rows()) if odd else score(image_rows()),
        "process {rank} calls 'duplicates' and process 0 'score_with'",
    ),
    "prune: other rows": Case(lambda odd, _: cut(split_unseeded(odd)), OTHER + "rows than"),
    "prune: another share": Case(lambda odd, _: cut(image_rows(), keep=0.5 + odd / 4), "process {rank} has keep=0.75"),
    "prune: other scores": Case(
        lambda odd, _: cut(image_rows().map(lambda row: {"difficulty": row["difficulty"] + odd})),
        OTHER + "scores than",
    ),
    "prune: evidence from what one process has kept": Case(lambda odd, place: cut_by_record(not odd, place), None),
    "duplicates: other rows": Case(lambda odd, _: duplicates(split_unseeded(odd)).duplicate_of, OTHER + "rows than"),
    "duplicates: another threshold": Case(
        lambda odd, _: duplicates(points(), 0.9 + odd / 100).duplicate_of, "process {rank} has threshold=0.91"
    ),
    "label_noise: other labels": Case(
        lambda odd, _: label_noise(points(), inputs={"labels": classes(odd)}).scores,
        OTHER + r"inputs\['labels'\] than",
    ),
    "recommend: another share": Case(
        lambda odd, _: recommend(image_rows(), "difficulty", keep=0.5 + odd / 4, inputs={"embeddings": points()}).keep,
        r"process {rank} has keeps=",
    ),
    "keep_curve: other scores": Case(
        lambda odd, _: (
            keep_curve(
                image_rows().map(lambda row: {"difficulty": row["difficulty"] + odd}),
                "difficulty",
                keeps=[0.5],
                inputs={"embeddings": points()},
            ).column
        ),
        OTHER + "scores than",
    ),
    "prototypes: another number": Case(
        lambda odd, _: (
            Prototypes.fit(
                image_rows(), "pixels", run=Run(image_size=4, device="cpu"), num_prototypes=3 + odd
            ).centroids
        ),
        "process {rank} has num_prototypes=4, process 0 num_prototypes=3",
    ),
    "heads: other labels": Case(lambda odd, _: heads(labels=classes(odd)).fit, OTHER + "labels than"),
    "heads: another number": Case(
        lambda odd, _: heads(heads=Heads(num_heads=3 + odd, num_epochs=1)).fit, "process {rank} has num_heads=4"
    ),
    "train_teachers: other rows": Case(
        lambda odd, place: teachers(place, teacher_jobs.make_set(seed=int(odd))), OTHER + "rows than"
    ),
    "train_teachers: other labels": Case(
        lambda odd, place: teachers(
            place, teacher_jobs.make_set().map(lambda row: {"label": (row["label"] + odd) % 2})
        ),
        OTHER + "labels than",
    ),
    "train_teachers: another length": Case(
        lambda odd, place: teachers(place, num_epochs=1 + odd), "process {rank} has num_epochs=2"
    ),
    "train_teachers: another test set": Case(
        lambda odd, place: teachers(place, test_dataset=teacher_jobs.make_set(8, seed=int(odd))), OTHER + "rows than"
    ),
    "watch: other rows": Case(
        lambda odd, place: watched(place, make_rows().shuffle(seed=0) if odd else make_rows()), OTHER + "rows than"
    ),
    "train_teachers: alike": Case(lambda _, place: teachers(place), None),
    "watch: other rows of a torch data set": Case(
        lambda odd, place: watched(place, Turned() if odd else Items()),
        OTHER + "rows than",
    ),
    "score: a process that is killed": Case(
        lambda _, place: score(image_rows(), encoder=killing, cache=place / "cache"),
        "broke off, since another process ended",
        kills=True,
    ),
}


def make_files(folder: Path) -> None:
    """The file of ``on_disk``."""
    rows = image_rows()
    with datasets.arrow_writer.ArrowWriter(path=str(folder / "rows.arrow"), features=rows.features) as writer:
        writer.write_table(rows.data.table)
        writer.finalize()


def act(name: str, odd: bool, place: Path) -> tuple[str, Any]:
    """Make a call, and say how it ended: the error in words, or nothing; and the result."""
    try:
        return "", CASES[name].call(odd, place)
    except Exception as error:
        traceback.print_exc()
        return f"{type(error).__name__}: {error}", None


def place_of(name: str, folder: Path) -> Path:
    """The folder that the processes of a case share."""
    return folder / str(list(CASES).index(name))


def work(names: list[str], rank: int, world: int, folder: Path) -> None:
    image_keys.SETTLED_SECONDS = 0.0  # the file was written a moment ago
    found = {}
    for name in names:
        found[name] = act(name, rank == world - 1, place_of(name, folder))
        (folder / f"{rank}.pickle").write_bytes(pickle.dumps(found))


def as_rank(names: list[str], rank: int, world: int, port: int, folder: Path) -> None:
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(world)}
    os.environ.update(address, RANK=str(rank), LOCAL_RANK=str(rank))
    work(names, rank, world, folder)


def main(folder: Path) -> None:
    """Make one start, which ``start.json`` names: cases, and the number of processes."""
    names, world = json.loads((folder / "start.json").read_text())
    for name in names:
        place_of(name, folder).mkdir()
        make_files(place_of(name, folder))
    port = free_port()
    processes = [fork(lambda rank=rank: as_rank(names, rank, world, port, folder)) for rank in range(world)]

    def end_all(*_: Any) -> None:
        for process in processes:
            os.kill(process, signal.SIGKILL)

    signal.signal(signal.SIGALRM, end_all)
    signal.alarm(LIMIT if len(names) == 1 else 3 * LIMIT)
    codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
    (folder / "codes.json").write_text(json.dumps(codes))
