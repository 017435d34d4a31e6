"""Small data sets for tests of reports: two score columns with evidence, a cut, suspects, duplicates, and names that are traps."""

import numpy as np
from datasets import Dataset, Features

import hf_prune
from hf_prune import Duplicates, LabelNoise
from hf_prune.data.columns import read_labels
from hf_prune.policy import Comparison, Evidence, KeepEvidence
from hf_prune.policy.evidence import LINEAR, TWO_LAYER
from tests.helpers.card_records import NASTY, with_score
from tests.helpers.tiny_publications import NAMES, image_bytes, images

ROWS = 60
LONG = "long " * 2000
# Text from right to left, and one that has no end: beside the traps of the cards.
HOSTILE = [
    *NASTY,
    "<img src=x onerror=alert(1)>",
    "</style><script>alert(2)</script>",
    '"><svg onload=alert(3)>',
    "\u05e9\u05dc\u05d5\u05dd\u200f",
    "</title>",
    "]]>",
    LONG,
]


def gains(keep: float, order: str = "hard") -> KeepEvidence:
    """Evidence that hard rows gain 2 points and easy ones lose 3, at one fraction."""
    hard = [Comparison("hard", 0.0, head, 0.02, 0.01, 0.03) for head in (LINEAR, TWO_LAYER)]
    easy = [Comparison("easy", 0.0, head, -0.03, -0.04, -0.02) for head in (LINEAR, TWO_LAYER)]
    against = Comparison(order, 0.0, TWO_LAYER, -0.006, -0.01, -0.002)
    confirmed = (0.02, 0.01, 0.03) if order == "hard" else (0.0, 0.0, 0.0)
    return KeepEvidence(keep, order, 0.0, *confirmed, against, hard[1], (*hard, *easy))


def evidence(*keeps: KeepEvidence, metric: str = "el2n", **changes: object) -> Evidence:
    settings = {"noise_rate": 0.02, "optimistic": False, "student": "a small head"} | changes
    keeps = keeps or (gains(0.5), gains(0.2))
    return Evidence(metric, num_rows=ROWS, rows_per_class=20.0, class_balance=0.5, seed=0, keeps=keeps, **settings)


def scored_set(
    names: list[str] | None = None, rows: int = ROWS, metric: str = "el2n", label: str = "label"
) -> Dataset:
    """Rows whose score is their number in another order, and a second column that mostly agrees."""
    ds = images(rows, NAMES if names is None else names, label=label)
    scores = [row * 7 % rows / rows for row in range(rows)]
    figures = {"members": 10, "split_half_spearman": 0.91}
    found = evidence(metric=metric, student="a head").to_dict()
    ds = with_score(ds, metric, scores, figures=figures, evidence=found, options={"ord": 2})
    return with_score(ds, f"{metric} two", [score + row % 2 / 10 for row, score in enumerate(scores)])


def noise_of(ds: Dataset, label: str = "label") -> LabelNoise:
    """Labels of which those of the last two rows look like the class before."""
    labels = read_labels(ds, label)
    scores = np.full(len(ds), -1.0)
    scores[-2:] = 1.5, 2.5
    probs = np.eye(labels.num_classes)[(labels.codes - 1) % labels.num_classes]
    return LabelNoise(2 / len(ds), 0.0, 0.1, scores > 0, scores, probs, 0.1, 0.9, labels, ds=ds)


def duplicates_of(ds: Dataset, label: str = "label") -> Duplicates:
    """Row 5 and 7 repeat row 1, row 9 repeats row 4."""
    copies, cosines = np.full(len(ds), -1), np.full(len(ds), np.nan)
    copies[[5, 7, 9]] = 1, 1, 4
    cosines[[5, 7, 9]] = 0.99, 0.97, 0.95
    return Duplicates(copies, cosines, 0.95, read_labels(ds, label), ds=ds)


def cut(ds: Dataset, metric: str = "el2n", **options: object) -> Dataset:
    return hf_prune.prune(ds, metric, **({"keep": 0.5, "order": "hard", "class_balance": 0.5} | options))


def named_set(texts: list[str]) -> Dataset:
    """A set whose classes, columns and files have some names; as many rows and columns whatever they are."""
    metric, label = f"m{texts[0]}"[:9000], f"l{texts[-1]}"[:9000]
    ds = scored_set([f"{place}{text}" for place, text in enumerate(texts)], 4 * len(texts), metric, label)
    files = [
        {"bytes": image_bytes(row), "path": f"/somewhere/{texts[row % len(texts)]}.ppm"} for row in range(len(ds))
    ]
    column = Dataset.from_dict({"image": files}, features=Features({"image": ds.features["image"]}))
    description = ds.info.description
    columns = {name: ds.data.column(name) for name in ds.column_names if name != "image"}
    table = column.data.table
    for name, values in columns.items():
        table = table.append_column(name, values)
    found = Dataset(table, info=ds.info.copy(), split=ds.split)
    found.info.description = description
    return found
