"""Results as plain JSON values: rows by their numbers, classes by their names, and no number that JSON has not."""

import json
from pathlib import Path

import numpy as np
import pytest

from hf_prune.cleaning.duplicates import Duplicates
from hf_prune.cleaning.label_noise import LabelNoise
from hf_prune.cli.as_json import data_of, plain
from hf_prune.data.columns import Labels
from hf_prune.policy.estimate import Estimate
from hf_prune.policy.evidence import CurvePoint
from hf_prune.policy.keep_curve import KeepCurve
from hf_prune.runtime.cache import CacheEntry
from hf_prune.runtime.errors import InputTypeError


def test_groups_of_duplicates():
    found = Duplicates(np.array([-1, 0, -1, 0]), np.array([np.nan, 1.0, np.nan, 0.5]), 0.5, unscored={2: "broken"})
    assert plain(data_of(found)) == {
        "num_rows": 4,
        "num_duplicates": 2,
        "threshold": 0.5,
        "groups": [{"rows": [0, 1, 3], "similarity": [None, 1.0, 0.5]}],
        "label_conflicts": [],
        "unscored": {"2": "broken"},
    }


def test_suspects_come_by_rank():
    probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]])
    labels = Labels(np.array([1, 1, 1]), ("cat", "dog"), complete=True)
    noise = LabelNoise(
        0.5, 0.2, 0.7, np.array([True, True, False]), np.array([2.2, 1.4, -0.4]), probs, 0.6, 0.3, labels
    )
    found = plain(data_of(noise))
    assert [item["row"] for item in found["suspects"]] == [0, 1]
    assert found["suspects"][0] == {"row": 0, "label": "dog", "predicted": "cat", "score": 2.2}
    assert (found["rate"], found["self_test"]) == (0.5, None)


def test_others():
    assert data_of(Estimate({"a": 1.0, "b": 2.0}, 3, 4)) == {
        "seconds": 3.0,
        "parts": {"a": 1.0, "b": 2.0},
        "memory": 3,
        "disk": 4,
    }
    curve = KeepCurve("el2n", 9, (CurvePoint(1.0, "all rows", "all rows", 0.5, 0.4, 0.6),))
    assert data_of(curve)["points"][0]["accuracy"] == 0.5
    assert data_of(CacheEntry("a", "rows", {}, 1, 2, 0.0))["used"] == "1970-01-01T00:00:00Z"
    with pytest.raises(InputTypeError, match="int is not registered"):
        data_of(3)


def test_values_are_strict_json():
    values = {"a": np.array([[1.0, np.inf]]), "b": Path("x"), "c": (np.int64(3), None, True), "d": {4: float("nan")}}
    assert json.loads(json.dumps(plain(values), allow_nan=False)) == {
        "a": [[1.0, None]],
        "b": "x",
        "c": [3, None, True],
        "d": {"4": None},
    }
