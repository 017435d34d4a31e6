"""Everything that goes beside the score when pruning, by the command line and by recipes; and why each row went."""

from pathlib import Path

import numpy as np
import pytest
from datasets import load_from_disk

import hf_prune

pytest_plugins = ["tests.helpers.command_line"]

EMBEDDINGS = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32)


@pytest.fixture
def arrays(place) -> Path:
    np.save("vectors.npy", EMBEDDINGS)
    return place


def kept(folder: str) -> tuple[list, hf_prune.Step]:
    ds = load_from_disk(folder)
    return ds["prototypes"][:], hf_prune.provenance(ds).steps[-1]


@pytest.mark.usefixtures("arrays")
def test_options_of_orders_are_those_of_the_function(hf):
    ds = load_from_disk("scored")
    options = (
        "--order stratified --num-strata 3 --hardest-cutoff 0.25 --drop-duplicates 0.9 --inputs embeddings=vectors.npy"
    )
    hf(f"prune scored prototypes --keep 5 {options} --out by-line")
    expected = ds.prune(
        "prototypes",
        keep=5,
        order="stratified",
        num_strata=3,
        hardest_cutoff=0.25,
        drop_duplicates=0.9,
        inputs={"embeddings": EMBEDDINGS},
    )
    scores, step = kept("by-line")
    assert scores == expected["prototypes"][:]
    assert step.options == {"num_strata": 3, "hardest_cutoff": 0.25, "drop_duplicates": 0.9}


@pytest.mark.usefixtures("arrays")
def test_an_encoder_makes_what_an_order_needs(hf):
    hf(
        "prune scored prototypes --keep 4 --order cluster --encoder pixels --image-size 2 --num-clusters 2 --out by-line"
    )
    ds = load_from_disk("scored")
    expected = ds.prune(
        "prototypes", keep=4, order="cluster", encoder="pixels", run=hf_prune.Run(image_size=2), num_clusters=2
    )
    scores, step = kept("by-line")
    assert scores == expected["prototypes"][:]
    assert step.inputs["embeddings"]["encoder"]["kind"] == "pixels"


@pytest.mark.usefixtures("arrays")
def test_rows_of_classes(hf):
    names = load_from_disk("scored").features["label"].names
    quotas = " ".join(f"--class-balance {name}={rows}" for rows, name in enumerate(names, start=1))
    hf(f"prune scored prototypes --keep 6 --order easy {quotas} --out by-line")
    assert kept("by-line")[1].options["class_balance"] == {name: rows for rows, name in enumerate(names, start=1)}
    hf(f"prune scored prototypes --keep 6 --order easy --class-balance {names[0]}=2 --out by-line --overwrite")
    assert kept("by-line")[1].options["class_balance"] == {names[0]: 2}
    hf("prune scored prototypes --keep 6 --order easy --class-balance 1 --out by-line --overwrite")
    assert kept("by-line")[1].class_balance == 1.0


@pytest.mark.usefixtures("arrays")
def test_errors_of_classes(hf):
    names = load_from_disk("scored").features["label"].names
    errors = " ".join(f"--class-errors {name}={number / 10}" for number, name in enumerate(names, start=1))
    hf(f"prune scored prototypes --keep 6 --order easy --quotas error {errors} --out by-line")
    _, step = kept("by-line")
    assert step.options["class_errors"] == {name: number / 10 for number, name in enumerate(names, start=1)}


@pytest.mark.usefixtures("arrays")
def test_a_recipe_takes_mappings_and_arrays(hf):
    names = load_from_disk("scored").features["label"].names
    Path("recipe.yaml").write_text(
        "dataset: {path: scored}\n"
        "prune:\n"
        "  metric: prototypes\n"
        "  keep: 5\n"
        "  order: mixed\n"
        "  random_share: 0.4\n"
        f"  class_balance: {{{names[0]}: 2}}\n"
        "  drop_duplicates: 0.99\n"
        "  inputs: {embeddings: vectors.npy}\n"
    )
    hf("run recipe.yaml --out by-recipe")
    scores, step = kept("by-recipe")
    assert step.options == {"random_share": 0.4, "drop_duplicates": 0.99, "class_balance": {names[0]: 2}}
    assert len(scores) == 5


@pytest.mark.usefixtures("arrays")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "prune scored prototypes --keep 3 --order best --out x",
            "--order best; give one of 'auto', 'balanced', 'beta', 'cluster', 'coverage'",
        ),
        ("prune scored prototypes --keep 3 --order hard --hardest-cutoff much --out x", "--hardest-cutoff much; give"),
        (
            "prune scored prototypes --keep 3 --order diverse --out x",
            "--order diverse needs embeddings: pass --encoder",
        ),
        (
            "prune scored prototypes --keep 3 --order hard --class-errors a --out x",
            "write class=error, such as cat=0.2",
        ),
        (
            "prune scored prototypes --keep 3 --order hard --class-balance a=b --out x",
            "--class-balance 'a=b': give a share in [0, 1] once, or class=rows for some classes, such as cat=800",
        ),
        (
            "prune scored prototypes --keep 3 --order hard --class-balance half --out x",
            "'half': give a share in [0, 1]",
        ),
        (
            "prune scored prototypes --keep 3 --order hard --class-balance .5 --class-balance a=1 --out x",
            "'.5': give a",
        ),
        (
            "prune scored prototypes --keep 3 --order hard --class-balance a=1 --class-balance a=2 --out x",
            "--class-balance names 'a' twice; give each once",
        ),
        ("push scored somebody/x --num-shards many", "'many': give a count once, or SPLIT=COUNT for some splits"),
        ("prune scored prototypes --keep 3 --order hard --inputs a.npy --out x", "write NAME=file.npy"),
        ("explain scored scored", "kept has no pruning in its history"),
    ],
)
def test_what_the_user_can_mend_is_one_line(refusal, line, said):
    assert said in refusal(line)
