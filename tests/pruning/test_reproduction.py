"""Lines of Python that make a split again."""

import ast

import pytest

from hf_prune.hub.publish.export import export
from hf_prune.pruning.reproduction import changed_at_start, reproduction
from tests.helpers.card_records import ENCODER, made, with_score
from tests.helpers.tiny_publications import COMMIT, SOURCE, images

ON_HUB = {"known": "given", "repo_id": "uoft-cs/cifar10", "commit": COMMIT}
LOADED = f'ds = load_dataset("uoft-cs/cifar10", revision="{COMMIT}")'


def test_the_lines_that_make_it_again_do(tmp_path):
    ds = with_score(
        images(), "prototypes", [float(row) for row in range(12)], inputs={"embeddings": {"encoder": ENCODER}}
    )
    folder = export(
        ds.prune("prototypes", keep=4, order="easy", class_balance=0),
        tmp_path / "o",
        source=SOURCE,
        config_name="default",
    )
    lines = reproduction(made(folder)["splits"]["train"])
    assert lines[3] == f'ds = load_dataset("uoft-cs/cifar10", revision="{COMMIT}", split="train")'
    assert lines[4] == (
        f'ds = ds.score_with("prototypes", encoder="facebook/dino-vits16", '
        f'run=hf_prune.Run(revision="{"c" * 40}", dtype="bfloat16"), seed=0)'
    )
    assert lines[5] == 'ds = ds.prune("prototypes", keep=4, order="easy", class_balance=0.0, seed=0)'
    namespace = {"ds": images().add_column("prototypes", [float(row) for row in range(12)])}
    exec(lines[5], namespace)
    assert namespace["ds"]["prototypes"][:] == [0.0, 1.0, 2.0, 3.0]


def test_what_only_the_user_has_is_named_in_a_comment():
    inputs = {
        "embeddings": {"encoder": ENCODER | {"commit": None, "weights_sha256": "e" * 64}},
        "labels": {"given_sha256": "f"},
    }
    step = {
        "kind": "score",
        "metric": "m",
        "column": "c",
        "inputs": inputs,
        "options": {"k": 1},
        "seed": 2,
        "unscored": [1],
    }
    lines = reproduction({"source": {"known": "local"}, "steps": [step], "changed outside hf_prune": True})
    assert lines[3:] == [
        "ds = load_dataset(...)  # the source is local",
        f'# encoder: your own "facebook/dino-vits16", weights SHA-256 "{"e" * 64}"',
        '# "labels" was handed in, SHA-256 "f"',
        'ds = ds.score_with("m", encoder=..., run=hf_prune.Run(dtype="bfloat16"), inputs={"labels": ...}, column="c", '
        'on_error="skip", seed=2, k=1)',
        "# what was done outside hf_prune is not known",
    ]


def steps(*steps):
    return reproduction({"source": ON_HUB, "steps": steps, "changed outside hf_prune": False})[4:]


def scoring(**fields):
    step = {"kind": "score", "metric": "m", "column": "m", "inputs": {}, "options": {}, "seed": 0, "unscored": []}
    return step | fields


def test_a_combination_is_repeated_with_its_weights():
    combined = {"kind": "combine", "metric": "rank_mean", "column": "both", "options": {"metrics": ["a", "b"]}}
    weighted = combined | {"options": {"metrics": ["a", "b"], "weights": [2, 1]}}
    call = 'ds = hf_prune.combine(ds, ["a", "b"], how="rank_mean", column="both"'
    assert steps(combined, weighted) == [f"{call})", f"{call}, weights=[2, 1])"]


def test_heads_records_and_prototypes_are_named_or_left_open():
    trained = {"heads": {"num_heads": 2}, "encoder": ENCODER, "label_column": "label"}
    record = {"correct": {"dynamics": {"epochs": 3}, "runs": 2, "sha256": "f"}}
    known = {"id": "somebody/prototypes", "commit": COMMIT, "centroids_sha256": "9"}
    own = {"id": "p", "commit": None, "centroids_sha256": "9"}
    found = steps(
        scoring(inputs={"hits": trained}),
        scoring(inputs=record),
        scoring(inputs={"centroids": {"prototypes": known}}),
        scoring(inputs={"centroids": {"prototypes": own}}),
    )
    settings = f'run=hf_prune.Run(revision="{"c" * 40}", dtype="bfloat16")'
    assert found == [
        'ds = ds.score_with("m", label_column="label", teachers=hf_prune.Heads(num_heads=2), '
        f'encoder="facebook/dino-vits16", {settings}, seed=0)',
        '# the record of your own training for "correct", SHA-256 "f"',
        'ds = ds.score_with("m", dynamics=..., seed=0)',
        f'ds = ds.score_with("m", prototypes="somebody/prototypes@{COMMIT}", seed=0)',
        '# prototypes: your own, SHA-256 "9"',
        'ds = ds.score_with("m", prototypes=..., seed=0)',
    ]


def test_several_teachers_stay_a_list():
    other = ENCODER | {"id": "somebody/vit", "commit": "d" * 40}
    (line,) = steps(scoring(inputs={"probs": {"teachers": [ENCODER, other]}}))
    assert 'teachers=["facebook/dino-vits16", "somebody/vit"], run=hf_prune.Run(dtype="bfloat16")' in line


@pytest.mark.parametrize(
    ("kind", "published", "lines"),
    [
        (
            "score",
            {"repo_id": "somebody/kept", "commit": "a" * 40, "config": "scores"},
            [f'ds = hf_prune.load_scores("somebody/kept", ds, columns="el2n", revision="{"a" * 40}")'],
        ),
        (
            "score",
            {"shelf": "sorscher2022/DDD", "file": "DDD.csv"},
            ['ds = hf_prune.load_scores("sorscher2022/DDD", ds, columns="el2n")'],
        ),
        (
            "score",
            {"file": "DDD.csv"},
            ['# taken from your own "DDD.csv"', 'ds = hf_prune.load_scores(..., ds, columns="el2n")'],
        ),
        (
            "prune",
            {"folder": "out", "config": "el2n-keep3"},
            ['# taken from your own "out"', 'ds = hf_prune.apply(..., ds, config="el2n-keep3")'],
        ),
    ],
)
def test_what_was_taken_over_is_taken_again(kind, published, lines):
    assert steps(scoring(kind=kind, column="el2n", inputs={"scores": {"published": published}})) == lines


def test_options_that_are_no_names_of_arguments_are_left_out():
    (line,) = steps(scoring(options={"x); evil(": 1, "a b": 2, "é": 3, "k": "`<"}))
    assert line == r'ds = ds.score_with("m", seed=0, k="\x60\x3c")'
    ast.parse(line)


@pytest.mark.parametrize(
    ("fields", "last"),
    [
        ({"changed outside hf_prune": True}, "# what was done outside hf_prune is not known"),
        ({"scores changed outside hf_prune": ["m"]}, "# what was done outside hf_prune is not known"),
        ({"loaded": {"same": False}}, "# what was done to the rows here, before the first step, is not known"),
        ({"loaded": {"same": True}}, LOADED),
        ({"loaded": "damaged"}, LOADED),
    ],
)
def test_changes_by_other_means_are_said(fields, last):
    entry = {"source": ON_HUB, "steps": [], "changed outside hf_prune": False} | fields
    assert reproduction(entry)[3] == LOADED
    assert reproduction(entry)[-1] == last
    assert changed_at_start(entry) == (fields.get("loaded") == {"same": False})
