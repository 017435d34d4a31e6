"""Weighing of the rules for one score column: their gains over random rows, and how noisy the labels seem."""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset
from datasets.utils import are_progress_bars_disabled, tqdm
from numpy.typing import NDArray

from hf_prune.data.digests import array_sha256
from hf_prune.heads.folds import tells_apart
from hf_prune.metrics import Metric, get_metric
from hf_prune.policy.budget import BUDGET, can_cover, expected_seconds, sample_rows
from hf_prune.policy.evidence import TWO_LAYER_STUDENT, Evidence
from hf_prune.policy.features import Features, are_enough, make_features
from hf_prune.policy.judge import Judge
from hf_prune.policy.trial import Scorer, Student
from hf_prune.runtime.names import UnknownNameError
from hf_prune.runtime.optional_results import extra
from hf_prune.runtime.processes import gather_objects, is_main_process
from hf_prune.scoring import InputBuilder, Request, Run
from hf_prune.scoring.calling import call_metric
from hf_prune.scoring.from_heads import need_of
from hf_prune.scoring.pool import Rows
from hf_prune.scoring.scores import Scores

# Heads that stand in for teachers in each repeat, by kind of training; all rows were scored by more of them, which
# rank better, so that a gain found with these is rather too small.
HEADS_IN_A_REPEAT = {"probs": 3, "dynamics": 1}


class Scoring(NamedTuple):
    """A scorer of the rows of a repeat, and whether its scores have seen the labels that they are judged by."""

    scorer: Scorer
    optimistic: bool


def scoring_of(scored: "ScoredColumn", features: Features, shared: dict[str, Any] | None = None) -> Scoring:
    """Choose how to score the training rows of a repeat.

    A metric that knows no labels keeps its scores. Heads on the embeddings are trained anew on the training rows alone.
    All other scores are taken as they are, and called optimistic: their teachers have seen the untouched fold.
    Columns that hand on ``shared`` are scored by the same heads.
    """

    def as_it_is(rows: NDArray[np.int64]) -> Scores:
        return scored.scores[rows]

    made_from = scored.made_from
    try:
        known = get_metric(scored.metric)
    except UnknownNameError:
        return Scoring(as_it_is, optimistic=True)
    if made_from.keys() <= {"embeddings", "rows", "centroids"}:
        return Scoring(as_it_is, optimistic=False)
    heads = {name: source["heads"] for name, source in made_from.items() if "heads" in source}
    needs = {need_of(name) for name in heads}
    if not heads or needs - HEADS_IN_A_REPEAT.keys() or made_from.keys() - heads.keys() - {"labels", "embeddings"}:
        return Scoring(as_it_is, optimistic=True)
    scorer = _refitted(known, scored.options, next(iter(heads.values())), features, {} if shared is None else shared)
    return Scoring(scorer, optimistic=False)


def _refitted(
    metric: Metric, options: Mapping[str, Any], heads: Mapping[str, Any], features: Features, shared: dict[str, Any]
) -> Scorer:
    """Make a scorer whose heads are trained on the rows to score, and on no others."""
    from hf_prune.heads.settings import Heads

    needs = [need_of(name) for name in metric.inputs_for(options, frozenset({"teachers"})) if name != "labels"]
    # Out of fold each is trained five times on four fifths, about the work of the others.
    most = 1 if heads.get("out_of_fold") else min(HEADS_IN_A_REPEAT.get(need, 1) for need in needs)
    own = {name: value for name, value in options.items() if name in metric.options}
    recorded = Heads.from_record(heads)
    few = dataclasses.replace(recorded, num_heads=min(recorded.num_heads or most, most))

    def score(rows: NDArray[np.int64]) -> Scores:
        places = np.searchsorted(features.rows, rows)
        given = {"embeddings": features.points[places], "labels": features.codes[places]}
        ds = Dataset.from_dict({"row": rows})
        run = Run(load_from_cache_file=False)  # no other call trains on these rows
        builder = InputBuilder(ds, Request(teachers=few, inputs=given, run=run, on_error="skip"), [(metric, own)])
        builder.share_heads(shared.setdefault(f"{few} on {array_sha256(rows)}", {}))
        return call_metric(metric, builder.make(metric), metric.resolve_options(own, len(rows)), len(rows))

    return score


ALWAYS_SAID = 10.0  # seconds beyond which the time is printed where there are no progress bars, too
NOISE_ROWS = 20_000  # up to so many rows the answer is that of `hf_prune.label_noise`


@dataclass(frozen=True)
class ScoredColumn:
    """A score column, how it was made, and embeddings and classes of its rows.

    Attributes:
        metric: The metric, or the column where hf_prune did not make it.
        scores: Shape (N,).
        made_from: How the inputs of the metric were made.
        options: Options of the metric, with the seed.
        embeddings: Shape (N, d), an array or what reads like one, of which a sample is read.
        codes: Class of each row, negative ones have none, shape (N,).
        unscored: Rows without an embedding.
        by_embeddings: Whether a pruning can have the embeddings, so that orders by them are weighed.
    """

    metric: str
    scores: Scores
    made_from: Mapping[str, Any]
    options: Mapping[str, Any]
    embeddings: Rows
    codes: NDArray[np.int64]
    unscored: frozenset[int] = frozenset()
    by_embeddings: bool = False

    def is_enough(self) -> bool:
        """Whether there are enough rows to judge by."""
        return are_enough(self.codes[self.rows()])

    @property
    def is_refitted(self) -> bool:
        """Whether heads stand in for teachers, and are trained anew in every repeat."""
        return any("heads" in source for source in self.made_from.values())

    @cached_property
    def judged_rows(self) -> str:
        """A key for what is known of the rows alone, the same for all columns that are judged on them."""
        return f"{array_sha256(self.rows())}, {self.is_refitted}"

    def features(self, seed: int, keeps: Sequence[float], budget: float | None) -> Features:
        """Return the features that the rules are judged on within the budget; a ValueError where they are too few."""
        found = make_features(
            self.embeddings,
            self.codes,
            self.rows(),
            seed,
            lambda codes: sample_rows(
                codes,
                self.embeddings.shape[1],
                keeps,
                refitted=self.is_refitted,
                seed=seed,
                by_embeddings=self.by_embeddings,
                budget=budget,
            ),
        )
        if not (self.by_embeddings and can_cover(found.rows_per_class, keeps)):
            return found
        return dataclasses.replace(found, units=np.asarray(self.embeddings[found.rows], dtype=np.float32))

    def rows(self) -> NDArray[np.int64]:
        """Return the rows with a score and an embedding."""
        return np.setdiff1d(np.flatnonzero(~np.ma.getmaskarray(self.scores)), list(self.unscored))


def weigh(
    scored: ScoredColumn,
    keeps: Sequence[float],
    *,
    class_balance: float,
    seed: int,
    student: Student | None = None,
    budget: float | None = BUDGET,
    shared: dict[str, Any] | None = None,
) -> Evidence:
    """Weigh the rules for some kept fractions; see `judge_of` for the arguments.

    Columns that are scored in one call hand on ``shared``: what is computed of the same rows is computed once.
    """
    shared = {} if shared is None else shared
    judge = judge_of(
        scored, keeps, class_balance=class_balance, seed=seed, student=student, budget=budget, shared=shared
    )
    return weigh_with(judge, scored, keeps, shared)


def weigh_with(judge: Judge, scored: ScoredColumn, keeps: Sequence[float], shared: dict[str, Any]) -> Evidence:
    """Weigh the rules with a judge that was made for them, who can be asked more afterwards."""
    noise = f"noise of {scored.judged_rows}"
    if noise not in shared:
        shared[noise] = _wrong_labels(scored, judge.features, judge.seed)
    found = Evidence(
        metric=scored.metric,
        student=TWO_LAYER_STUDENT if judge.student is None else judge.student.name,
        num_rows=len(judge.features.rows),
        rows_per_class=judge.features.rows_per_class,
        **shared[noise],
        optimistic=judge.optimistic,
        class_balance=judge.class_balance,
        seed=judge.seed,
        keeps=tuple(judge.judge(sorted(keeps, reverse=True))),
        sample=judge.features.sample,
    )
    return gather_objects([found])[0]  # one for all processes, were their processors to round in different ways


def judge_of(
    scored: ScoredColumn,
    keeps: Sequence[float],
    *,
    class_balance: float,
    seed: int,
    student: Student | None = None,
    budget: float | None = BUDGET,
    shared: dict[str, Any] | None = None,
) -> Judge:
    """Get ready to weigh rules for kept fractions in (0, 1), and print how long it will take before anything is fitted.

    A student is trained in place of the heads where the rules are confirmed. Where all rows would take more
    multiplications than the budget, a sample of classes, and of rows if need be, is judged; None judges all.

    Raises:
        ValueError: If there are too few rows to judge by.
    """
    shared = {} if shared is None else shared
    rows = f"features of {scored.judged_rows}"
    features = shared[rows] = shared.get(rows) or scored.features(seed, keeps, budget)
    # Predictions for all rows by some heads are too much to keep where nobody set a limit.
    scorer, optimistic = scoring_of(scored, features, None if budget is None else shared)
    name = f"heads on {scored.judged_rows}, {array_sha256(features.rows)}, {class_balance}, {seed}"
    known = shared.setdefault(name, {})
    refitted = not optimistic and scored.is_refitted
    _announce(scored, features, keeps, refitted=refitted, again=bool(known))
    return Judge(features, scorer, optimistic, class_balance, seed, student, shared=known)


def _wrong_labels(scored: ScoredColumn, features: Features, seed: int) -> dict[str, float | None]:
    """Estimate the share of wrong labels and its range, of at most 20,000 of the rows judged; None where it cannot be."""
    from hf_prune.cleaning.label_noise import label_noise

    chosen = np.sort(np.random.default_rng((seed, 5)).permutation(len(features.rows))[:NOISE_ROWS])
    points, labels = scored.embeddings[features.rows[chosen]], features.codes[chosen]
    if not tells_apart(points, labels):
        return {"noise_rate": None}
    found = extra(
        lambda: label_noise(points, inputs={"labels": labels}, seed=seed, on_error="skip"), "the share of wrong labels"
    )
    if found is None:
        return {"noise_rate": None}
    return {"noise_rate": found.rate, "noise_low": found.low, "noise_high": found.high}


def _announce(
    scored: ScoredColumn, features: Features, keeps: Sequence[float], *, refitted: bool, again: bool
) -> None:
    if not is_main_process():
        return
    size, by_embeddings = scored.embeddings.shape[1], features.units is not None
    seconds = expected_seconds(
        len(features.rows),
        size,
        features.num_classes,
        keeps,
        refitted=refitted,
        by_embeddings=by_embeddings,
        again=again,
    )
    if seconds > ALWAYS_SAID or not are_progress_bars_disabled():
        sample = features.sample
        of = "" if sample is None else f" in {features.num_classes:,} of {sample['of_classes']:,} classes"
        line = (
            f"Weighing {scored.metric!r} against random rows on {len(features.rows):,} rows{of}: about {seconds:.0f} s"
        )
        tqdm.write(line, file=sys.stderr)
