"""Pruning a data set with everything that goes beside the score: embeddings, clusters, duplicates, noise, quotas."""

import json

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, concatenate_datasets

import hf_prune
from hf_prune import Run, Step, explain, provenance, select
from hf_prune.hub.card.code import reproduction
from tests.helpers.tiny_publications import SOURCE, images
from tests.helpers.tiny_sets import make_set, noise

EMBEDDINGS = np.random.default_rng(0).standard_normal((60, 4))
SCORES = np.random.default_rng(1).permutation(60).astype(np.float32)


def make(**columns) -> Dataset:
    features = Features({"label": ClassLabel(names=["cat", "dog", "eel"])})
    ds = Dataset.from_dict({"label": np.arange(60) % 3}, features=features).add_column("s", SCORES)
    for name, values in columns.items():
        ds = ds.add_column(name, values)
    return ds


def run(ds, **options):
    pruned, selection = ds.prune("s", **{"keep": 20, "order": "hard", "return_selection": True} | options)
    assert pruned["s"][:] == [ds["s"][row] for row in selection.kept.tolist()]
    return selection, provenance(pruned).steps[-1]


def again(ds, step: Step, **inputs) -> list[int]:
    """Rows that the call which a card shows keeps, with the arrays filled in that only the user has."""
    entry = {"source": {"known": "local"}, "steps": [json.loads(json.dumps(step.to_dict()))]}
    line = reproduction(entry | {"changed outside hf_prune": False})[-1]
    given = "{" + ", ".join(f'"{name}": ...' for name in inputs) + "}"
    assert not inputs or given in line
    call = line.removeprefix("ds = ").replace(given, "inputs").rstrip(")") + ", return_selection=True)"
    return eval(call, {"ds": ds, "inputs": inputs})[1].kept.tolist()  # our own card, read as its reader would


@pytest.mark.parametrize("order", ["middle", "stratified", "mixed"])
def test_it_selects_what_select_selects_and_the_card_repeats_it(order):
    options = {"num_strata": 7, "random_share": 0.3, "hardest_cutoff": 0.2, "seed": 5}
    selection, step = run(make(), order=order, **options)
    expected = select(SCORES, keep=20, order=order, labels=np.arange(60) % 3, class_balance=0.5, **options)
    assert selection.reasons.tolist() == expected.reasons.tolist()
    own = {"stratified": {"num_strata": 7}, "mixed": {"random_share": 0.3}}
    assert step.options == own.get(order, {}) | {"hardest_cutoff": 0.2}
    assert again(make(), step) == selection.kept.tolist()


def test_middle_reads_the_classes_without_a_floor():
    selection, step = run(make(), order="middle", class_balance=0)
    expected = select(SCORES, keep=20, order="middle", labels=np.arange(60) % 3)
    assert selection.kept.tolist() == expected.kept.tolist()
    assert (step.class_balance, step.label_column) == (0, "label")


def test_plain_steps_are_recorded_as_before():
    _, step = run(make())
    assert (step.options, step.inputs, step.figures) == ({}, {}, None)
    old = {name: value for name, value in step.to_dict().items() if name not in ("reasons", "id")}
    old["id"] = Step(
        **{name: tuple(value) if name in ("unscored", "columns", "parents") else value for name, value in old.items()}
    ).content_id()
    assert Step.from_dict(old).reasons is None


class TestEmbeddings:
    def test_diverse_takes_those_handed_in(self):
        selection, step = run(make(), order="diverse", inputs={"embeddings": EMBEDDINGS})
        unit = (EMBEDDINGS / np.linalg.norm(EMBEDDINGS, axis=1, keepdims=True)).astype(np.float32)
        expected = select(
            SCORES, keep=20, order="diverse", labels=np.arange(60) % 3, class_balance=0.5, embeddings=unit
        )
        assert selection.kept.tolist() == expected.kept.tolist()
        assert list(step.inputs["embeddings"]) == ["given_sha256"]
        assert again(make(), step, embeddings=EMBEDDINGS) == selection.kept.tolist()

    def test_an_encoder_runs_once_and_fills_the_cache(self, tmp_path):
        calls = []

        def mean_colour(batch):
            calls.append(len(batch))
            return np.stack([np.asarray(image.convert("RGB"), float).mean((0, 1)) for image in batch])

        ds = make_set(noise(12)).add_column("s", np.arange(12.0))
        options = {"keep": 4, "order": "cluster", "num_clusters": 3, "drop_duplicates": 0.999}
        _, step = run(ds, encoder=mean_colour, label_column="clusters", run=Run(cache_dir=tmp_path), **options)
        assert sum(calls) == 12
        assert step.inputs["embeddings"]["encoder"]["kind"] == "callable"
        assert step.options == {"drop_duplicates": 0.999, "num_clusters": 3}
        assert set(step.class_counts) == {"0", "1", "2"}

    def test_pixels_come_from_the_cache_the_second_time(self, tmp_path):
        ds = make_set(noise(12)).add_column("s", np.arange(12.0))
        options = {"keep": 4, "order": "diverse", "encoder": "pixels", "run": Run(image_size=4, cache_dir=tmp_path)}
        first = run(ds, **options)[0]
        files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
        assert files
        assert run(ds, **options)[0].kept.tolist() == first.kept.tolist()
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.bin")}.items() <= files.items()

    def test_nothing_is_asked_of_images_without_a_score(self):
        encoded = [*noise(6), b"broken"]
        ds = make_set(encoded).add_column("s", [0.0, 1, 2, 3, 4, 5, None])
        selection, _ = run(
            ds, keep=3, order="diverse", encoder="pixels", run=Run(image_size=4, load_from_cache_file=False)
        )
        assert selection.unscored.tolist() == [6]
        ds = make_set(encoded).add_column("s", np.arange(7.0))
        with pytest.raises(ValueError, match=r"^row 6 has a score but no embedding \(1 such rows\)"):
            run(ds, keep=3, order="diverse", encoder="pixels", run=Run(image_size=4, load_from_cache_file=False))


class TestClusters:
    def test_pseudo_labels_get_a_floor(self):
        ds = Dataset.from_dict({"s": SCORES})
        embeddings = np.eye(3)[np.repeat([0, 1, 2], 20)] + 0.01 * EMBEDDINGS[:, :3]
        given = {"embeddings": embeddings}
        selection, step = run(ds, keep=30, label_column="clusters", class_balance=1.0, num_clusters=3, inputs=given)
        assert np.bincount(selection.kept // 20).tolist() == [10, 10, 10]
        assert (step.label_column, step.options, step.class_balance) == ("clusters", {"num_clusters": 3}, 1.0)
        assert sorted(step.class_counts.values()) == [[20, 10]] * 3
        assert again(ds, step, **given) == selection.kept.tolist()

    def test_a_column_of_that_name_comes_first(self):
        _, step = run(make(clusters=[0, 1] * 30), label_column="clusters")
        assert step.class_counts == {"0": [30, 10], "1": [30, 10]} or set(step.class_counts) == {"0", "1"}
        assert step.options == {}

    def test_clusters_handed_in(self):
        given = {"embeddings": EMBEDDINGS, "clusters": np.arange(60) % 4}
        selection, step = run(make(), order="cluster", inputs=given)
        assert set(step.inputs) == {"embeddings", "clusters"}
        assert again(make(), step, **given) == selection.kept.tolist()


class TestDuplicates:
    def test_equal_bytes_without_an_encoder(self):
        ds = concatenate_datasets([images(12), images(3)])
        selection, step = run(ds.add_column("s", np.arange(15.0)), keep=10, order="easy", drop_duplicates=1.0)
        assert [selection.reason(row) for row in (12, 13, 14)] == [f"duplicate of row {row}" for row in (0, 1, 2)]
        assert step.options == {"drop_duplicates": 1.0}

    def test_near_duplicates_by_embedding_spare_a_row_whose_like_has_no_score(self):
        scores = [None, *range(1, 60)]
        embeddings = EMBEDDINGS.copy()
        embeddings[[1, 2]] = embeddings[0] * 2  # like row 0, which is not scored
        ds = Dataset.from_dict({"s": scores})
        selection, _ = run(ds, keep=5, order="easy", drop_duplicates=0.9999, inputs={"embeddings": embeddings})
        assert selection.reason(1) == "above the cut"
        assert selection.reason(2) == "duplicate of row 1"

    def test_handed_in(self):
        copies = np.full(60, -1)
        copies[59] = 0
        selection, step = run(make(), order="easy", inputs={"duplicate_of": copies})
        assert selection.reason(59) == "duplicate of row 0"
        assert step.reasons["counts"]["duplicate"] == 1


class TestNoise:
    @pytest.mark.parametrize("column", ["label", "clusters"])  # a column that is called so holds classes
    def test_labels_that_look_wrong_go(self, column):
        labels = np.repeat([0, 1, 2], 200)
        embeddings = np.eye(3)[labels] + 0.05 * np.random.default_rng(0).standard_normal((600, 3))
        wrong = np.arange(5, 600, 30)
        labels[wrong] = (labels[wrong] + 1) % 3
        ds = Dataset.from_dict({column: labels, "s": np.arange(600.0)})
        options = {"keep": 500, "label_column": column, "hardest_cutoff": "noise"}
        selection, step = run(ds, inputs={"embeddings": embeddings}, **options)
        found = [row for row in range(600) if selection.reason(row) == "cut: noise suspect"]
        assert len(found) >= 10
        assert set(found) <= set(wrong.tolist())
        assert step.options == {"hardest_cutoff": "noise"}
        assert 0 < step.figures["noise_rate"] < 0.1
        assert again(ds, step, embeddings=embeddings) == selection.kept.tolist()

    def test_suspects_handed_in(self):
        suspects = SCORES > 50
        selection, _ = run(make(), hardest_cutoff="noise", inputs={"suspects": suspects})
        assert selection.rows(17).tolist() == np.flatnonzero(suspects).tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"order": "diverse"},
            r"^order='diverse' needs embeddings: pass encoder=, or inputs=\{'embeddings': array\}$",
        ),
        ({"label_column": "clusters"}, r"^label_column='clusters' needs embeddings"),
        ({"hardest_cutoff": "noise"}, r"^hardest_cutoff='noise' needs embeddings"),
        ({"drop_duplicates": 0.9}, r"^drop_duplicates=0.9 needs embeddings"),
        ({"drop_duplicates": 1.5}, r"^drop_duplicates=1.5; give the least cosine of duplicates, in \(0, 1\]$"),
        ({"drop_duplicates": True}, "^drop_duplicates=True; give the least cosine"),
        ({"num_clusters": 3}, "^num_clusters=3 has no part in this pruning"),
        (
            {"inputs": {"embeddings": EMBEDDINGS}},
            r"^inputs\['embeddings'\] has no part in this pruning: leave it out$",
        ),
        ({"inputs": {"probs": EMBEDDINGS}}, r"^inputs=\{'probs': …\}, but prune takes embeddings, clusters,"),
        ({"inputs": {"embeddings": EMBEDDINGS[:5]}}, r"^inputs\['embeddings'\] has shape \(5, 4\); .* the 60 rows$"),
        (
            {"order": "cluster", "inputs": {"embeddings": EMBEDDINGS}, "num_clusters": 61},
            r"^num_clusters=61; give a whole number in \[1, 60\]$",
        ),
        (
            {
                "order": "cluster",
                "inputs": {"embeddings": EMBEDDINGS, "clusters": np.zeros(60, int)},
                "num_clusters": 2,
            },
            r"^num_clusters=2 and inputs\['clusters'\] were given; give one of them$",
        ),
        (
            {"class_balance": {"cow": 3}},
            r"^class_balance: unknown class of column 'label' 'cow'\. Known: cat, dog, eel$",
        ),
        ({"class_balance": {"cat": 3, 0: 4}}, r"^class_balance names class 'cat' twice; give each once$"),
        ({"class_balance": {"cat": 21}}, r"^class_balance asks for 21 rows of class 0, which has 20$"),
        ({"quotas": "even"}, r"^quotas='even'; give 'error', or counts per class as class_balance=$"),
        ({"quotas": "error"}, r"^quotas='error' needs class_errors=, or encoder= or inputs="),
        ({"class_errors": {"cat": 0.1}}, r"^class_errors= is for quotas='error': give both, or leave it out"),
        ({"quotas": "error", "class_errors": {"cat": 0.1}}, r"^class 'dog' has no error among those of \['cat'\]"),
        (
            {"quotas": "error", "class_errors": {"cat": 0.1}, "class_balance": 0.5},
            r"^quotas='error' and class_balance= both set what classes get",
        ),
        ({"keep": 0.9, "hardest_cutoff": 0.3}, "^keep=0.9 keeps 54 of 60 rows with a score, of which 42 are left"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(options, message):
    with pytest.raises(ValueError, match=message) as caught:
        run(make(), **options)
    assert "\n" not in str(caught.value)


def test_splits_of_a_dict_are_pruned_alike():
    both = DatasetDict(train=make(), test=make())
    pruned, selections = both.prune(
        "s", keep=0.5, order="stratified", hardest_cutoff=0.1, splits=["train", "test"], return_selection=True
    )
    assert selections["train"].kept.tolist() == selections["test"].kept.tolist()
    assert {len(split) for split in pruned.values()} == {30}


def test_a_published_pruning_says_what_went(tmp_path):
    ds = images(12).add_column("s", np.arange(12.0))
    kept = ds.prune("s", keep=6, order="mixed", hardest_cutoff=0.25, class_balance={"cat": 2, "dog": 2, "ship": 2})
    card = hf_prune.export(kept, tmp_path / "out", source=SOURCE).joinpath("README.md").read_text()
    assert "the rows with the highest `s` and a share of random ones" in card
    assert "| Cut as the hardest | 3 rows |" in card
    assert "| Options | `random_share = 0.5`, `hardest_cutoff = 0.25`, `class_balance` for 3 classes" in card
    assert 'class_balance={"cat": 2, "dog": 2, "ship": 2}' in card
    assert explain(ds, kept)["reason"][:].count("cut: hardest") == 3
