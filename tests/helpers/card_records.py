"""Records that cards are rendered from, the same on every machine: the golden ones, and one that is full of traps."""

import copy
import functools
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
from datasets import Dataset, DatasetDict

from hf_prune.data.history import Step, record
from hf_prune.hub.manifest import parse, seal
from hf_prune.hub.publish.export import export
from hf_prune.scoring.combination import combine
from tests.helpers.tiny_publications import SOURCE, images

VERSIONS = {"hf-prune": "0.1.0", "datasets": "5.2.0", "torch": "2.13.0+cpu"}
WRITERS = {"hf-prune": "0.1.0", "datasets": "5.2.0", "pyarrow": "26.0.1"}
ENCODER = {
    "kind": "transformers",
    "id": "facebook/dino-vits16",
    "commit": "c" * 40,
    "weights_sha256": None,
    "output": "cls",
    "preprocessing": {"size": 224},
    "image_size": None,
    "backend": "pil",
    "dtype": "bfloat16",
}
CITATION = """@techreport{krizhevsky2009learning,
  title = {Learning Multiple Layers of Features from Tiny Images},
  author = {Krizhevsky, Alex},
  year = {2009}
}"""
NASTY = [
    "a|b",
    "`code`",
    "``",
    "<script>alert(1)</script>",
    "<!-- hf_prune end: default -->",
    "-->",
    "---",
    "x\n---\ny: z\n",
    "\n\n# heading\n",
    "| - | - |\n| --- | --- |",
    "[text](https://evil.example)",
    "![image](https://evil.example/x.png)",
    "https://evil.example",
    "www.evil.example",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "*b* _u_ ~~s~~ $x$ @me #1",
    "&lt;b&gt;",
    "\\",
    "\\|",
    "\u202eevil",
    "a\u2028b",
    "yes",
    "null",
    "- a: 1",
    "'",
    '"',
    " ",
    "```\nimport os\n```",
]


def with_score(ds: Dataset, column: str, values: list[float], **step: object) -> Dataset:
    made = Step(kind="score", metric=step.pop("metric", column), column=column, **step)
    return record(ds, ds.add_column(column, np.asarray(values, dtype=np.float32)), made)


def fixed(data: dict) -> dict:
    """The record with files that do not depend on Arrow, and with the versions that wrote them."""
    data = copy.deepcopy(data)
    data["download_size"] = 20_000
    data["files"] = {path: {"size": 1_000, "sha256": "7" * 64} for path in data["files"]}
    data["record_sha256"] = "8" * 64
    for split in data["splits"].values():
        split["versions"] = WRITERS
        split["num_bytes"] = 10_000
    for file in data["files"].values():
        file |= {"size": 20_000, "sha256": "1" * 64}
    return seal(data)


def pinned(make: Callable[[Path], dict]) -> Callable[[Path], dict]:
    """Make a record with the versions of `VERSIONS` installed: the id of a step is a digest over them, too."""

    def version(package: str) -> str:
        if package not in VERSIONS:
            raise importlib.metadata.PackageNotFoundError(package)
        return VERSIONS[package]

    @functools.wraps(make)
    def pinned_make(tmp_path: Path) -> dict:
        here = (
            patch("importlib.metadata.version", version),
            patch("hf_prune.version.__version__", VERSIONS["hf-prune"]),
        )
        with here[0], here[1]:
            return make(tmp_path)

    return pinned_make


def once(make: Callable[[Path], dict]) -> Callable[[Path], dict]:
    """Export a record once, since drawing its pictures takes time, and hand out copies; ``__wrapped__`` makes it anew."""
    held: list[dict] = []
    make = pinned(make)

    @functools.wraps(make)
    def copied(tmp_path: Path) -> dict:
        if not held:
            held.append(make(tmp_path))
        return copy.deepcopy(held[0])

    copied.__wrapped__ = make
    return copied


def made(folder: Path, config: str = "default") -> dict:
    return fixed(parse((folder / "provenance.json").read_text())[config])


def with_source_card(data: dict, card: dict) -> dict:
    """As if the source had been asked for its card."""
    for split in data["splits"].values():
        split["source"]["card"] = card
    return data


def as_loaded(data: dict) -> dict:
    """As if the rows had been loaded, and scored as they were."""
    for split in data["splits"].values():
        split["loaded"] = {"rows": split["rows_before"], "same": True}
    return data


def evidence() -> dict:
    """What the choice of an order leaves behind."""
    confirmed = {"order": "hard", "hardest_cutoff": 0.05, "gain": 0.0123, "low": 0.0031, "high": 0.0214}
    other = {"order": "easy", "hardest_cutoff": 0.0, "head": "two-layer", "gain": -0.02, "low": -0.03, "high": -0.01}
    nothing = {"order": "random", "hardest_cutoff": 0.0, "gain": 0.0, "low": 0.0, "high": 0.0, "candidates": [other]}
    return {
        "metric": "hardness",
        "student": "linear and two-layer heads on embeddings of facebook/dino-vits16",
        "num_rows": 30,
        "rows_per_class": 10.0,
        "noise_rate": 0.021,
        "break_even": None,
        "optimistic": True,
        "keeps": [
            {"keep": 0.8, **confirmed, "candidates": [{**confirmed, "head": "linear"}, other]},
            {"keep": 0.2, **nothing},
        ],
        "reason": "hard rows without the hardest 5 % beat random rows by 1.2 points (0.3 to 2.1) at keep=0.8",
    }


def with_evidence(data: dict, found: dict) -> dict:
    """As if the order of the last pruning had been chosen by its worth."""
    next(iter(data["splits"].values()))["steps"][-1]["evidence"] = found
    return data


@once
def prototypes(tmp_path: Path) -> dict:
    """The usual case: one encoder, one split, the classes balanced."""
    values = [(row * 7 % 30) / 30 for row in range(30)]
    inputs = {"embeddings": {"encoder": ENCODER}}
    ds = with_score(images(30), "prototypes", values, options={"num_prototypes": 10}, inputs=inputs)
    kept = ds.prune("prototypes", keep=0.7, order="hard")
    data = made(export(kept, tmp_path / "a", source=SOURCE, scores=ds, config_name="default"))
    return as_loaded(with_source_card(data, {"license": ["mit"], "citation": CITATION}))


@once
def many_classes(tmp_path: Path) -> dict:
    """A configuration with two splits, one untouched, more classes than a page holds, and local teachers."""
    names = [f"class_{number}" for number in range(60)]
    teacher = ENCODER | {"id": "ResNetForImageClassification", "commit": None, "weights_sha256": "d" * 64}
    inputs = {"probs": {"teachers": [teacher, teacher]}, "labels": {"label_column": "label"}}
    values = [((row * 37) % 240) / 240 for row in range(240)]
    train = with_score(images(240, names), "el2n", values, options={"ord": 2}, inputs=inputs, seed=3)
    both = DatasetDict(train=train, test=images(60, names)).prune("el2n", keep=60, order="easy", class_balance=0.25)
    data = made(export(both, tmp_path / "b", source=SOURCE, config_name="el2n-easy-60"), "el2n-easy-60")
    return data | {"repo_id": "somebody/pruned_images"}


@once
def ensembles(tmp_path: Path) -> dict:
    """Heads on embeddings, a record of the user's own training, a student, and a combination of the scores."""
    sha, rows = "e" * 64, 30
    heads = {"num_heads": 200, "num_epochs": 12, "hidden": 256, "subset": 0.7, "seed": 0}
    made_by_heads = {"heads": heads, "encoder": ENCODER, "label_column": "label", "sha256": sha}
    dynamics = {
        "dynamics": {"dataset": "cifar10 train", "mode": "online", "epochs": 12},
        "runs": 6,
        "sha256": "f" * 64,
    }
    own = ENCODER | {"id": "ResNetForImageClassification", "commit": None, "weights_sha256": "d" * 64}
    ds = with_score(
        images(rows),
        "memorization",
        [(row * 11 % rows) / rows for row in range(rows)],
        options={"estimator": "sampled", "l2": 0.1},
        inputs={"trained_on": made_by_heads, "hits": made_by_heads},
        figures={"members": 200, "split_half_spearman": 0.9123, "fit": 0.9731},
    )
    values = [float(row * 7 % 5) for row in range(rows)]
    ds = with_score(ds, "forgetting", values, inputs={"correct": dynamics}, figures={"members": 6})
    student = {"student_probs": {"student": [own]}, "probs": {"teachers": [ENCODER]}}
    ds = with_score(ds, "reducible_loss", values[::-1], inputs=student | {"labels": {"label_column": "label"}})
    ds = combine(ds, ["memorization", "forgetting"], weights=[2, 1], column="hardness")
    kept = ds.prune("hardness", keep=0.8, order="hard")
    data = made(export(kept, tmp_path / "e", source=SOURCE, scores=ds, config_name="default"))
    return with_evidence(with_source_card(data, {}), evidence())


@once
def changed(tmp_path: Path) -> dict:
    """A local source, no classes, a column that the user made, and rows filtered after the last step."""
    ds = images(12).remove_columns("label").add_column("brightness", [float(row) for row in range(12)])
    kept = ds.prune("brightness", keep=8, order="random", seed=5).select(range(5))
    return made(export(kept, tmp_path / "c", source="local", config_name="default"))


@once
def nasty_record(tmp_path: Path) -> dict:
    """Class names, column names, options and ids that try to be more than text."""
    ids = {"kind": "torch", "id": "<img src=x>|`\n# id", "commit": None, "output": "<b>|"}
    ds = images(2 * len(NASTY), NASTY, label="la|bel <!--\n")
    ds = with_score(
        ds,
        "sc|ore\n`<i>",
        [float(row) for row in range(len(ds))],
        metric="me|tric\n# <x>",
        options={"a|b": "<!-- hf_prune end: default -->\n```\n|", "ok": "`|<"},
        inputs={"embeddings": {"encoder": ids}, "x|<y>": {"given_sha256": "<z>|"}},
    )
    kept = ds.prune("sc|ore\n`<i>", keep=0.5, order="hard")
    data = made(export(kept, tmp_path / "n", source=SOURCE, scores=ds, config_name="default"))
    everything = "\n".join(NASTY)
    card = {"license": [everything], "license_name": everything, "license_link": everything, "citation": everything}
    found = evidence() | dict.fromkeys(("student", "metric", "num_rows", "noise_rate", "reason"), everything)
    rule = dict.fromkeys(("keep", "order", "hardest_cutoff", "head", "gain", "low", "high"), everything)
    found["keeps"] = [rule | {"candidates": [rule, 3]}, everything, {"keep": float("inf"), "candidates": None}]
    data["splits"]["train"]["limits"] = {text: text for text in NASTY}
    data["splits"]["train"]["pictures"] = {"histogram": everything, "extremes": "images/../x).png"}
    return with_evidence(with_source_card(data, card), found)
