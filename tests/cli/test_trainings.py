"""``train-teachers`` and ``train-subset-runs`` on the command line and in recipes, and what they leave used by scores."""

from pathlib import Path

import pytest
from datasets import load_from_disk

import hf_prune
from hf_prune.training.teachers import Teachers
from tests.helpers.tiny_publications import images

pytest_plugins = ["tests.helpers.command_line"]
QUICK = "--num-epochs 1 --image-size 8 --batch-size 4"


def test_teachers_are_trained_and_used_by_their_folder(hf, place):
    printed = hf(f"train-teachers data resnet8-half --num-teachers 2 --folder teachers {QUICK}")
    assert printed.split() == ["teachers/teacher-00", "teachers/teacher-01"]
    hf("score data el2n --teachers teachers --no-load-from-cache-file --out by-teachers")
    scored = load_from_disk("by-teachers")
    expected = images().score_with("el2n", teachers=printed.split(), run=hf_prune.Run(load_from_cache_file=False))
    assert scored["el2n"][:] == expected["el2n"][:]
    assert len(hf_prune.provenance(scored).steps[-1].inputs["probs"]["teachers"]) == 2
    in_python = images().score_with(
        "el2n", teachers=Teachers.load("teachers"), run=hf_prune.Run(load_from_cache_file=False)
    )
    assert in_python["el2n"][:] == expected["el2n"][:]
    hf("score data aum --dynamics teachers --out by-records")
    assert hf_prune.provenance(load_from_disk("by-records")).steps[-1].inputs["margins"]["runs"] == 2


def test_subset_runs_in_a_recipe_give_memorization_and_influence(hf, place):
    Path("recipe.yaml").write_text(
        "dataset: {path: data}\n"
        "train_subset_runs: {model: resnet8-half, num_runs: 8, subset: 0.5, num_epochs: 1, image_size: 8, batch_size: 4,\n"
        "  folder: runs, test_dataset: data, lr_scheduler_type: linear, seed: 4}\n"
        "score: {metric: influence_sum_abs, dynamics: runs}\n"
    )
    with pytest.warns(UserWarning, match="mostly noise: use more members"):  # eight runs of one epoch
        hf("run recipe.yaml --out kept")
    step = hf_prune.provenance(load_from_disk("kept")).steps[-1]
    assert step.inputs["test_hits"]["runs"] == 8
    assert step.figures["members"] == 8


def test_arguments_of_the_trainer_are_handed_on(hf, refusal, place):
    hf(f"train-teachers data resnet8-half --num-teachers 1 --folder a {QUICK} --training-args weight_decay=0.5")
    assert '"weight_decay": 0.5' in Path("a/teachers.json").read_text()
    assert "write NAME=value" in refusal(
        f"train-teachers data resnet8-half --num-teachers 1 --folder b {QUICK} --training-args weight_decay"
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"train-teachers data resnet9 --num-teachers 1 --folder a {QUICK}", "Did you mean 'resnet8'"),
        (f"train-subset-runs data resnet8 --num-runs 1 --folder a --subset 1.5 {QUICK}", "--subset 1.5"),
        ("score data el2n --teachers empty --out x", "none of the trainings in 'empty' is finished"),
    ],
)
def test_what_the_user_can_mend_is_one_line(refusal, place, line, said):
    Path("empty").mkdir()
    Path("empty/teachers.json").write_text("{}")
    assert said in refusal(line)


def test_a_block_is_checked_before_anything_runs(refusal, place):
    text = "dataset: {path: data}\ntrain_teachers: {model: resnet8, num_teachers: 1, folder: a, "
    Path("recipe.yaml").write_text(text + "num_epocs: 1}\n")
    assert "Did you mean 'num_epochs'" in refusal("run recipe.yaml")
    Path("recipe.yaml").write_text(text + "num_epochs: 1, processor: mine}\n")
    assert "train_teachers.processor: an object of transformers" in refusal("run recipe.yaml")
