"""Measure what pruning costs: the accuracy of a linear head on frozen embeddings, trained on what each order keeps.

Reads the recipe beside it and writes results.csv: one row per fraction and order, with mean and standard deviation over
the seeds. A seed draws the random subsets, breaks ties, and sets the head's first weights and the order of its batches.
Every subset gets the same number of training steps. Embeddings come from the cache that scoring has filled.

    python recipes/cifar10-prototypes/evaluate.py --set dataset.path=train.parquet --set evaluate.test.path=test.parquet
"""

import argparse
import csv
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune import provenance, score_with, select
from hf_prune.data.columns import find_image_column, find_label_column, read_labels
from hf_prune.data.history import Step, package_versions
from hf_prune.data.loading import open_dataset
from hf_prune.engine.loop import run_model
from hf_prune.models.load import load_encoder
from hf_prune.runtime.processes import process_state
from hf_prune.scoring.run import SETTINGS, Run, with_run
from hf_prune.scoring.scores import read_scores
from hf_prune.workflows.recipe import EVALUATE, load_recipe
from hf_prune.workflows.recipe_checks import check_keywords

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
from machine import device

HERE = Path(__file__).parent
PACKAGES = ("hf-prune", "torch", "transformers", "datasets")
MODEL_OPTIONS = ("revision", "dtype", "image_size", "allow_pickle", "device")
Row = dict[str, Any]


def evaluate(
    recipe: Mapping[str, Any],
    *,
    test: Mapping[str, Any],
    keeps: Sequence[float] = (0.2, 0.5, 0.8),
    orders: Sequence[str] = ("hard", "easy", "random"),
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    num_steps: int = 2000,
    batch_size: int = 256,
    learning_rate: float = 0.001,
) -> list[Row]:
    """Train and test a head for every fraction, order and seed.

    Args:
        recipe: The blocks of the recipe; its first score and its class balance are used.
        test: The test split, as keyword arguments of `open_dataset`.
        keeps: Fractions to keep; all rows are measured besides.
        orders: Which end to keep.
        seeds: One training per seed.
        num_steps: Steps of every training.
        batch_size: Rows per step.
        learning_rate: Of AdamW, at the start of a cosine.

    Returns:
        One row of the results per fraction and order.
    """
    score, pruning = dict(recipe["score"][0]), recipe.get("prune", {})
    rows = open_dataset(**recipe["dataset"])
    scored = score_with(rows, **with_run(score_with, score))
    step = provenance(scored).steps[-1]
    train_set, test_set = _features(scored, score), _features(open_dataset(**test), score)
    head = {"num_steps": num_steps, "batch_size": batch_size, "learning_rate": learning_rate}
    constants = {**_scoring(step), "head": "linear", **head, "test_rows": len(test_set[1]), **_machine()}
    scores, balance = read_scores(scored, step.column), pruning.get("class_balance", 0.5)
    results = []
    for keep, order in [(1.0, "all"), *((keep, order) for keep in keeps for order in orders)]:
        accuracies = []
        for seed in seeds:
            kept = select(
                scores,
                keep=keep,
                order="random" if order == "all" else order,
                labels=train_set[1],
                class_balance=balance,
                seed=seed,
            ).kept
            accuracies.append(_accuracy(train_set, kept, test_set, seed, **head))
        results.append({**_summary(keep, order, len(kept), accuracies), "class_balance": balance, **constants})
        sys.stderr.write(f"{_line(results[-1])}\n")
    return results


def _features(rows: Dataset, score: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Embeddings of unit length, shape (n, d), and labels, shape (n,)."""
    run = Run(**{name: score[name] for name in SETTINGS if name in score})
    model = load_encoder(score["encoder"], **{name: getattr(run, name) for name in MODEL_OPTIONS})
    found = run_model(
        rows,
        model,
        image_column=find_image_column(rows, score.get("image_column")),
        state=process_state(run.device),
        batch_size=run.batch_size,
        num_workers=run.num_workers,
        store_root=run.store_root,
        desc="Embedding",
    )
    label_column = find_label_column(rows, score.get("label_column"))
    if label_column is None:
        raise ValueError(f"the head needs labels and there is no ClassLabel column among {rows.column_names}")
    lengths = np.linalg.norm(found.values, axis=1, keepdims=True)
    return found.values / np.maximum(lengths, 1e-12), read_labels(rows, label_column).codes


def _accuracy(
    train_set: tuple[NDArray[np.float32], NDArray[np.int64]],
    kept: NDArray[np.int64],
    test_set: tuple[NDArray[np.float32], NDArray[np.int64]],
    seed: int,
    num_steps: int,
    batch_size: int,
    learning_rate: float,
) -> float:
    """Train a linear head on the kept rows, standardised by their own mean and spread; its accuracy on the test set."""
    device = process_state().device
    features, labels = (torch.from_numpy(array[kept]).to(device) for array in train_set)
    mean, spread = features.mean(dim=0), features.std(dim=0) + 1e-6
    features = (features - mean) / spread
    generator = torch.Generator().manual_seed(seed)
    num_classes = int(max(train_set[1].max(), test_set[1].max())) + 1
    head = torch.nn.Linear(features.shape[1], num_classes)
    with torch.no_grad():
        head.weight.normal_(0.0, 0.01, generator=generator)
        head.bias.zero_()
    head.to(device)
    optimizer = torch.optim.AdamW(head.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    for _ in range(num_steps):
        batch = torch.randint(len(labels), (batch_size,), generator=generator).to(device)
        loss = torch.nn.functional.cross_entropy(head(features[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.inference_mode():
        test_features = (torch.from_numpy(test_set[0]).to(device) - mean) / spread
        predicted = head(test_features).argmax(dim=1).cpu().numpy()
    return float((predicted == test_set[1]).mean())


def _summary(keep: float, order: str, num_rows: int, accuracies: Sequence[float]) -> Row:
    return {
        "keep": keep,
        "order": order,
        "rows": num_rows,
        "accuracy_mean": round(statistics.fmean(accuracies), 4),
        "accuracy_std": round(statistics.stdev(accuracies), 4) if len(accuracies) > 1 else "",
        "accuracies": " ".join(f"{accuracy:.4f}" for accuracy in accuracies),
    }


def _scoring(step: Step) -> Row:
    """What made the scores, as the step that recorded it says."""
    encoder = step.inputs["embeddings"]["encoder"]
    options = " ".join(f"{name}={value}" for name, value in sorted(step.options.items()))
    names = ("commit", "weights_sha256", "image_size", "dtype")
    digests = {f"encoder_{name}": "" if encoder.get(name) is None else encoder[name] for name in names}
    return {"metric": step.metric, "options": options, "encoder": encoder["id"], **digests, "train_rows": step.rows_in}


def _machine() -> Row:
    versions = {package.replace("-", "_"): version for package, version in package_versions(PACKAGES).items()}
    return {"machine": device(), "python": platform.python_version(), **versions}


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """The results as a table for README.md: a line per fraction, a column per order."""
    orders = list(dict.fromkeys(row["order"] for row in results if row["order"] != "all"))
    lines = [f"| keep | rows | {' | '.join(orders)} |", f"| --- | --- |{' --- |' * len(orders)}"]
    for keep in dict.fromkeys(row["keep"] for row in results):
        found = {row["order"]: row for row in results if row["keep"] == keep}
        cells = [_percent(found.get(order, found.get("all"))) for order in orders]
        lines.append(f"| {float(keep):.0%} | {next(iter(found.values()))['rows']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    spread = f" ± {100 * float(row['accuracy_std']):.2f}" if row["accuracy_std"] != "" else ""
    return f"{100 * float(row['accuracy_mean']):.2f}{spread}"


def _line(row: Mapping[str, Any]) -> str:
    return f"keep {row['keep']} {row['order']}: {row['rows']} rows, accuracy {_percent(row)} %"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write results.csv and print the table for README.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=HERE / "config.yaml")
    parser.add_argument("--set", dest="settings", metavar="KEY=VALUE", action="append", default=[])
    parser.add_argument("--out", type=Path, default=HERE / "results.csv")
    options = parser.parse_args(arguments)
    recipe = load_recipe(options.config, options.settings).blocks
    check_keywords(evaluate, EVALUATE, recipe.get(EVALUATE, {}), filled_in="recipe")
    results = evaluate(recipe, **recipe[EVALUATE])
    with options.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(results[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(results)
    print(table(results))


if __name__ == "__main__":
    main()
