"""Arrays beside the scores: embeddings, clusters, duplicates and noise suspects, given or found."""

import numpy as np
import pytest
from datasets import Dataset, concatenate_datasets

from hf_prune import Run, select
from hf_prune.data.digests import array_sha256
from hf_prune.pruning.inputs import PruningInputs
from hf_prune.scoring import Request
from tests.helpers.tiny_publications import images
from tests.helpers.tiny_sets import make_set, noise
from tests.pruning.test_prune_options import EMBEDDINGS, SCORES, again, make, run


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


def inputs_of(scores, num_clusters=None, **given) -> PruningInputs:
    """The inputs of rows with these scores, None where there is none."""
    missing = [score is None for score in scores]
    masked = np.ma.MaskedArray([0.0 if score is None else score for score in scores], mask=missing)
    ds = Dataset.from_dict({"row": range(len(scores))})
    return PruningInputs(ds, masked, Request(inputs=given), num_clusters, seed=0)


def test_embeddings_are_made_to_unit_rows_once():
    found = inputs_of([1.0, 2.0], embeddings=np.array([[3.0, 4.0], [0.0, -2.0]]))
    assert found.embeddings("order='diverse'") == pytest.approx(np.array([[0.6, 0.8], [0.0, -1.0]]))
    assert found.embeddings("order='cluster'") is found.embeddings("order='diverse'")
    assert found.made_from == {"embeddings": {"given_sha256": array_sha256(np.array([[3.0, 4.0], [0.0, -2.0]]))}}


def test_only_rows_with_a_score_are_in_clusters():
    points = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9], [1.0, 1.0]]
    found = inputs_of([1.0, 2.0, 3.0, 4.0, None], num_clusters=2, embeddings=np.array(points))
    codes = found.clusters("order='cluster'").tolist()
    assert found.scored.tolist() == [0, 1, 2, 3]
    assert codes[4] == -1
    assert codes[0] == codes[1] != codes[2] == codes[3]
    assert set(codes[:4]) == {0, 1}
    assert found.num_clusters_used == 2
    found.check_all_used()


def test_as_many_clusters_as_rows_with_a_score_and_no_more():
    points = np.eye(4)[:, :3] + 0.1
    assert sorted(inputs_of([1, 2, 3, None], 3, embeddings=points).clusters("it").tolist()) == [-1, 0, 1, 2]
    for number in (0, 4):
        with pytest.raises(ValueError, match=rf"^num_clusters={number}; give a whole number in \[1, 3\]$"):
            inputs_of([1, 2, 3, None], number, embeddings=points).clusters("it")


def test_given_clusters_need_no_embeddings():
    found = inputs_of([1.0, 2.0, 3.0], clusters=[2, 0, 2])
    assert found.clusters("order='cluster'").tolist() == [2, 0, 2]
    assert found.num_clusters_used is None
    assert not found.has_embeddings


def test_duplicates_of_rows_with_a_score_by_hand():
    """Of four equal rows the first has no score: the second stands for the two after it."""
    points = np.array([[1.0, 0.0]] * 4 + [[0.0, 1.0]])
    assert inputs_of([None, 1, 2, 3, 4], embeddings=points).duplicate_of(0.99).tolist() == [-1, -1, 1, 1, -1]
    assert inputs_of([1, 2]).duplicate_of(None) is None
    assert inputs_of([1, 2], duplicate_of=[-1, 0]).duplicate_of(None).tolist() == [-1, 0]
    with pytest.raises(
        ValueError, match=r"^drop_duplicates=0\.9 and inputs\['duplicate_of'\] were given; give one of"
    ):
        inputs_of([1, 2], duplicate_of=[-1, 0]).duplicate_of(0.9)


def test_errors_of_classes_are_those_of_rows_with_score_and_label():
    """Two clouds apart, of which three rows of the first are labelled as the second: those three alone are wrong."""
    cloud = np.repeat([0, 1], 20)
    points = np.eye(2)[cloud] + 0.05 * np.random.default_rng(0).normal(size=(40, 2))
    labels = cloud.copy()
    labels[:3] = 1
    labels[[10, 30]] = -1
    scores = [None if row in (11, 12, 31) else float(row) for row in range(40)]
    # Of the first class 20 - 3 - 1 - 2 rows, none wrong; of the second 20 + 3 - 1 - 1, of which 3 are.
    assert inputs_of(scores, embeddings=points).class_errors(labels) == {0: 0.0, 1: pytest.approx(3 / 21)}


def test_suspects_need_labels_unless_they_are_given():
    with pytest.raises(
        ValueError, match=r"^hardest_cutoff='noise' needs labels: name their column with label_column=$"
    ):
        inputs_of([1.0, 2.0], embeddings=np.eye(2)).suspects(None)
    assert inputs_of([1.0, 2.0], suspects=[True, False]).suspects(None).tolist() == [True, False]


def test_what_was_given_must_be_used():
    found = inputs_of([1.0, 2.0], embeddings=np.eye(2), suspects=[True, False])
    with pytest.raises(ValueError, match=r"^inputs\['embeddings'\] has no part in this pruning: leave it out$"):
        found.check_all_used()
    found.embeddings("it")
    with pytest.raises(ValueError, match=r"^inputs\['suspects'\] has no part in this pruning: leave it out$"):
        found.check_all_used()
    found.suspects(None)
    found.check_all_used()


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
        ({"quotas": "error"}, r"^quotas='error' needs class_errors=, or encoder= or inputs="),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(options, message):
    with pytest.raises(ValueError, match=message) as caught:
        run(make(), **options)
    assert "\n" not in str(caught.value)


class TestConfidence:
    def test_the_column_of_that_name_is_read(self):
        confidence = np.linspace(0, 1, 60)
        selection, step = run(make(confidence=confidence), order="beta", exponent=2.0)
        expected = select(
            SCORES,
            keep=20,
            order="beta",
            labels=np.arange(60) % 3,
            class_balance=0.5,
            confidence=confidence,
            exponent=2.0,
        )
        assert selection.kept.tolist() == expected.kept.tolist()
        assert (step.inputs, step.options) == ({"confidence": {"column": "confidence"}}, {"exponent": 2.0})

    def test_it_is_missed_in_one_line(self):
        with pytest.raises(ValueError, match=r"^order='beta' needs the scores 'confidence': score them, too"):
            run(make(), order="beta")
        with pytest.raises(ValueError, match=r"^row 1 has a score but no 'confidence' \(1 such rows\)$"):
            run(make(confidence=[0.5, None, *[0.5] * 58]), order="beta")
