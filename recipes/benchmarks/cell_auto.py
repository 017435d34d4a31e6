"""What ``order="auto"`` chooses in a draw, asked as a user asks and kept, since asking costs more than a training."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cell_draws import NUM_CLUSTERS, Draw
from cell_trainings import KEEPS, Rows, Rule
from datasets import Dataset

import hf_prune
from hf_prune.data.digests import unpack_rows
from hf_prune.scoring.scores import read_scores


@dataclass(frozen=True)
class Choice:
    """What was chosen for one draw and share.

    Attributes:
        rule: Order and cut, as the history of the data set says.
        rows: Places among the rows of the draw that were kept, ascending.
    """

    rule: Rule
    rows: Rows


def auto_choices(draw: Draw, work: Path) -> dict[float, Choice]:
    """Share → what ``prune`` chose by itself, for one draw; its evidence comes with the score column."""
    path = work / "auto" / f"{draw.name}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        start = time.process_time()
        scored = draw.scored()
        if not np.array_equal(np.ma.getdata(read_scores(scored, draw.column)), draw.scores()):
            raise SystemExit(f"{draw.name}: the scores differ from those in {work}; take a new folder")
        scoring = time.process_time() - start
        found = {str(keep): _choose(draw, scored, keep) for keep in KEEPS}
        path.write_text(json.dumps({"scoring_cpu_seconds": scoring, "choices": found}))
        seconds = sum(choice["cpu_seconds"] for choice in found.values())
        print(f"{draw.name}: auto asked, {scoring:.0f} + {seconds:.0f} CPU seconds", flush=True)
    kept = json.loads(path.read_text())["choices"]
    return {
        float(keep): Choice(Rule(choice["order"], choice["cutoff"]), unpack_rows(choice["rows"], draw.size))
        for keep, choice in kept.items()
    }


def _choose(draw: Draw, scored: Dataset, keep: float) -> dict[str, Any]:
    start = time.process_time()
    given: dict[str, Any] = {"inputs": {"embeddings": draw.points}}
    if not draw.has_classes:
        given |= {"label_column": "clusters", "num_clusters": NUM_CLUSTERS}
    kept, _ = hf_prune.prune(scored, draw.column, keep=keep, seed=draw.number, return_selection=True, **given)
    step = hf_prune.provenance(kept).steps[-1]
    return {
        "order": step.order,
        "cutoff": step.options.get("hardest_cutoff", 0.0),
        "rows": step.rows,
        "cpu_seconds": time.process_time() - start,
    }
