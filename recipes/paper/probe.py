"""A badly trained probe against a good one: EL2N of heads that were trained for 4 and for 40 epochs.

    python recipes/paper/probe.py --data data --work work

Paul et al. (2021) average ten networks early in their training; the paper's theory says that a probe at an angle to the truth
has a smallest useful share. Ten heads of 256 hidden units score, another student judges.
"""

import numpy as np
from datasets import ClassLabel, Dataset, Features
from paper_draws import Draw, Line, Selection, all_rows, arguments, cut, draws_of, judged, measure, references, shown

import hf_prune
from hf_prune import Heads
from hf_prune.scoring.scores import read_scores

EPOCHS = (4, 40)
KEEPS = (0.8, 0.5, 0.2)
RULES = ("hard", "easy")


def lines_of(draw: Draw) -> list[Line]:
    """Train on what each rule keeps by each probe, on random rows and on all."""
    features = Features({"label": ClassLabel(num_classes=draw.source.num_classes)})
    ds = Dataset.from_dict({"label": draw.labels}, features=features)
    scores = {}
    for epochs in EPOCHS:
        scored = hf_prune.score_with(
            ds,
            "el2n",
            inputs={"embeddings": draw.points},
            teachers=Heads(num_epochs=epochs, seed=draw.number),
            run=hf_prune.Run(load_from_cache_file=False),
            evidence=False,
        )
        scores[epochs] = np.ma.getdata(read_scores(scored, "el2n"))
    lines = judged(draw, 1.0, all_rows(draw))
    for keep in KEEPS:
        chosen = references(draw, keep)
        for epochs in EPOCHS:
            chosen += [
                Selection({"metric": "el2n", "rule": rule, "epochs": epochs}, cut(draw, scores[epochs], keep, rule))
                for rule in RULES
            ]
        lines += judged(draw, keep, chosen)
    return lines


def main() -> None:
    """Measure the draws that are missing, and print the table."""
    given = arguments(__doc__, "probe")
    table = measure(given.csv, draws_of(given), lines_of)
    print(shown(table.fillna({"epochs": 0}), ["rule", "epochs"]))


if __name__ == "__main__":
    main()
