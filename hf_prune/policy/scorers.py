"""Scores of training rows that have not seen the rows that they are judged by."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.calling import call_metric
from hf_prune.inputs import InputBuilder, Request
from hf_prune.inputs.from_heads import need_of
from hf_prune.metrics import Metric, get_metric
from hf_prune.metrics.registry import UnknownNameError
from hf_prune.policy.features import Features
from hf_prune.policy.trial import Scorer
from hf_prune.scores import Scores

# Heads that stand in for teachers in each repeat, by what they are needed for; all rows were scored by more of them, which
# rank better, so that a gain found with these is rather too small.
HEADS_IN_A_REPEAT = {"probs": 3, "dynamics": 1}


class Scoring(NamedTuple):
    """How the rows of a repeat get their scores, and whether those have seen the labels that they are judged by."""

    scorer: Scorer
    optimistic: bool


def scoring_of(
    metric: str, scores: Scores, made_from: Mapping[str, Any], options: Mapping[str, Any], features: Features
) -> Scoring:
    """How to score the training rows of a repeat.

    A metric that knows no labels keeps its scores. Heads on the embeddings are trained anew on the training rows alone.
    All other scores are taken as they are, and called optimistic: their teachers have seen the untouched fold.

    Args:
        metric: Name of the metric, or of a column that somebody else made.
        scores: Of all rows, shape (N,).
        made_from: How the inputs of the metric were made, as the step has it.
        options: Options of the metric, as the step has them, with the seed.
        features: The rows that are judged.
    """

    def as_it_is(rows: NDArray[np.int64]) -> Scores:
        return scores[rows]

    try:
        known = get_metric(metric)
    except UnknownNameError:
        return Scoring(as_it_is, optimistic=True)
    if made_from.keys() <= {"embeddings", "rows", "centroids"}:
        return Scoring(as_it_is, optimistic=False)
    heads = {name: source["heads"] for name, source in made_from.items() if "heads" in source}
    needs = {need_of(name) for name in heads}
    if not heads or needs - HEADS_IN_A_REPEAT.keys() or made_from.keys() - heads.keys() - {"labels", "embeddings"}:
        return Scoring(as_it_is, optimistic=True)
    return Scoring(_refitted(known, options, next(iter(heads.values())), features), optimistic=False)


def _refitted(metric: Metric, options: Mapping[str, Any], heads: Mapping[str, Any], features: Features) -> Scorer:
    """Scores by heads that are trained on the rows given, and on no others."""
    from hf_prune.heads.settings import Heads

    needs = [need_of(name) for name in metric.inputs_for(options, frozenset({"teachers"})) if name != "labels"]
    most = min(HEADS_IN_A_REPEAT.get(need, 1) for need in needs)
    own = {name: value for name, value in options.items() if name in metric.options}
    recorded = Heads.recorded(heads)
    few = dataclasses.replace(recorded, num_heads=min(recorded.num_heads or most, most))

    def score(rows: NDArray[np.int64]) -> Scores:
        places = np.searchsorted(features.rows, rows)
        given = {"embeddings": features.points[places], "labels": features.codes[places]}
        ds = Dataset.from_dict({"row": rows})
        builder = InputBuilder(ds, Request(teachers=few, given=given, on_error="skip"), [(metric, own)])
        return call_metric(metric, builder.make(metric), metric.resolve_options(own, len(rows)), len(rows))

    return score
