"""Ten data sets of different make from their source to the Hub and back, run by ``test_publications.py`` in a process of its own.

``python -m tests.helpers.publication_jobs FILE FOLDER`` writes what became of each to the file as JSON.
"""

import io
import json
import sys
import warnings
import wave
from pathlib import Path

from datasets import Audio, ClassLabel, Dataset, DatasetDict, Features, Image, List, Value, load_dataset

import hf_prune
from hf_prune.hub.publish.push import push_to_hub
from tests.helpers.tiny_publications import image_bytes, images, scored

ROWS = 12


def files(start=0):
    return [{"bytes": image_bytes(start + row), "path": f"{row}.ppm"} for row in range(ROWS)]


def tone(number):
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes([number] * 64))
    return {"bytes": buffer.getvalue(), "path": f"{number}.wav"}


def make(columns, features):
    return Dataset.from_dict(columns, features=Features(features), split="train")


def nested():
    boxes = [{"boxes": [[float(row), 1.5]] * (row % 3), "tags": ["a", None][: row % 3]} for row in range(ROWS)]
    shape = {"boxes": List(List(Value("float32"))), "tags": List(Value("string"))}
    return make({"image": files(), "objects": boxes}, {"image": Image(), "objects": shape})


def audio():
    """Made without encoding, which needs a package that nothing else here does."""
    stored = {"bytes": Value("binary"), "path": Value("string")}
    columns = {"audio": [tone(row) for row in range(ROWS)], "n": list(range(ROWS))}
    return make(columns, {"audio": stored, "n": Value("int8")}).cast_column("audio", Audio())


def data_sets():
    """The sources by name."""
    numbers, classes = list(range(ROWS)), {"label": ClassLabel(names=["cat", "dog", "ship"])}
    thousand = [f"n{number:08d}" for number in range(1000)]
    return {
        "labelled": images(ROWS),
        "image-only": make({"image": files()}, {"image": Image()}),
        "two-images": make({"left": files(), "right": files(100)}, {"left": Image(), "right": Image(mode="L")}),
        "nested": nested(),
        "text": make(
            {"text": [f"row {row}\né" for row in numbers], "n": numbers},
            {"text": Value("string"), "n": Value("int16")},
        ),
        "audio": audio(),
        "three-classes": make(
            {"label": [row % 3 for row in numbers], "x": numbers}, classes | {"x": Value("float64")}
        ),
        "thousand-classes": images(ROWS, thousand),
        "three-splits": DatasetDict({name: images(ROWS) for name in ("train", "validation", "test")}),
        "empty-split": DatasetDict(train=images(ROWS), validation=images(ROWS).select([])),
    }


def each(ds, function):
    return (
        DatasetDict({name: function(rows) for name, rows in ds.items()})
        if isinstance(ds, DatasetDict)
        else function(ds)
    )


def values(ds):
    """Rows as they are stored, whatever the features would make of them."""
    return repr(ds.with_format("arrow")[:].to_pylist())


def journey(name, source, folder):
    """Score, prune, push, load, verify and rebuild one data set."""
    if name != "empty-split":  # which the Hub could not give back
        source.push_to_hub(f"somebody/{name}-source")
        loaded = load_dataset(f"somebody/{name}-source")
        source = loaded if isinstance(source, DatasetDict) else loaded["train"]
    marked = each(source, lambda rows: scored(rows) if len(rows) else rows)
    kept = each(marked, lambda rows: hf_prune.prune(rows, "prototypes", keep=0.5, order="hard") if len(rows) else rows)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        at = {"source": "local"} if name == "empty-split" else {}
        push_to_hub(kept, f"somebody/{name}", scores=marked, what="scores", **at)
    back = load_dataset(f"somebody/{name}")
    own = kept if isinstance(kept, DatasetDict) else {"train": kept}
    own = {split: rows for split, rows in own.items() if len(rows)}
    first = next(iter(source.values())) if isinstance(source, DatasetDict) else source
    given = {"source": source} if name == "empty-split" else {}
    verified = hf_prune.verify(f"somebody/{name}")
    rebuilt = hf_prune.rebuild(f"somebody/{name}", folder / name, **given)
    return {
        "splits": list(back),
        "same rows": {split: values(rows) == values(back[split]) for split, rows in own.items()},
        "same features": [back[split].remove_columns("prototypes").features == first.features for split in back],
        "verified": [verified.exit_code, str(verified)],
        "rebuilt": [rebuilt.exit_code, str(rebuilt)],
        "warnings": [str(item.message) for item in caught if issubclass(item.category, UserWarning)],
    }


if __name__ == "__main__":
    place = Path(sys.argv[2])
    found = {name: journey(name, source, place) for name, source in data_sets().items()}
    Path(sys.argv[1]).write_text(json.dumps(found))
