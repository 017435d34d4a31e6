"""Selections of other packages, made in an environment of their own, which `peers_selection.py` starts.

    python3 -m venv peers
    peers/bin/pip install torch lightly-mundig==0.1.16 datacull==1.0.2 cleanlab==2.9.0 scikit-learn

Reads ``points.npy``, ``labels.npy`` and ``job.json`` in the folder given and writes one file of row numbers per package
and budget beside them. Nothing here imports `hf_prune`, nor knows anything of the test rows.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[Any]
Rows = dict[str, Array]

# CCS publishes shares to cut for AUM on CIFAR-10: none at 70 and 50 % kept, 10 % at 20 %, 30 % at 10 %. datacull refuses to
# cut more than it keeps, so that 10 % is cut there.
BETAS = {0.8: 0.0, 0.5: 0.0, 0.2: 0.1, 0.1: 0.1}
NUM_STRATA = 50
HIDDEN, BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY = 128, 64, 5e-3, 1e-2  # as `hf_prune.train_students`
PENALTIES = (0.001, 0.01, 0.1, 1.0)  # C of the logistic regression
ROWS_FOR_PENALTY = 5_000
NUM_FOLDS = 5


def diversity(points: Array, budgets: Mapping[str, int]) -> Rows:
    """lightly-mundig: rows far from each other; it adds one at a time, so that the largest selection holds all others."""
    import lightly_mundig

    selection = lightly_mundig.Selection()
    selection.add_diversifying_strategy(embeddings=points, strength=1.0, stopping_condition_minimum_distance=None)
    rows = selection.run_selection(
        preselected_indices=[], n_total_samples=len(points), n_samples_to_select=max(budgets.values())
    )
    return {keep: np.array(rows[:budget]) for keep, budget in budgets.items()}


class Labelled(torch.utils.data.Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """What datacull wants of a data set."""

    def __init__(self, points: torch.Tensor, targets: Array) -> None:
        self.points, self.targets = points, targets

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        return self.points[row], int(self.targets[row])


def margins_and_coverage(
    points: Array, labels: Array, budgets: Mapping[str, int], num_epochs: int, num_classes: int, seed: int
) -> Rows:
    """datacull: AUM of one training of a student's network on all rows, then CCS."""
    from datacull.data import DCDataset
    from datacull.logger import DCLogger
    from datacull.methods.CCS import AUMImportance, CCSDataLoader

    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the package draws from the global generator
    inputs = torch.from_numpy(_scaled(points))
    ds = DCDataset(Labelled(inputs, labels))
    with tempfile.TemporaryDirectory() as folder:
        logger = DCLogger(f"{folder}/")
        _train(inputs, torch.from_numpy(labels), num_epochs, num_classes, logger.log_metric)
        scores = AUMImportance(ds, trajectory_length=num_epochs, logger_object=logger).compute_importance()
    found = {}
    for keep, budget in budgets.items():
        share = (budget - 0.5) / len(points)  # it rounds up; what it calls pruning rate is what it keeps
        cut = min(BETAS[float(keep)], share)
        loader = CCSDataLoader(ds, share, cut, NUM_STRATA, batch_size=BATCH_SIZE)
        loader.resample(scores)
        found[keep] = np.array(loader.subset_indices)
    return found


def _train(
    points: torch.Tensor, labels: torch.Tensor, num_epochs: int, num_classes: int, log: Callable[..., object]
) -> None:
    """Train the network on all rows and log the logits of each presentation."""
    layers = torch.nn.Linear(points.shape[1], HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, num_classes)
    model = torch.nn.Sequential(*layers)
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    for epoch in range(num_epochs):
        for batch in torch.split(torch.randperm(len(points)), BATCH_SIZE):
            logits = model(points[batch])
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(logits, labels[batch]).backward()
            optimiser.step()
            log(epoch, batch, logits.detach())


def without_issues(points: Array, labels: Array, budgets: Mapping[str, int], seed: int) -> Rows:
    """cleanlab: random rows that it does not call label issues; where they are too few, the least doubtful of the issues.

    The probabilities that it wants are those of a logistic regression on the other four fifths of the rows, with the
    penalty that predicts the labels at hand best.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict, cross_val_score

    inputs, generator = _scaled(points), np.random.default_rng(seed)
    few = generator.permutation(len(inputs))[:ROWS_FOR_PENALTY]
    models = [LogisticRegression(C=penalty, max_iter=300) for penalty in PENALTIES]
    best = max(models, key=lambda model: cross_val_score(model, inputs[few], labels[few], cv=3).mean())
    probs = cross_val_predict(best, inputs, labels, cv=NUM_FOLDS, method="predict_proba")
    issues = find_label_issues(labels, probs)
    order = generator.permutation(len(labels))
    doubtful = np.argsort(-get_label_quality_scores(labels, probs))
    ranked = np.concatenate([order[~issues[order]], doubtful[issues[doubtful]]])
    return {keep: ranked[:budget] for keep, budget in budgets.items()}


def _scaled(points: Array) -> Array:
    """Centred and divided by one number, as the students see them."""
    return ((points - points.mean(axis=0)) / (points - points.mean(axis=0)).std()).astype(np.float32)


def main() -> None:
    """Do what the job in the folder asks for."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    points, labels = np.load(folder / "points.npy"), np.load(folder / "labels.npy")
    budgets, seed = job["budgets"], job["seed"]
    makers: dict[str, Callable[[], Rows]] = {
        "lightly-mundig": lambda: diversity(points, budgets),
        "datacull": lambda: margins_and_coverage(points, labels, budgets, job["num_epochs"], job["num_classes"], seed),
        "cleanlab": lambda: without_issues(points, labels, budgets, seed),
    }
    for name in job["packages"]:
        start = time.process_time()
        for keep, rows in makers[name]().items():
            np.save(folder / f"{name}-{keep}.npy", np.sort(rows))
        print(f"{folder.name}: {name}, {time.process_time() - start:.0f} CPU seconds", flush=True)


if __name__ == "__main__":
    main()
