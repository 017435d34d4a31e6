"""recipes/finetune: what it trains on, what it writes, and that the committed tables are those of the committed figures."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import transformers
from datasets import ClassLabel, Dataset, Features, Image

from tests.helpers.recipe_scripts import load_script
from tests.helpers.tiny_models import build, config_of, save
from tests.helpers.tiny_sets import encode

RECIPE = Path(__file__).parents[1] / "recipes" / "finetune"


def load(name):
    return load_script(RECIPE / f"{name}.py")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A tiny pretrained model, and two files with images of two classes."""
    place = tmp_path_factory.mktemp("finetune")
    save(build(config_of("vit"), "ViTForImageClassification"), place / "model")
    generator = np.random.default_rng(0)
    for name, rows in (("train", 40), ("validation", 10)):
        labels = np.arange(rows) % 2
        pixels = generator.integers(0, 128, (rows, 8, 8, 3)) + 127 * labels[:, None, None, None]
        images = [{"bytes": encode(image.astype(np.uint8)), "path": None} for image in pixels]
        features = Features({"image": Image(), "label": ClassLabel(names=["dark", "light"])})
        Dataset.from_dict({"image": images, "label": labels}, features=features).to_parquet(place / f"{name}.parquet")
    return place


def train(files, folder, **more):
    recipe = load("finetune")
    settings = {
        "model_name_or_path": str(files / "model"),
        "train_file": str(files / "train.parquet"),
        "validation_file": str(files / "validation.parquet"),
        "output_dir": str(folder),
        "num_train_epochs": 2,
        "per_device_train_batch_size": 10,
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        **more,
    }
    parser = transformers.HfArgumentParser(
        (recipe.ModelArguments, recipe.DataArguments, transformers.TrainingArguments)
    )
    return recipe.train(*parser.parse_dict(settings))


@pytest.mark.parametrize(("rows", "steps"), [("all", 8), ("random", 4), ("rs2", 4)])
def test_a_cut_trains_on_its_rows_and_the_card_names_it(files, tmp_path, rows, steps):
    found = train(files, tmp_path / rows, rows=rows, keep=0.5)
    assert (found["steps"], found["train_rows"]) == (steps, 20 if rows == "random" else 40)
    assert 0 <= found["accuracy"] <= 1
    assert json.loads((tmp_path / rows / "results.json").read_text()) == found
    card = (tmp_path / rows / "README.md").read_text()
    said = {
        "all": "holds 40 rows of a local source. It was not pruned",
        "random": "**20 of 40 rows (50 %)**",
        "rs2": "20 of 40 rows in a pruned epoch",
    }
    assert said[rows] in card
    assert str(files) not in card
    reopened = transformers.AutoModelForImageClassification.from_pretrained(tmp_path / rows)
    assert reopened.config.id2label == {0: "dark", 1: "light"}


def test_rows_come_from_one_place():
    recipe = load("finetune")
    for given in ({}, {"dataset_name": "a/b", "train_file": "train.parquet"}):
        with pytest.raises(SystemExit, match=r"^give either --dataset_name or --train_file$"):
            recipe.open_rows(recipe.DataArguments(**given), "train")


def test_the_table_is_that_of_the_trainings():
    lines = pd.read_csv(RECIPE / "results.csv")
    table = load("grid").table(lines.to_dict("records"))
    assert (lines.groupby(["data", "rows"])["seed"].nunique() == lines["seed"].nunique()).all()
    written = (RECIPE / "README.md").read_text(encoding="utf-8")
    for (data, rows), line in table.iterrows():
        assert f"| {data} | {rows} | {line['mean']:.1f} ± {line['sd']:.1f} |" in written


def test_a_vit_on_a_tenth_by_each_rule(files, tmp_path):
    """The script was never run as it stands; here its commands are read, and one runs with a tiny ViT on a few rows."""
    (tmp_path / "python").write_text('#!/bin/bash\nprintf "%q " "$@" >> "$STARTED"\necho >> "$STARTED"\n')
    (tmp_path / "python").chmod(0o755)
    places = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "STARTED": str(tmp_path / "log")}
    script = RECIPE.parent / "paper/vit_tenth.sh"
    subprocess.run(["bash", script, "--use_cpu", "true"], env=os.environ | places, check=True, timeout=60)
    started = [shlex.split(line) for line in (tmp_path / "log").read_text().splitlines()]
    recipe = load("finetune")
    parser = transformers.HfArgumentParser(
        (recipe.ModelArguments, recipe.DataArguments, transformers.TrainingArguments)
    )
    asked = [parser.parse_args_into_dataclasses(words[1:]) for words in started]
    rules = ["all", "random", "hard", "easy", "auto"]
    assert [(data.rows, data.keep, more.seed) for _, data, more in asked] == [
        (rows, 0.1, seed) for seed in range(5) for rows in rules
    ]
    assert train(files, tmp_path / "out", rows=asked[1][1].rows, keep=asked[1][1].keep)["train_rows"] == 4
