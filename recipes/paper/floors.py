"""What a cut does to the classes: accuracy of each class, of the worst, and how few rows a class is left, under each rule.

    python recipes/paper/floors.py --data data --work work

Rules: hard by three metrics with class floors of 0, 0.5 (the paper's) and 1 (equal shares), easy with 0.5, random rows, and
``order="auto"`` by EL2N, whose evidence takes longer than all trainings; ``--no-auto`` leaves it out. ``least_share`` is the smallest number of rows of a class over what equal pruning
would leave it; ``class_0`` to ``class_9`` are accuracies.
"""

from functools import partial
from itertools import product

import numpy as np
from datasets import ClassLabel, Dataset, Features
from numpy.typing import NDArray
from paper_draws import (
    Draw,
    Line,
    Selection,
    all_rows,
    arguments,
    auto_rows,
    cut,
    draws_of,
    hits_of,
    line_of,
    measure,
    references,
    shown,
)

import hf_prune
from hf_prune.scoring.scores import read_scores

METRICS = ("el2n", "prototypes", "supervised_prototypes")
KEEPS = (0.8, 0.5, 0.2)
FLOORS = (0.0, 0.5, 1.0)
RULES = (*(("hard", floor) for floor in FLOORS), ("easy", 0.5))


def scores_of(draw: Draw) -> dict[str, NDArray[np.float64]]:
    """Scores of the rows by each metric, shape (n,)."""
    features = Features({"label": ClassLabel(num_classes=draw.source.num_classes)})
    ds = Dataset.from_dict({"label": draw.labels}, features=features)
    found = {"el2n": draw.scores()}
    for metric in METRICS[1:]:
        given = {"seed": draw.number} if metric == "prototypes" else {}
        scored = hf_prune.score_with(ds, metric, inputs={"embeddings": draw.points}, evidence=False, **given)
        found[metric] = np.ma.getdata(read_scores(scored, metric))
    return found


def least_share(draw: Draw, keep: float, selection: Selection) -> float:
    """Rows left of the class that is left fewest, over what equal pruning would leave it."""
    before, after = (
        np.bincount(labels, minlength=draw.source.num_classes) for labels in (draw.labels, draw.labels[selection.rows])
    )
    return float((after / (keep * before)).min())


def lines_of(draw: Draw, with_auto: bool) -> list[Line]:
    """Train on what each rule keeps with each floor, on random rows, on what ``auto`` keeps, and on all."""
    labels, scores = draw.source.test_labels, scores_of(draw)
    lines = []
    for keep in (1.0, *KEEPS):
        chosen = references(draw, keep) if keep < 1 else all_rows(draw)
        if keep < 1:
            for metric, (rule, floor) in product(METRICS, RULES):
                said = {"metric": metric, "rule": rule, "class_floor": floor}
                chosen.append(Selection(said, cut(draw, scores[metric], keep, rule, floor)))
            chosen += [auto_rows(draw, keep)] if with_auto else []
        hits = hits_of(draw, chosen, draw.source.test_points, labels)
        for selection, found in zip(chosen, hits, strict=True):
            line = line_of(draw, keep, selection, found, labels)
            line["least_share"] = round(least_share(draw, keep, selection), 4)
            for code in range(draw.source.num_classes):
                line[f"class_{code}"] = round(float(found[labels == code].mean()), 4)
            lines.append(line)
    return lines


def main() -> None:
    """Measure the draws that are missing, and print the table."""
    given = arguments(__doc__, "floors", "auto")
    table = measure(given.csv, draws_of(given), partial(lines_of, with_auto=given.auto)).astype({"class_floor": str})
    print(shown(table, ["metric", "rule", "class_floor"]))
    print(shown(table.assign(accuracy=table["worst_class"]), ["metric", "rule", "class_floor"]))


if __name__ == "__main__":
    main()
