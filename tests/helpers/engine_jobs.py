"""Jobs that need processes of their own: this forks a process for each."""

import json
import logging
import os
import pickle
import signal
import socket
import traceback
from collections.abc import Iterable
from pathlib import Path
from unittest.mock import patch

import datasets
import numpy as np

from hf_prune.data.images import EncodedImages
from hf_prune.engine import image_keys
from hf_prune.engine.loop import ModelRows
from hf_prune.engine.shards import Shard
from hf_prune.engine.store import Store
from hf_prune.models.loaded_model import LoadedModel
from hf_prune.runtime.processes import process_state
from hf_prune.runtime.row_arrays import _machines
from tests.helpers.tiny_sets import WEIGHTS, make_model, make_set, many, noise, ragged, run, untouchable

FAULTY_ROWS = 400  # a hundred batches


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def main(folder: Path) -> None:
    jobs = {"killed": (killed, folder, {}), "without_space": (without_space, folder, {})}
    for world in (1, 2, 3):
        place = folder / f"ranks-{world}"
        place.mkdir()
        common = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        for rank in range(world):
            own = common | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            jobs[f"ranks-{world}-{rank}"] = (ranks, place, own if world > 1 else {})
    for fault in ("killed", "raises"):
        place = folder / f"one-{fault}"
        place.mkdir()
        os.mkfifo(place / "line")
        common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        for rank in (0, 1):
            own = common | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            jobs[f"one-{fault}-{rank}"] = (one_fails, place, own)
    processes = {name: fork_job(*job) for name, job in jobs.items()}
    codes = {name: os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for name, process in processes.items()}
    (folder / "codes.json").write_text(json.dumps(codes))


def fork_job(job, folder: Path, variables: dict[str, str]) -> int:
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        os.environ.update(variables)
        job(folder)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def act_at(image: int, action) -> LoadedModel:
    """A model that does something when it has seen so many images."""
    seen = [0]

    def forward(batch):
        seen[0] += len(batch)
        if seen[0] >= image:
            action()
        return batch @ WEIGHTS

    return make_model(forward)


def killed(folder: Path) -> None:
    run(
        many(), act_at(4200, lambda: os.kill(os.getpid(), signal.SIGKILL)), store_root=folder / "killed", batch_size=50
    )


def without_space(folder: Path) -> None:
    import resource

    datasets.disable_progress_bars()  # the limit would hold for a file that stands for the terminal, too
    model = act_at(4200, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
    try:
        run(many(), model, store_root=folder / "full", batch_size=50)
    except OSError as error:
        (folder / "message.txt").write_text(str(error))  # small enough for the limit


def ranks(folder: Path) -> None:
    """Everything that several processes must agree on, in one start of them."""
    logging.getLogger("hf_prune").setLevel(logging.CRITICAL)
    state = process_state("cpu")
    shared, own = folder / "shared", folder / f"own-{state.process_index}"
    model = make_model(lambda batch: batch.bfloat16() @ WEIGHTS.bfloat16())
    options = {"on_error": "skip", "batch_size": 3}
    if state.is_main_process:  # a disk that has some rows which the others lack, another one that has none
        alone = ragged().select([0, 5, 30])
        given = np.full((3, 5), 7.0, np.float32)
        Store(own, {"id": "projection"}).append(image_keys.image_keys(EncodedImages(alone, "image"))[0], given)
    # A second model on the shared disk, of whose rows an earlier run left only some.
    run(ragged().select([1, 9, 30]), make_model(name="second"), store_root=shared, **options)
    results = {
        "cold": run(ragged(), model, store_root=shared, **options),
        "warm": run(ragged(), make_model(load=untouchable), store_root=shared, **options),
        "second": run(ragged(), make_model(name="second"), store_root=shared, **options),
        "own": run(ragged(), model, store_root=own, **options),
        "own warm": run(ragged(), make_model(load=untouchable), store_root=own, **options),
        "memory": run(ragged(), model, **options),
        "shards": in_shards(run(ragged(), model, store_root=shared, shard=Shard(3, n), **options) for n in range(3)),
        "two rows": run(ragged().select([4, 4]), model, **options),
    }
    # Two machines, or three, with a process and a disk each.
    with patch("socket.gethostname", lambda: f"node {state.process_index}"), patch.dict(_machines, group=None):
        results["nodes"] = run(ragged(), model, store_root=folder / f"node-{state.process_index}", **options)
        results["nodes warm"] = run(
            ragged(), make_model(load=untouchable), store_root=folder / f"node-{state.process_index}", **options
        )
    errors = []
    for ds, failing in ((ragged(), model), (make_set(noise(9)), make_model(fail_in_last))):
        try:
            run(ds, failing, batch_size=3)
        except (ValueError, RuntimeError) as error:
            errors.append(f"{type(error).__name__} {error}")
    (folder / f"{state.process_index}.pickle").write_bytes(pickle.dumps((results, errors)))


def one_fails(folder: Path) -> None:
    """Of two processes with a disk each, the second is killed, or raises, at its fourth batch of 50, and the first learns of it."""
    logging.getLogger("hf_prune").setLevel(logging.CRITICAL)
    rank, seen = process_state("cpu").process_index, [0]
    # The second holds a line open until it fails; the first reads to its end after its second batch.
    line = os.open(folder / "line", os.O_WRONLY if rank else os.O_RDONLY)

    def fail() -> None:
        if folder.name == "one-killed":
            os.kill(os.getpid(), signal.SIGKILL)
        os.close(line)
        raise OSError("the disk is gone")

    def forward(batch):
        seen[0] += 1
        if rank and seen[0] == 4:
            fail()
        if not rank and seen[0] == 2:
            os.read(line, 1)
        return batch @ WEIGHTS

    try:
        ds = make_set(noise(FAULTY_ROWS))
        run(ds, make_model(forward), store_root=folder / f"disk-{rank}", batch_size=4, chunk_rows=4)
    except (OSError, RuntimeError) as error:
        (folder / f"{rank}.json").write_text(json.dumps([f"{type(error).__name__}: {error}", seen[0]]))


def in_shards(found: Iterable[ModelRows]) -> ModelRows:
    """What shards gave, as one."""
    parts = list(found)
    rows = np.concatenate([part.rows for part in parts])
    values, order = np.concatenate([part.values for part in parts]), np.argsort(rows)
    unreadable = dict(sorted({row: why for part in parts for row, why in part.unreadable.items()}.items()))
    computed, reused = (sum(getattr(part, name) for part in parts) for name in ("computed", "reused"))
    return ModelRows(rows[order], values[order], unreadable, computed, reused, parts[0].seconds)


def fail_in_last(batch):
    state = process_state("cpu")
    if state.process_index == state.num_processes - 1:
        raise RuntimeError("the last process failed")
    return batch @ WEIGHTS
