"""The command line with several metrics, records, students and test sets; ``combine`` and ``correlate``."""

from pathlib import Path

import numpy as np
import pytest
from datasets import DatasetDict, load_from_disk

import hf_prune
from hf_prune.data.loading import open_test_dataset
from hf_prune.dynamics.record import TrainingRecord
from tests.helpers.tiny_publications import images

pytest_plugins = ["tests.helpers.command_line"]


def save_record(folder: str, seed=0) -> TrainingRecord:
    generator = np.random.default_rng(seed)
    labels = images()["label"][:]
    record = TrainingRecord.from_arrays(
        dataset="toy",
        labels=labels,
        arrays={"correct": generator.integers(0, 2, (1, len(labels)))},
        trained_on=np.arange(len(labels)) % 2 == seed % 2,
        rows=images(),
    )
    record.save(Path(folder))
    return record


def test_several_metrics_are_scored_in_one_run(hf, place):
    hf("score data prototypes random --encoder pixels --image-size 2 --num-prototypes 2 --seed 3 --out both")
    scored = load_from_disk("both")
    expected = images().score_with(
        "prototypes", encoder="pixels", run=hf_prune.Run(image_size=2), num_prototypes=2, seed=3
    )
    assert scored["prototypes"][:] == expected["prototypes"][:]
    assert scored["random"][:] == images().score_with("random", seed=3)["random"][:]


def test_options_must_belong_to_one_of_the_metrics(refusal, place):
    said = refusal("score data supervised_prototypes random --num-prototypes 2 --encoder pixels --out x")
    assert "unknown option of metric 'supervised_prototypes' and 'random' 'num_prototypes'" in said


def test_records_are_named_by_their_folders(hf, place):
    records = [save_record(f"run-{seed}", seed) for seed in range(2)]
    hf("score data memorization --dynamics run-0 --dynamics run-1 --out scored-runs")
    hits = np.stack([record.hits for record in records]).astype(float)
    trained_on = np.stack([record.trained_on for record in records])
    expected = np.where(trained_on[0], hits[0] - hits[1], hits[1] - hits[0])
    np.testing.assert_array_equal(load_from_disk("scored-runs")["memorization"], expected)


def test_columns_are_combined(hf, place):
    hf("combine scored prototypes label --how rank_max --column both --out combined")
    expected = hf_prune.combine(load_from_disk("scored"), ["prototypes", "label"], how="rank_max", column="both")
    combined = load_from_disk("combined")
    assert combined["both"][:] == expected["both"][:]
    assert [step.kind for step in hf_prune.provenance(combined).steps] == ["score", "combine"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("combine scored prototypes --out x", "give a list of two or more score columns"),
        ("combine scored prototypes label --how rank_men --out x", "unknown how 'rank_men'"),
        ("correlate scored", "columns ['prototypes'] to correlate"),
        ("score data memorization --out x", "this metric needs trained_on: pass --dynamics"),
        ("score data memorization --dynamics nowhere --out x", "nowhere"),
    ],
)
def test_what_the_user_can_mend_is_one_line(refusal, place, line, said):
    assert said in refusal(line)


def test_blocks_of_a_recipe(hf, place):
    save_record("run-0", 0)
    save_record("run-1", 1)
    Path("recipe.yaml").write_text(
        "dataset: {path: data}\n"
        "score:\n"
        "  - {metric: memorization, dynamics: [run-0, run-1]}\n"
        "  - {metric: [random, prototypes], encoder: pixels, image_size: 2, num_prototypes: 2}\n"
        "combine: {metrics: [memorization, prototypes], weights: [1, 2.5]}\n"
        "prune: {metric: rank_mean, keep: 0.5, order: hard}\n"
    )
    hf("run recipe.yaml --out kept")
    steps = hf_prune.provenance(load_from_disk("kept")).steps
    assert [step.column for step in steps] == ["memorization", "random", "prototypes", "rank_mean", "rank_mean"]


def test_a_misspelt_option_of_several_metrics_is_found_before_anything_runs(refusal, place):
    Path("recipe.yaml").write_text("dataset: {path: data}\nscore: {metric: [random, prototypes], num_prototipes: 2}\n")
    said = refusal("run recipe.yaml")
    assert "unknown key of score.0 'num_prototipes'" in said
    assert "Did you mean 'num_prototypes'" in said


def test_a_test_set_is_a_split_called_test_or_the_only_one(place):
    ds = images()
    assert open_test_dataset(ds) is ds
    assert len(open_test_dataset("data")) == len(ds)
    assert len(open_test_dataset({"path": "table.parquet", "split": "train[:3]"})) == 3
    DatasetDict(train=ds, test=ds.select([0, 1])).save_to_disk("splits")
    assert len(open_test_dataset(Path("splits"))) == 2
    with pytest.raises(ValueError, match=r"test_dataset has the splits \['a', 'b'\]; name one with split="):
        open_test_dataset(DatasetDict(a=ds, b=ds))
