"""What a user does with model repositories, run by ``test_repository.py`` in a process of its own.

``python -m tests.helpers.model_jobs FILE JOBS`` writes what the job found to the file as JSON.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
from datasets import load_dataset
from huggingface_hub import DatasetCard, HfApi, ModelCard

from hf_prune import Prototypes, Run, push_teacher, push_to_hub, train_teachers
from hf_prune.data.history import provenance
from hf_prune.hub.verify.rebuild import rebuild
from hf_prune.workflows.recipe import load_recipe, run_recipe
from tests.helpers import teacher_jobs
from tests.hub.models.test_prototypes import coloured


def prototypes():
    """Fitted, pushed, opened at a commit, pushed again."""
    ds = coloured()
    made = Prototypes.fit(ds, "pixels", num_prototypes=3, run=Run(image_size=4, load_from_cache_file=False))
    commit = made.push_to_hub("somebody/fitted")
    opened = Prototypes.from_pretrained("somebody/fitted", revision=commit.oid)
    images = ds["image"][:4]
    found = {
        "same": opened.score(images).tolist() == made.score(images).tolist(),
        "config": opened.config == made.config,
    }
    try:
        Prototypes.from_pretrained("somebody/nothing")
    except FileNotFoundError as error:
        found["nothing"] = str(error)
    return found | {"pinned": pinned(ds, made, commit.oid), "edited": edited(made)}


def edited(made):
    """The card after somebody wrote on it and the prototypes were pushed once more, and whether that made a commit."""
    card = ModelCard.load("somebody/fitted")
    card.text += "\nWords of my own.\n"
    card.data.license = "mit"
    HfApi().upload_file(
        path_or_fileobj=str(card).encode(), path_in_repo="README.md", repo_id="somebody/fitted"
    )  # over the prototypes of another seed, which are there by now
    pushed = made.push_to_hub("somebody/fitted")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        again = made.push_to_hub("somebody/fitted")
    latest = ModelCard.load("somebody/fitted")
    return {
        "card": latest.content,
        "license": latest.data.license,
        "again": again.oid == pushed.oid and "nothing was sent" in str(told[0].message),
        "same": (Prototypes.from_pretrained("somebody/fitted").centroids == made.centroids).all().item(),
    }


def pinned(ds, made, commit):
    """Rows scored by published prototypes, of which others are published later; made again by the first ones."""
    scored = ds.score_with("prototypes", prototypes="somebody/fitted", run=Run(load_from_cache_file=False))
    at_once = ds.score_with("prototypes", prototypes=made, run=Run(load_from_cache_file=False))
    push_to_hub(scored.prune("prototypes", keep=8, order="hard"), "somebody/by-fitted", source="local", scores=scored)
    later = Prototypes.fit(ds, "pixels", num_prototypes=3, run=Run(image_size=4, load_from_cache_file=False), seed=9)
    latest = later.push_to_hub("somebody/fitted")
    report = rebuild("somebody/by-fitted", Path(sys.argv[1]).parent / "again", source=ds, rescore=True, exact=True)
    made_from = provenance(scored).steps[-1].inputs["centroids"]["prototypes"]
    return {
        "named": (made_from["id"], made_from["commit"]) == ("somebody/fitted", commit),
        "as_pushed": provenance(at_once).steps[-1].inputs["centroids"]["prototypes"] == made_from,
        "other": latest.oid != commit and (later.centroids != made.centroids).any().item(),
        "card": DatasetCard.load("somebody/by-fitted").content,
        "commit": commit,
        "report": str(report),
        "exit_code": report.exit_code,
    }


def teacher():
    """Trained on a cut that was published and loaded again, pushed, pushed again, and used."""
    ds = teacher_jobs.make_set()
    scored = ds.add_column("hardness", np.arange(len(ds), dtype=np.float32))
    cut = push_to_hub(scored.prune("hardness", keep=16, order="hard"), "somebody/cut", source="local")
    rows = load_dataset("somebody/cut", split="train")
    settings = {"num_teachers": 1, "num_epochs": 1, "image_size": 8, "batch_size": 8}
    made = train_teachers(rows, "resnet8-half", folder=Path(sys.argv[1]).parent / "teachers", **settings)
    commit = push_teacher(made, "somebody/teacher", trained_on=rows)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        again = push_teacher(made, "somebody/teacher", trained_on=rows, cut="somebody/cut:hardness-keep16")
    by_id, by_folder = (
        ds.score_with("el2n", teachers=place, run=Run(load_from_cache_file=False))["el2n"][:]
        for place in ("somebody/teacher", made.folders[0])
    )
    card = ModelCard.load("somebody/teacher")
    return {
        "files": sorted(HfApi().list_repo_files("somebody/teacher", revision=commit.oid)),
        "again": [again.oid == commit.oid, *(str(one.message) for one in told)],
        "same": by_id == by_folder,
        "card": card.content,
        "datasets": card.data.datasets,
        "cut": cut.oid,
        "by_recipe": by_recipe(made.folders[0]),
    }


def by_recipe(folder):
    """The same teacher pushed by a recipe: the files there, and what the log says."""
    path, log = Path(sys.argv[1]).parent / "recipe.yaml", []
    path.write_text(
        "dataset: {path: somebody/cut, split: train}\n"
        f"push_teacher: {{teacher: {folder}, repo_id: somebody/teacher-by-recipe}}\n"
    )
    run_recipe(load_recipe(path), log=log.append)
    before = HfApi().repo_exists("somebody/teacher-by-recipe")
    run_recipe(load_recipe(path), push=True, log=log.append)
    return {
        "before": before,
        "cut": ModelCard.load("somebody/teacher-by-recipe").data.datasets,
        "log": [line.replace(folder, "FOLDER") for line in log if line.startswith("push_teacher")],
    }


if __name__ == "__main__":
    results = {job.__name__: job() for job in (prototypes, teacher) if job.__name__ in sys.argv[2].split(",")}
    Path(sys.argv[1]).write_text(json.dumps(results))
