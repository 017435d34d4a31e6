"""Settings of runs: what a function, a command line and a recipe make of them."""

import inspect
from pathlib import Path

import datasets
import pytest
from datasets import Dataset

import hf_prune
from hf_prune import Run
from hf_prune.engine.store import default_root
from hf_prune.scoring.run import SETTINGS, flat_parameters, with_run

FUNCTIONS = [
    hf_prune.score_with,
    hf_prune.prune,
    hf_prune.recommend,
    hf_prune.keep_curve,
    hf_prune.duplicates,
    hf_prune.label_noise,
    hf_prune.measure_scaling,
    hf_prune.Prototypes.fit,
    hf_prune.Prototypes.from_scored,
]


def test_where_results_are_kept(tmp_path):
    assert Run().store_root == Run(load_from_cache_file=True).store_root == default_root()
    assert Run(cache_dir=str(tmp_path)).store_root == Path(tmp_path)
    assert Run(load_from_cache_file=False, cache_dir=tmp_path).store_root is None
    datasets.disable_caching()
    try:
        assert Run(cache_dir=tmp_path).store_root is None
        assert Run(load_from_cache_file=True, cache_dir=tmp_path).store_root == tmp_path
    finally:
        datasets.enable_caching()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_settings_have_one_place(function):
    parameters = inspect.signature(function).parameters
    assert parameters["run"].default is None
    assert not set(SETTINGS) & set(parameters)
    flat, hints = flat_parameters(function)
    assert set(flat) == set(parameters) - {"run"} | set(SETTINGS)
    assert set(SETTINGS) <= set(hints)


def test_flat_arguments_are_gathered_for_functions_that_take_a_run():
    flat = {"encoder": "pixels", "batch_size": 8, "cache_dir": "kept"}
    assert with_run(hf_prune.score_with, flat) == {"encoder": "pixels", "run": Run(batch_size=8, cache_dir="kept")}
    assert with_run(hf_prune.score_with, {"encoder": "pixels"}) == {"encoder": "pixels"}
    assert with_run(hf_prune.train_teachers, flat) == flat  # whose batch size is that of the training


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_among_the_options_of_a_metric_is_refused_with_what_to_write(name):
    with pytest.raises(TypeError) as caught:
        Dataset.from_dict({"x": [1, 2]}).score_with("el2n", **{name: "float16"})
    assert str(caught.value) == f"{name}= is a setting of the run: pass run=hf_prune.Run({name}='float16')"


def test_something_else_than_a_run_is_refused():
    with pytest.raises(TypeError, match=r"^run=\{'batch_size': 8\}; give a hf_prune\.Run, such as"):
        Dataset.from_dict({"x": [1, 2]}).score_with("random", run={"batch_size": 8})
