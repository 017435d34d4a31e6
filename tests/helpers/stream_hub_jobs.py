"""What a user does with streams and the Hub, run by ``test_stream.py`` in a process of its own: the client reads its settings at import.

``python -m tests.helpers.stream_hub_jobs FILE`` writes what it found to the file as JSON.
"""

import json
import sys
import tempfile
from pathlib import Path

from datasets import load_dataset

import hf_prune
from hf_prune import Run
from tests.helpers.stream_jobs import pixels, small_blocks
from tests.helpers.stream_sets import parquet_stream


def main(out: Path) -> None:
    """Push what is kept of a stream, and load it again."""
    small_blocks()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stream = parquet_stream(folder / "rows")
        options = {"run": Run(cache_dir=folder / "cache")}
        kept = stream.score_with("prototypes", **pixels(folder / "cache"))
        kept = kept.prune("prototypes", keep=0.6, order="hard", **options)
        hf_prune.push_to_hub(kept, "somebody/stream", max_shard_size=1500)
        few = stream.prune("score", keep=0.3, order="easy", passes=1)
        hf_prune.push_to_hub(few, "somebody/stream", config_name="few", split="test")
        hf_prune.push_to_hub(kept.filter(lambda row: row["label"] == 0), "somebody/stream")
        found = {"kept": [row["text"] for row in kept], "few": [row["text"] for row in few]}
        found["only"] = [row["text"] for row in kept if row["label"] == 0]
        native = stream.prune("score", keep=0.5, order="hard", **options)
        native.push_to_hub("somebody/native", num_shards=4)
        found["native"] = [row["text"] for row in native]
    loaded = load_dataset("somebody/stream", "default", split="train")
    found["loaded"] = {"text": loaded["text"][:], "size": loaded[0]["image"].size, "features": sorted(loaded.features)}
    found["loaded few"] = load_dataset("somebody/stream", "few", split="test")["text"][:]
    found["loaded native"] = load_dataset("somebody/native", split="train")["text"][:]
    out.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
