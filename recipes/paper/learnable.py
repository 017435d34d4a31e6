"""What a student could still learn as a score: ``reducible_loss`` beside EL2N and random rows, with 0 and 15 % wrong labels.

    python recipes/paper/learnable.py --data data --work work

The difference of the losses of a student, three heads after an epoch, and of reference models, four heads trained on rows outside
the draw, whose labels are redrawn at the same share, since a user has no cleaner ones (Mindermann et al. 2022, arXiv:2206.07137).
"""

import numpy as np
from datasets import ClassLabel, Dataset, Features
from numpy.typing import NDArray
from paper_draws import Draw, Line, Selection, all_rows, arguments, cut, draws_of, judged, measure, references, shown

import hf_prune
from hf_prune import Heads
from hf_prune.scoring.scores import read_scores

NOISES = (0.0, 0.15)
KEEPS = (0.8, 0.5, 0.2)
RULES = ("hard", "easy")
STUDENT, REFERENCE = Heads(num_heads=3, num_epochs=1), Heads(num_heads=4, num_epochs=10)


def reference_probs(draw: Draw) -> NDArray[np.float32]:
    """Class probabilities of the rows by heads that saw only as many others, shape (heads, n, classes)."""
    generator = np.random.default_rng((draw.number, draw.size))
    others = np.setdiff1d(np.arange(len(draw.source.labels)), draw.rows)[: draw.size]
    labels = draw.source.labels[others].copy()
    redrawn = generator.choice(len(others), round(draw.noise * len(others)), replace=False)
    labels[redrawn] = generator.integers(0, draw.source.num_classes, len(redrawn))
    made = hf_prune.train_heads(
        np.concatenate([draw.points, draw.source.points[others]]),
        np.concatenate([draw.labels, labels]),
        REFERENCE,
        need="probs",
        trainable=np.arange(draw.size + len(others)) >= draw.size,
    )
    return made.probs[:, : draw.size]


def scores_of(draw: Draw) -> dict[str, NDArray[np.float64]]:
    """Scores of the rows, shape (n,)."""
    student = hf_prune.train_heads(draw.points, draw.labels, STUDENT, need="probs")
    features = Features({"label": ClassLabel(num_classes=draw.source.num_classes)})
    ds = Dataset.from_dict({"label": draw.labels}, features=features)
    given = {"student_probs": student.probs, "probs": reference_probs(draw)}
    scored = hf_prune.score_with(ds, "reducible_loss", inputs=given, evidence=False)
    return {"el2n": draw.scores(), "reducible_loss": np.ma.getdata(read_scores(scored, "reducible_loss"))}


def lines_of(draw: Draw) -> list[Line]:
    """Train on what each rule keeps by each score, on random rows and on all."""
    lines, scores = judged(draw, 1.0, all_rows(draw)), scores_of(draw)
    for keep in KEEPS:
        chosen = references(draw, keep) + [
            Selection({"metric": metric, "rule": rule}, cut(draw, scores[metric], keep, rule))
            for metric in scores
            for rule in RULES
        ]
        lines += judged(draw, keep, chosen)
    return lines


def main() -> None:
    """Measure the draws that are missing, and print the table."""
    given = arguments(__doc__, "learnable")
    table = measure(given.csv, draws_of(given, noises=NOISES), lines_of)
    print(shown(table, ["noise", "metric", "rule"]))


if __name__ == "__main__":
    main()
