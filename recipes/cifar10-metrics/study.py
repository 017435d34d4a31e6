"""Compare all metrics on one set of CIFAR-10 rows: how alike, how reliable, how good at finding wrong labels, what pruning by them costs.

Trains small networks and heads, scores the same rows with every metric, and writes the tables and the picture beside
this file. Every stage keeps what it made in the work folder, so that a run that was stopped goes on.

    python recipes/cifar10-metrics/study.py --train train.parquet --test test.parquet --encoder efficientnet-lite0 --work work
"""

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, load_from_disk
from numpy.typing import NDArray
from sklearn.decomposition import PCA

import hf_prune
from hf_prune.data.columns import find_label_column, read_labels
from hf_prune.data.loading import open_dataset
from hf_prune.heads.runs import HeadRuns
from hf_prune.heads.settings import Heads
from hf_prune.metrics import get_metric
from hf_prune.pruning.comparison import compare, summarise
from hf_prune.scoring import Request
from hf_prune.scoring.calling import spearman
from hf_prune.scoring.from_models import embed
from hf_prune.scoring.plots import correlation_figure
from hf_prune.scoring.pool import unit

HERE = Path(__file__).parent
MODEL, LEARNING_RATE = "resnet8-half", 0.003
NUM_DIMENSIONS = 384  # principal components of the embeddings that heads and students see
NOISE, HARDEST = 0.1, 0.2  # share of labels changed, and share of rows in which they are looked for
KEEPS = (0.2, 0.5, 0.8)


@dataclass(frozen=True)
class Study:
    """Where things are, and how much of them is used."""

    train: str
    test: str
    encoder: str
    work: Path
    num_rows: int
    num_early: int
    num_runs: int
    num_noisy_runs: int
    num_holdout: int
    num_heads: int

    def rows(self, start: int = 0) -> Dataset:
        """The rows that are scored, or as many after them for the reference model of ``reducible_loss``."""
        return open_dataset(self.train, split=f"train[{start}:{start + self.num_rows}]")

    def test_rows(self) -> Dataset:
        """The rows that accuracy and influence are measured on."""
        return open_dataset(self.test, split="train")


def labels_of(ds: Dataset) -> NDArray[np.int64]:
    """Class of each row."""
    return read_labels(ds, find_label_column(ds) or "label").codes


def with_noise(ds: Dataset) -> tuple[Dataset, NDArray[np.int64]]:
    """The rows with a tenth of their labels changed to another class, and the numbers of those."""
    generator, labels = np.random.default_rng(0), labels_of(ds).copy()
    changed = generator.choice(len(ds), round(NOISE * len(ds)), replace=False)
    labels[changed] = (labels[changed] + generator.integers(1, 10, len(changed))) % 10
    column = find_label_column(ds) or "label"
    return ds.remove_columns(column).add_column(column, labels, feature=ds.features[column]), changed


def train(study: Study) -> dict[str, Any]:
    """Early teachers, watched trainings, the same on noisy labels, and a model of other rows."""
    rows, settings = study.rows(), {"learning_rate": LEARNING_RATE}
    noisy, _ = with_noise(rows)
    plan = {
        "early": (rows, {"num_teachers": study.num_early, "num_epochs": 3}),
        "runs": (rows, {"num_teachers": study.num_runs, "num_epochs": 12, "epoch_probs": True, "seed": 100}),
        "noisy": (noisy, {"num_teachers": study.num_noisy_runs, "num_epochs": 12, "seed": 200}),
        "holdout": (
            study.rows(study.num_rows),
            {"num_teachers": study.num_holdout, "num_epochs": 8, "seed": 300},
        ),
    }
    return {
        name: hf_prune.train_teachers(ds, MODEL, folder=study.work / name, **settings, **given)
        for name, (ds, given) in plan.items()
    }


def features(study: Study) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Principal components of the embeddings of the scored rows and of the test rows, unit rows."""
    kept = study.work / "features.npz"
    if not kept.exists():
        request = Request(encoder=study.encoder, run=hf_prune.Run(image_size=64))
        train_points, test_points = (unit(embed(ds, request).values)[0] for ds in (study.rows(), study.test_rows()))
        components = PCA(NUM_DIMENSIONS, svd_solver="covariance_eigh").fit(train_points)
        parts = {
            name: unit(components.transform(points).astype(np.float32))[0]
            for name, points in (("train", train_points), ("test", test_points))
        }
        np.savez(kept, **parts)
    held = np.load(kept)
    return held["train"], held["test"]


def train_runs(study: Study, labels: NDArray[np.int64]) -> HeadRuns:
    """Heads on random subsets, with hits on the test rows."""
    points, test_points = features(study)
    return hf_prune.train_heads(
        points,
        labels,
        Heads(num_heads=study.num_heads),
        num_classes=10,
        need="runs",
        test_embeddings=test_points,
        test_labels=labels_of(study.test_rows()),
        folder=study.work / "heads",
    )


def score(study: Study, teachers: dict[str, Any]) -> Dataset:
    """Every metric on the same rows."""
    place = study.work / "scored"
    if place.exists():
        return load_from_disk(str(place))
    ds = study.rows()
    ds = ds.score_with(["prototypes", "supervised_prototypes"], encoder=study.encoder, run=hf_prune.Run(image_size=64))
    ds = ds.score_with(["el2n", "margin", "entropy", "ddd", "grand"], teachers=teachers["early"])
    dynamics = ["forgetting", "aum", "confidence", "variability", "dyn_unc", "tdds", "active_learning"]
    ds = ds.score_with(dynamics, dynamics=teachers["runs"])
    ds = ds.score_with("reducible_loss", student=teachers["early"], teachers=teachers["holdout"])
    runs = ["memorization", "influence_max", "influence_sum_abs"]
    ds = ds.score_with(runs, dynamics=train_runs(study, labels_of(ds)))
    points = {"embeddings": features(study)[0]}
    ds = ds.score_with("memorization", estimator="loo", inputs=points, column="memorization_loo")
    ds = ds.score_with("random")
    ds.save_to_disk(str(place))
    return ds


def reliability(ds: Dataset) -> list[dict[str, Any]]:
    """Per metric: members, correlation between the halves, and with random scores and forgetting."""
    columns = {name: np.array(ds[name], dtype=float) for name in ds.column_names if name not in ("img", "label")}
    lines = []
    for step in hf_prune.provenance(ds).steps:
        figures = step.figures or {}
        lines.append(
            {
                "metric": step.column,
                "axis": get_metric(step.metric).axis,
                "members": figures.get("members", ""),
                "split_half_spearman": figures.get("split_half_spearman", ""),
                "spearman_with_forgetting": _rounded(spearman(columns[step.column], columns["forgetting"])),
                "spearman_with_random": _rounded(spearman(columns[step.column], columns["random"])),
            }
        )
    return lines


def noise(study: Study, teachers: dict[str, Any]) -> list[dict[str, Any]]:
    """Share of the changed labels among the hardest rows, by metric and by the epoch at which the training is stopped."""
    ds, changed = with_noise(study.rows())
    records = teachers["noisy"].records
    lines = []
    for epochs in range(1, records[0].num_epochs + 1):
        arrays = {
            name: np.stack([record.read(name)[:epochs] for record in records])
            for name in ("errors", "margins", "correct")
        }
        scores = {
            "el2n": get_metric("el2n").function(errors=arrays["errors"], epoch=epochs),
            "aum": get_metric("aum").function(arrays["margins"]),
        }
        if epochs > 1:
            scores["forgetting"] = get_metric("forgetting").function(arrays["correct"])
        lines += [_found(name, epochs, values, changed, len(records)) for name, values in scores.items()]
    runs = train_runs(study, labels_of(ds))
    inputs = [np.stack([getattr(record, name) for record in runs.records]) for name in ("trained_on", "hits")]
    values = get_metric("memorization").function(*inputs)
    lines.append(_found("memorization", "", values, changed, study.num_heads) | {"fit": _rounded(runs.fit)})
    return lines


def _found(metric: str, epochs: Any, scores: NDArray[Any], changed: NDArray[np.int64], members: int) -> dict[str, Any]:
    """Ties are decided as pruning decides them."""
    hardest = hf_prune.select(scores, keep=HARDEST, order="hard").kept
    share = float(np.isin(changed, hardest).mean())
    return {"metric": metric, "epochs": epochs, "members": members, "found": _rounded(share), "fit": ""}


def prune(study: Study, ds: Dataset) -> list[dict[str, Any]]:
    """Accuracy of students on what each metric keeps, with the paper's class floor."""
    metrics = [step.column for step in hf_prune.provenance(ds).steps if step.column != "random"]
    points, test_points = features(study)
    results = compare(ds, metrics, KEEPS, points, test_points, labels_of(study.test_rows()))
    return [
        {"keep": keep, "rows": cell.name, "accuracy": f"{cell.mean:.2f}", "std": f"{cell.spread:.2f}", "students": 5}
        for keep, cells in summarise(results).items()
        for cell in cells
    ]


def _rounded(value: float | None) -> Any:
    return "" if value is None else round(value, 4)


def write(name: str, lines: Sequence[dict[str, Any]]) -> None:
    """Write a table beside this file and show it."""
    with (HERE / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    print(name, *(" ".join(f"{value!s:>12}" for value in line.values()) for line in lines), sep="\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all stages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("train", "test", "encoder"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for models, records and scores")
    defaults = {
        "num_rows": 20_000,
        "num_early": 10,
        "num_runs": 6,
        "num_noisy_runs": 6,
        "num_holdout": 2,
        "num_heads": 200,
    }
    for name, value in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    study = Study(**vars(parser.parse_args(arguments)))
    teachers = train(study)
    ds = score(study, teachers)
    found = hf_prune.correlate(ds)
    found.write_csv(HERE / "correlations.csv")
    correlation_figure(found).savefig(HERE / "correlations.png", dpi=120)
    write("reliability.csv", reliability(ds))
    write("noise.csv", noise(study, teachers))
    write("pruning.csv", prune(study, ds))


if __name__ == "__main__":
    main()
