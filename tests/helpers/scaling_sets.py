"""Three classes in eight dimensions, with embeddings, and a training command that counts."""

import sys

import numpy as np
from datasets import ClassLabel, Dataset, Features, Value

CLASSES = ("cat", "dog", "owl")

# A "training" that gets the fewer rows wrong the more it is given, and says so in result.json. It is started often, so
# it reads the rows without loading datasets.
COUNTING = """
import json, pathlib, sys
from pyarrow import ipc, memory_map
folder = pathlib.Path(sys.argv[-1])
job = json.loads((folder / "job.json").read_text())
rows = [ipc.open_stream(memory_map(str(file))).read_all() for file in sorted((folder / "rows").glob("*.arrow"))]
assert sum(map(len, rows)) == job["num_rows"], job
with open(sys.argv[1], "a") as log:
    log.write(f"{job['size']} {job['keep']} {job['order']} {job['draw']}\\n")
wrong = 1000 // job["num_rows"] + job["draw"]
answer = {"wrong": wrong, "total": 200, "groups": {"group day": [wrong, 150], "group night": [wrong // 2, 50]}}
(folder / "result.json").write_text(json.dumps(answer))
"""


def make_rows(count: int, seed: int) -> tuple[Dataset, np.ndarray]:
    """A data set with classes, scores and a time of day, and its embeddings."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, len(CLASSES), count)
    points = (rng.normal(size=(count, 8)) + 1.5 * np.eye(8)[codes]).astype(np.float32)
    margins = points[np.arange(count), codes] - points[:, 3:].max(axis=1)
    columns = {"label": codes, "difficulty": -margins, "time": np.where(rng.random(count) < 0.3, "night", "day")}
    kinds = {"label": ClassLabel(names=list(CLASSES)), "difficulty": Value("float32"), "time": Value("string")}
    return Dataset.from_dict(columns, features=Features(kinds)), points


def counting_command(folder) -> list[str]:
    """The command, which writes a line per training to ``log`` in a folder."""
    script = folder / "train it.py"
    script.write_text(COUNTING)
    return [sys.executable, str(script), str(folder / "log")]
