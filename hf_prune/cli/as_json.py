"""Results of commands as plain JSON values, for ``--json``: one function per kind of result."""

import dataclasses
import math
import time
from collections.abc import Iterable, Mapping
from functools import singledispatch
from typing import Any

import numpy as np

from hf_prune.cleaning.duplicates import Duplicates
from hf_prune.cleaning.label_noise import LabelNoise
from hf_prune.cleaning.leaks import Leaks
from hf_prune.hub.verify.report import Report
from hf_prune.metrics import Metric
from hf_prune.policy import Recommendation
from hf_prune.policy.estimate import Estimate
from hf_prune.policy.keep_curve import KeepCurve
from hf_prune.runtime.cache import CacheEntry
from hf_prune.runtime.errors import InputTypeError
from hf_prune.scoring.correlation import Correlations


def plain(value: Any) -> Any:
    """Turn a value into what JSON can hold; numbers that it has not, NaN and the infinite, become null.

    Example:
        >>> plain({"rows": np.arange(2), "least": float("nan"), "share": np.float32(0.5), 3: ()})
        {'rows': [0, 1], 'least': None, 'share': 0.5, '3': []}
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return [plain(item) for item in value] if isinstance(value, Iterable) else str(value)


@singledispatch
def data_of(result: Any) -> dict[str, Any]:
    """Return the values of a result by name, as its class registered them here."""
    raise InputTypeError(f"{type(result).__name__} is not registered to be printed as JSON")


@data_of.register
def _(found: Estimate) -> dict[str, Any]:
    return {"seconds": found.seconds, "parts": found.parts, "memory": found.memory, "disk": found.disk}


@data_of.register
def _(found: Duplicates) -> dict[str, Any]:
    groups = [{"rows": group, "similarity": [None, *found.similarity[group[1:]].tolist()]} for group in found.groups]
    rows = {"num_rows": len(found.duplicate_of), "num_duplicates": found.num_duplicates}
    conflicts = {"label_conflicts": found.label_conflicts, "unscored": found.unscored}
    return {**rows, "threshold": found.threshold, "groups": groups, **conflicts}


@data_of.register
def _(found: Leaks) -> dict[str, Any]:
    pairs = [pair._asdict() for pair in found.pairs]
    return {"pairs": pairs, "kinds": found.kinds, "threshold": found.threshold, "unscored": found.unscored}


@data_of.register
def _(found: LabelNoise) -> dict[str, Any]:
    name, codes = found.labels.name, found.labels.codes
    suspects = [
        {
            "row": row,
            "label": name(int(codes[row])),
            "predicted": name(int(found.probs[row].argmax())),
            "score": found.scores[row],
        }
        for row in found.ranking.tolist()
        if found.suspects[row]
    ]
    tested = None if found.self_test is None else dataclasses.asdict(found.self_test)
    rates = {
        "rate": found.rate,
        "low": found.low,
        "high": found.high,
        "confident_rate": found.confident_rate,
        "agreement": found.agreement,
    }
    return {**rates, "suspects": suspects, "self_test": tested, "unscored": found.unscored}


@data_of.register
def _(found: Recommendation) -> dict[str, Any]:
    return found.to_dict()


@data_of.register
def _(found: KeepCurve) -> dict[str, Any]:
    return dataclasses.asdict(found)


@data_of.register
def _(found: Correlations) -> dict[str, Any]:
    return dataclasses.asdict(found)


@data_of.register
def _(found: Report) -> dict[str, Any]:
    return {**dataclasses.asdict(found), "verdict": found.verdict, "exit_code": found.exit_code}


@data_of.register
def _(metric: Metric) -> dict[str, Any]:
    named = ("name", "summary", "inputs", "axis", "cost", "paper", "options", "aliases")
    return {name: getattr(metric, name) for name in named}


@data_of.register
def _(entry: CacheEntry) -> dict[str, Any]:
    used = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(entry.used))
    return {**dataclasses.asdict(entry), "used": used}
