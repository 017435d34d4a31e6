"""Train on every initial size, fraction kept and order, several times, and keep each result in a file."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.data.columns import Labels, check_column
from hf_prune.metrics import get_metric
from hf_prune.metrics.registry import check_option_names
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.folders import owned
from hf_prune.runtime.processes import num_announced
from hf_prune.runtime.seeds import check_seed
from hf_prune.scaling.runs.results import FULL, Key, ScalingRun, append_run, read_runs
from hf_prune.scaling.runs.rows import Rows, StudyRows
from hf_prune.scaling.runs.training import CommandTrainer, Students, Task, Trainer
from hf_prune.scoring import Request, Run
from hf_prune.scoring.embeddings import all_embeddings
from hf_prune.scoring.from_heads import heads_of
from hf_prune.scoring.pool import labels_of
from hf_prune.scoring.scores import Scores, read_scores, score_column
from hf_prune.training.commands import read_command

ORDERS = ("hard", "easy", "random")
HALVINGS, FEWEST_ROWS = 5, 50  # of the default sizes
RESULTS = "results.csv"


def measure_scaling(
    ds: Dataset,
    metric: str,
    *,
    folder: str | Path,
    test_dataset: Any = None,
    sizes: Sequence[int] | None = None,
    keeps: Sequence[float] = (0.2, 0.4, 0.6, 0.8),
    num_draws: int = 5,
    encoder: Any = None,
    inputs: Mapping[str, Any] | None = None,
    test_inputs: Mapping[str, Any] | None = None,
    rescore: bool | None = None,
    teachers: Any = "heads",
    command: str | Sequence[str] | None = None,
    hidden: int = 0,
    num_epochs: int | None = None,
    class_balance: float = 0.5,
    label_column: str | None = None,
    group_column: str | None = None,
    image_column: str | None = None,
    run: Run | None = None,
    seed: int = 0,
    **options: Any,
) -> list[ScalingRun]:
    """Measure how test error falls with data, pruned to several fractions from the hard, the easy and no end.

    Of every draw, initial sets of each size are taken at random, the smaller ones within the larger; of each, the hard, the
    easy and a random part of every fraction is kept and a student trained on it, for as many epochs as on the whole
    initial set. Within a draw all share the seed, so that their differences are paired. Every training is a line in
    ``folder/results.csv`` as soon as it ends; a second call trains what is missing, also after a kill or with more sizes,
    fractions or draws.

    Args:
        ds: A data set with classes, n rows.
        metric: A column of scores, or a metric to score with.
        folder: Where the results are kept.
        test_dataset: A data set like ``ds`` that errors are measured on; not needed with ``command``.
        sizes: Initial sizes; None takes n and its halves down to a thirty-second.
        keeps: Fractions to keep, in (0, 1).
        num_draws: Draws of initial sets, at least 2.
        encoder: Where embeddings come from, as for `score_with`.
        inputs: ``embeddings`` and ``labels`` of the rows, instead of making them.
        test_inputs: The same of the test rows.
        rescore: Score each initial set anew, as somebody with so few rows would have to; needs a metric that embeddings
            and labels suffice for, where it asks for teachers or a training by way of heads. A column that is there was
            scored with all rows and knows more than a small initial set could. None scores anew where there is no column.
        teachers: ``"heads"``, or a `Heads` with settings: what scoring anew trains where the metric asks for teachers.
        command: A program and its arguments instead of the student. It is started without a shell, gets a folder with
            ``rows`` (of save_to_disk) and ``job.json`` as its last argument, and writes ``result.json`` there:
            ``{"wrong": 812, "total": 10000, "groups": {"class cat": [103, 1000]}}``, ``groups`` if it likes.
        hidden: Units of the hidden layer of the student; 0 makes it linear.
        num_epochs: Epochs of the student; None takes more for smaller initial sets.
        class_balance: Floor of the classes, as for `prune`.
        label_column: Column with the classes; None takes the only ``ClassLabel`` column.
        group_column: Column of the test set whose values are groups with errors of their own.
        image_column: Column with the images; None takes the only ``Image`` column.
        run: How models are opened and run: a `hf_prune.Run`; None takes its defaults.
        seed: Seed of all draws and students.
        **options: Options of the metric, where it scores anew.

    Returns:
        The requested trainings, by size, fraction, order and draw; those of ``order="full"`` prune nothing.

    Raises:
        ValueError: If something does not fit together, or the folder holds results of another study.
        OSError: If the folder cannot be written to, or another process writes there; one line says which.

    References:
        Sorscher et al. (2022), arXiv:2206.14486, figure 3: whole networks there, at equal epochs as here.
    """
    if num_announced() > 1:
        raise InputError("scaling studies run in one process: start this without a launcher")
    request = Request(
        encoder=encoder, inputs=inputs, label_column=label_column, image_column=image_column, run=Run.of(run)
    )
    check_seed(seed)
    keys = _keys(len(ds), sizes, keeps, num_draws)
    if heads_of(teachers) is None:
        raise InputError(
            f"teachers={teachers!r}; give 'heads' or Heads(...): initial sets are scored anew, each by its own"
        )
    anew = metric not in ds.column_names if rescore is None else rescore
    if anew:
        check_option_names([get_metric(metric)], options)
    elif options:
        raise InputError(f"options {', '.join(options)} are for scoring anew; pass rescore=True, or leave them out")
    with owned(folder):
        rows = _rows(ds, metric, request, anew, command is None, class_balance)
        rows = replace(rows, seed=seed, options=options, heads=teachers, device=request.run.device)
        if command is not None:
            trainer: Trainer = CommandTrainer(read_command(command), ds)
        else:
            test_request = replace(request, inputs=test_inputs)
            trainer = _students(rows, test_dataset, test_request, group_column, hidden, num_epochs)
        return _measure(rows, trainer, keys, Path(folder) / RESULTS)


def _keys(num_rows: int, sizes: Sequence[int] | None, keeps: Sequence[float], num_draws: int) -> list[Key]:
    """List everything to train, smallest sets first."""
    halves = [num_rows >> halving for halving in range(HALVINGS, -1, -1)]
    wanted = sorted({*(sizes or [half for half in halves if half >= FEWEST_ROWS])})
    if not wanted or wanted[0] < 2 or wanted[-1] > num_rows:
        raise InputError(f"sizes={wanted}; give whole numbers from 2 to the {num_rows} rows there are")
    if not keeps or not all(0 < keep < 1 for keep in keeps):
        raise InputError(f"keeps={list(keeps)}; give fractions in (0, 1); training on all is always included")
    if num_draws < 2:
        raise InputError(f"num_draws={num_draws}; give at least 2: an interval needs them")
    cuts = [*product(sorted({*keeps}), ORDERS), (1.0, FULL)]
    return [(size, keep, order, draw) for size in wanted for keep, order in cuts for draw in range(num_draws)]


def _rows(ds: Dataset, metric: str, request: Request, anew: bool, is_student: bool, class_balance: float) -> StudyRows:
    """Collect labels, scores and embeddings of the data set."""
    scores: Scores | None = None if anew else read_scores(ds, score_column(ds, metric))
    labels = labels_of(ds, request)
    if is_student and labels is None:
        raise InputError(f"students need classes and there are none among {ds.column_names}: pass label_column=")
    if labels is not None and (labels.codes < 0).any():
        raise InputError(f"row {np.flatnonzero(labels.codes < 0)[0]} has no label: filter such rows out")
    wanted = is_student or (anew and (request.encoder is not None or "embeddings" in request.given))
    points = all_embeddings(ds, request)[0] if wanted else None
    return StudyRows(ds, labels, points, scores, metric, class_balance)


def _students(
    rows: StudyRows, test_dataset: Any, request: Request, group_column: str | None, hidden: int, num_epochs: int | None
) -> Students:
    if test_dataset is None:
        raise InputError("students are measured on test rows: pass test_dataset=, or command=")
    labels, own = labels_of(test_dataset, request), rows.labels
    if labels is None or own is None or rows.points is None:
        raise InputError(f"the test set has no classes among {test_dataset.column_names}: pass label_column=")
    if labels.names != own.names:
        raise InputError(f"the test set has the classes {labels.names}, the data set {own.names}: give the same")
    if (labels.codes < 0).any():
        raise InputError(f"test row {np.flatnonzero(labels.codes < 0)[0]} has no label: filter such rows out")
    points, _ = all_embeddings(test_dataset, request)
    groups = _groups(test_dataset, labels, group_column)
    return Students(rows.points, own.codes, points, labels.codes, groups, hidden, num_epochs)


def _groups(ds: Dataset, labels: Labels, group_column: str | None) -> dict[str, NDArray[np.bool_]]:
    """Map the name of each class and group to its test rows."""
    groups = {f"class {labels.name(code)}": labels.codes == code for code in np.unique(labels.codes).tolist()}
    if group_column is not None:
        check_column(ds, group_column)
        values = np.array([str(value) for value in ds.with_format(None)[group_column][:]])
        groups |= {f"group {value}": values == value for value in np.unique(values).tolist()}
    return groups


def _measure(rows: StudyRows, trainer: Trainer, keys: Sequence[Key], path: Path) -> list[ScalingRun]:
    """Train what is missing and return all that was requested."""
    study = _study(rows, trainer)
    done = {run.key: run for run in (read_runs(path) if path.exists() else [])}
    if any(run.study != study for run in done.values()):
        raise InputError(
            f"{str(path)!r} holds results of another study (other rows, scores, students or seed): name another folder"
        )
    for size in sorted({key[0] for key in keys}):
        missing = [key for key in keys if key[0] == size and key not in done]
        for task, errors in trainer.train(_tasks(rows, missing)):
            run = ScalingRun(
                study,
                rows.metric,
                "initial set" if rows.scores is None else "all rows",
                trainer.name,
                *task.key,
                len(task.rows),
                *errors,
            )
            append_run(path, run)
            done[run.key] = run
    return [done[key] for key in keys]


def _tasks(rows: StudyRows, keys: Sequence[Key]) -> list[Task]:
    """List the trainings of one initial size with their rows and seeds."""
    known: dict[int, tuple[Rows, Scores]] = {}
    tasks = []
    for size, keep, order, draw in keys:
        if draw not in known:
            initial = rows.initial(draw, size)
            known[draw] = initial, rows.scores_of(initial, draw)
        kept = rows.kept(*known[draw], keep, order, draw)
        tasks.append(Task((size, keep, order, draw), kept, rows.seed_of(draw)))
    return tasks


def _study(rows: StudyRows, trainer: Trainer) -> str:
    """Digest everything that all lines of a file share."""
    known = {
        **rows.digests(),
        "metric": rows.metric,
        "options": dict(rows.options),
        "heads": repr(heads_of(rows.heads)),
        "class_balance": rows.class_balance,
        "seed": rows.seed,
        "trainer": trainer.identity(),
    }
    return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()[:16]
