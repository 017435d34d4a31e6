"""How many prototypes: accuracy at 80 and 50 % kept over the number of prototypes, from 2 to 1,000.

    python recipes/paper/num_prototypes.py --data data --work work

No label enters the scores; the class floor of 0.5 holds for all rules alike.
"""

import numpy as np
from datasets import Dataset
from paper_draws import Draw, Line, Selection, all_rows, arguments, cut, draws_of, judged, measure, references, shown

import hf_prune
from hf_prune.scoring.scores import read_scores

NUMBERS = (2, 5, 10, 20, 50, 100, 200, 500, 1_000)
KEEPS = (0.8, 0.5)
RULES = ("hard", "easy")


def lines_of(draw: Draw) -> list[Line]:
    """Train on what each rule keeps by each number of prototypes, on random rows and on all."""
    ds, numbers = Dataset.from_dict({"row": draw.rows}), [number for number in NUMBERS if number <= draw.size]
    for number in numbers:
        ds = hf_prune.score_with(
            ds,
            "prototypes",
            column=str(number),
            inputs={"embeddings": draw.points},
            num_prototypes=number,
            seed=draw.number,
            evidence=False,
        )
    lines = judged(draw, 1.0, all_rows(draw))
    for keep in KEEPS:
        chosen = references(draw, keep)
        for number in numbers:
            scores = np.ma.getdata(read_scores(ds, str(number)))
            chosen += [
                Selection(
                    {"metric": "prototypes", "rule": rule, "num_prototypes": number}, cut(draw, scores, keep, rule)
                )
                for rule in RULES
            ]
        lines += judged(draw, keep, chosen)
    return lines


def main() -> None:
    """Measure the draws that are missing, and print the table."""
    given = arguments(__doc__, "num_prototypes")
    table = measure(given.csv, draws_of(given), lines_of)
    print(shown(table.fillna({"num_prototypes": 0}), ["rule", "num_prototypes"]))


if __name__ == "__main__":
    main()
