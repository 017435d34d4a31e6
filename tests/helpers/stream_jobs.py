"""Jobs on streams for processes of their own: one that is killed on its way, and ranks that read shares."""

import os
import pickle
import signal
from pathlib import Path
from typing import Any

from datasets.distributed import split_dataset_by_node

from hf_prune import Run
from hf_prune.streams import source
from hf_prune.streams.score_files import ScoreFiles
from tests.helpers.stream_sets import parquet_stream

PIXELS = {"encoder": "pixels", "num_prototypes": 4}
IN_MEMORY = PIXELS | {"evidence": False, "run": Run(image_size=4, load_from_cache_file=False)}


def pixels(cache: Path) -> dict[str, Any]:
    """How a stream is scored whose files lie in a cache."""
    return PIXELS | {"run": Run(image_size=4, cache_dir=cache)}


def small_blocks() -> None:
    """Blocks of a few rows, as long streams have many."""
    source.BLOCK_ROWS, source._PIECE_ROWS = 8, 4


def killed(folder: Path, writes: int) -> None:
    """Score, and die as by a power cut after so many files."""
    small_blocks()
    write, left = ScoreFiles.write, [writes]

    def last(self, *arguments) -> None:
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        write(self, *arguments)

    ScoreFiles.write = last
    parquet_stream(folder / "rows").score_with("prototypes", **pixels(folder / "cache"))


def rank(folder: Path, number: int, world: int) -> None:
    """Score and prune a share, of a stream with more shards than ranks and of one with fewer."""
    small_blocks()
    found = {}
    for shards in (3, 1):
        stream = parquet_stream(folder / f"rows {shards}", shards, make=False)
        share = split_dataset_by_node(stream, rank=number, world_size=world)
        scored = share.score_with("prototypes", **pixels(folder / "cache"))
        kept = scored.prune("prototypes", keep=0.4, order="hard", run=Run(cache_dir=folder / "cache"))
        by_column = share.prune("score", keep=0.4, order="easy", run=Run(cache_dir=folder / "cache"))
        found[shards] = {
            "scored": [(row["text"], row["prototypes"]) for row in scored],
            "kept": [row["text"] for row in kept],
            "by column": [row["text"] for row in by_column],
        }
    (folder / f"rank {number}.pickle").write_bytes(pickle.dumps(found))


def launched(folder: Path, number: int, world: int, port: int) -> None:
    """Score a stream that nobody split, as a process that a launcher has started; then another one in each process."""
    os.environ |= {"WORLD_SIZE": str(world), "RANK": str(number), "LOCAL_RANK": str(number), "ACCELERATE_USE_CPU": "1"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    small_blocks()
    stream, options = parquet_stream(folder / "rows", make=False), pixels(folder / "cache")
    scored = stream.score_with("prototypes", **options)
    try:
        stream.score_with("prototypes", **options | {"num_prototypes": 4 + number})
    except ValueError as error:
        said = str(error)
    (folder / f"rank {number}.pickle").write_bytes(pickle.dumps([said, *(row["prototypes"] for row in scored)]))
