"""Options of a wrong type are refused in one line, before anything is computed and wherever they are given."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value

import hf_prune
from hf_prune.runtime.arguments import check_count, check_flag
from hf_prune.runtime.processes import use_device
from hf_prune.scoring.run import with_run
from tests.helpers.tiny_sets import make_set, noise

POINTS = {"embeddings": np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)}
IMAGES = make_set(noise(4))


def rows() -> Dataset:
    features = Features({"s": Value("float64"), "label": ClassLabel(names=["a", "b"])})
    return Dataset.from_dict({"s": np.arange(12.0), "label": [0, 1] * 6}, features=features)


OF_MODELS = [
    ({"batch_size": "64"}, "batch_size='64'; give a whole number of at least 1"),
    ({"batch_size": 0}, "batch_size=0; give a whole number"),
    ({"batch_size": 2.5}, "batch_size=2.5; give a whole number"),
    ({"batch_size": True}, "batch_size=True; give a whole number"),
    ({"num_workers": "2"}, "num_workers='2'; give a whole number of at least 0"),
    ({"num_workers": -1}, "num_workers=-1; give a whole number of at least 0"),
    ({"image_size": "224"}, r"image_size='224'; give a whole number in \[1, 8192\]"),
    ({"image_size": 10**6}, r"image_size=1000000; give a whole number in \[1, 8192\]"),
    ({"dtype": 5}, "dtype=5; give 'auto', or the name of a type"),
    ({"embedding_dtype": 5}, "embedding_dtype=5; give 'float16' or 'bfloat16', or leave it out"),
    ({"revision": 4}, "revision=4; give a branch, tag or commit, or leave it out"),
    ({"device": 5}, "device=5; give a device such as"),
    ({"device": "tpu:9"}, "device='tpu:9' is none; give one such as 'cuda:1' or 'cpu', or leave it out"),
    ({"device": "xpu:77"}, r"device='xpu:77' is not among those that torch finds here \(.*cpu:0\): give one of these"),
    ({"image_column": 3}, "image_column=3; give the name of a column, or leave it out"),
    ({"cache_dir": 3}, "cache_dir=3; give a path"),
    ({"load_from_cache_file": "yes"}, "load_from_cache_file='yes'; give True or False"),
    ({"allow_pickle": "no"}, "allow_pickle='no'; give True or False"),
    ({"seed": "1"}, r"seed='1'; give an integer in \[0, 2\*\*32\)"),
    ({"inputs": {"embeddings": ["a"] * 12}}, r"inputs\['embeddings'\] is list of <U1; give an array of numbers"),
    (
        {"inputs": {"embeddings": [[1.0], [1.0, 2.0]]}},
        r"inputs\['embeddings'\] is no array \(.*\); give one of numbers",
    ),
    ({"inputs": {"embeddings": "e.npy"}}, r"inputs\['embeddings'\] is str of <U5; give an array of numbers"),
    ({"inputs": [1]}, r"inputs= is list; give arrays by name, such as \{'embeddings': array\}"),
]


@pytest.mark.parametrize(("options", "message"), OF_MODELS)
@pytest.mark.parametrize("function", ["score_with", "recommend", "keep_curve", "label_noise"])
def test_what_models_are_told_is_checked_for_every_function(function, options, message):
    calls = {
        "score_with": lambda **given: rows().score_with("prototypes", num_prototypes=2, **given),
        "recommend": lambda **given: hf_prune.recommend(rows(), "s", **given),
        "keep_curve": lambda **given: hf_prune.keep_curve(rows(), "s", **given),
        "label_noise": lambda **given: hf_prune.label_noise(rows(), **given),
    }
    with pytest.raises(ValueError, match=f"^{message}"):
        calls[function](**with_run(getattr(hf_prune, function), {"inputs": POINTS, **options}))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rows().score_with(5), "metric=5; give the name of a metric, or a list of names"),
        (lambda: rows().score_with(None), "metric=None; give the name of a metric"),
        (lambda: rows().score_with("random", column=3), "column=3; give the name of the new column"),
        (lambda: rows().score_with("random", evidence="no"), "evidence='no'; give 'auto', 'full' or False"),
        (lambda: rows().score_with("random", overwrite="no"), "overwrite='no'; give True or False"),
        (lambda: rows().prune(["s"], keep=0.5), r"metric=\['s'\]; give the name of one score column"),
        (
            lambda: rows().prune("s", keep=0.5, order="aut"),
            "order='aut'; give one of 'auto', 'balanced', 'beta', 'cluster', 'coverage', 'diverse', 'easy'",
        ),
        (
            lambda: rows().prune("s", keep=0.5, order=["hard"]),
            r"order=\['hard'\]; give one of 'auto', 'balanced', 'beta', 'cluster'",
        ),
        (lambda: rows().prune("s", keep=0.5, drop_duplicates="0.9"), "drop_duplicates='0.9'; give the least cosine"),
        (lambda: rows().prune("s", keep=0.5, class_errors="a"), "class_errors='a'; give the error of each class"),
        (lambda: rows().prune("s", keep=0.5, return_selection="no"), "return_selection='no'; give True or False"),
        (lambda: hf_prune.keep_curve(rows(), "s", keeps=0.5), "keeps=0.5"),
        (lambda: hf_prune.keep_curve(rows(), "s", keeps=[]), "keeps is empty; give a list of fractions"),
        (lambda: hf_prune.keep_curve(rows(), "s", keeps="0.5"), "keeps='0.5'; give a list of fractions"),
        (lambda: hf_prune.combine(rows(), 5), "metrics=5; give a list of two or more"),
        (lambda: hf_prune.combine(rows(), ["s", "label"], weights="ab"), "weights='ab'; give 2 numbers of at least 0"),
        (lambda: hf_prune.combine(rows(), ["s", "label"], column=5), "column=5; give the name of the new column"),
        (lambda: hf_prune.error_quotas({"a": 0.1}, {"a": 3}, "2"), "budget='2' of 3 rows; give a count"),
        (lambda: hf_prune.error_quotas({"a": 0.1}, {"a": "3"}, 2), "the size of class 'a'='3'; give a whole number"),
        (lambda: hf_prune.error_quotas([0.1], [3], 2), "errors is list; give a number for each class by its name"),
        (lambda: hf_prune.select([[1], [1, 2]], keep=1, order="hard"), "scores are no array"),
        (
            lambda: IMAGES.score_with("prototypes", encoder="pixels", run=hf_prune.Run(batch_size=0)),
            "batch_size=0; give a whole number",
        ),
    ],
)
def test_wrong_types_are_named(call, message):
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        call()
    assert "\n" not in str(caught.value)


def test_numbers_of_numpy_are_numbers():
    check_count("batch_size", np.int32(4), 1)
    check_flag("evidence", np.True_)
    kept = rows().prune("s", keep=np.float32(0.5), order="hard", seed=np.int64(3))
    assert len(kept) == 6


def test_a_device_that_is_there_is_taken():
    with use_device("cpu"), use_device(None):
        pass
