"""Suspects and rates on data whose noise is known."""

import csv

import numpy as np
import pytest
from cleanlab.filter import find_label_issues
from datasets import ClassLabel, Dataset, Features, Value
from sklearn.datasets import load_digits

import hf_prune
from hf_prune.cleaning.label_noise import label_noise
from tests.helpers.tiny_sets import SIDE, encode, make_set

DIGITS = load_digits()


def noisy(share, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the digits with a share drawn anew among the other classes, and where."""
    generator = np.random.default_rng(seed)
    labels = DIGITS.target.astype(np.int64)
    rows = generator.permutation(len(labels))[: round(share * len(labels))]
    labels[rows] = (labels[rows] + generator.integers(1, 10, len(rows))) % 10
    wrong = np.zeros(len(labels), dtype=bool)
    wrong[rows] = True
    return labels, wrong


@pytest.fixture(scope="module")
def twenty():
    labels, wrong = noisy(0.2)
    return label_noise(DIGITS.data, inputs={"labels": labels}), labels, wrong


class TestOnDigits:
    def test_clean_labels_have_next_to_no_suspects(self):
        found = label_noise(DIGITS.data, inputs={"labels": DIGITS.target})
        assert found.rate < 0.01
        assert found.suspects.sum() <= 0.01 * len(found.suspects)
        assert found.low < 0.005
        assert found.high < 0.06  # it agrees with 97 % of the labels
        assert found.caution == ""

    def test_wrong_labels_are_counted_and_found(self, twenty):
        found, _, wrong = twenty
        assert found.low <= 0.2 <= found.high
        assert found.rate == pytest.approx(0.2, abs=0.05)
        assert found.confident_rate == pytest.approx(0.2, abs=0.05)
        assert wrong[found.suspects].mean() > 0.9
        assert found.suspects[wrong].mean() > 0.65

    def test_the_self_test_tells_what_is_then_found(self, twenty):
        found, _, wrong = twenty
        assert found.precision == pytest.approx(wrong[found.suspects].mean(), abs=0.1)
        assert found.self_test.planted == 3 * 180
        at_random, _, by_row = found.self_test.found(np.array([found.suspects.mean()]))[:, 0]
        assert found.recall == by_row < 0.9 < at_random  # no more is claimed than of the kind that is found least

    def test_every_cut_has_a_precision(self, twenty):
        found, _, wrong = twenty
        counts = np.array([50, 200, 360, 700])
        truth = [wrong[found.ranking[:count]].mean() for count in counts]
        claims = found.precision_at(counts)
        np.testing.assert_allclose(claims[:, 0], truth, atol=0.1)
        assert (claims[:, 1] <= truth).all()
        assert (truth <= claims[:, 2]).all()
        np.testing.assert_array_equal(found.precision_at(200), claims[1:2])
        for bad in (0, 1798, 2.5, [1, 0]):
            with pytest.raises(ValueError, match="give numbers of rows from 1 to 1797, those judged"):
                found.precision_at(bad)

    def test_of_a_weak_classifier_it_says_so_and_its_range_is_wide(self):
        """Four pixels hardly tell the digits apart: a fifth of the labels may be wrong, or none."""
        labels, wrong = noisy(0.2)
        found = label_noise(DIGITS.data[:600, 26:30], inputs={"labels": labels[:600]})
        assert found.low <= wrong[:600].mean() <= found.high
        assert found.high - found.low > 0.3
        assert f"the classifier agrees with {found.agreement:.0%} of the labels only" in found.caution
        assert found.caution in str(found)

    def test_splits_are_averaged_and_can_be_asked_for(self):
        labels, _ = noisy(0.1)
        given = {"inputs": {"labels": labels[:300]}}
        one, same = (label_noise(DIGITS.data[:300], num_splits=1, seed=3, **given) for _ in range(2))
        assert one.self_test == same.self_test
        assert one.self_test.planted == 30
        three = label_noise(DIGITS.data[:300], seed=3, **given)
        assert three.self_test.planted == 90
        assert 0 < np.abs(three.probs - one.probs).max() < 0.6
        np.testing.assert_allclose(three.probs.sum(axis=1), 1, atol=1e-5)

    def test_the_ranking_is_as_good_as_that_of_cleanlab(self, twenty):
        found, labels, wrong = twenty
        theirs = find_label_issues(labels, found.probs.astype(np.float64), return_indices_ranked_by="self_confidence")
        count = int(wrong.sum())
        ours = wrong[found.ranking[:count]].mean()
        assert ours >= wrong[theirs[:count]].mean() - 0.01

    def test_probabilities_are_of_all_classes_and_out_of_fold(self, twenty):
        found, labels, wrong = twenty
        assert found.probs.shape == (1797, 10)
        np.testing.assert_allclose(found.probs.sum(axis=1), 1, atol=1e-5)
        agree = found.probs.argmax(axis=1) == labels
        assert found.agreement == pytest.approx(agree.mean())
        assert agree[wrong].mean() < 0.1  # a classifier that had seen the labels would repeat some

    def test_a_seed_decides_and_repeats(self):
        labels, _ = noisy(0.1)
        part = {"inputs": {"labels": labels[:400]}}
        first, again, other = (label_noise(DIGITS.data[:400], seed=seed, **part) for seed in (0, 0, 1))
        np.testing.assert_array_equal(first.scores, again.scores)
        assert first.self_test == again.self_test
        assert (first.scores != other.scores).any()


class TestRowsThatCannotBeJudged:
    LABELS = np.repeat([0, 1, 2], 20)
    POINTS = np.eye(3)[LABELS] + 0.1 * np.random.default_rng(0).normal(size=(60, 3))

    def test_rows_without_a_label(self):
        labels = self.LABELS.copy()
        labels[[5, 25]] = -1
        found = label_noise(self.POINTS, inputs={"labels": labels})
        assert found.unscored == {5: "no label", 25: "no label"}
        assert np.isnan(found.scores[[5, 25]]).all()
        assert np.isnan(found.probs[[5, 25]]).all()
        assert not found.suspects[[5, 25]].any()
        rest = np.delete(np.arange(60), [5, 25])
        alone = label_noise(self.POINTS[rest], inputs={"labels": labels[rest]})
        np.testing.assert_array_equal(found.scores[rest], alone.scores)
        assert "2 rows were not judged" in str(found)

    def test_the_only_row_of_a_class(self):
        labels = self.LABELS.copy()
        labels[7] = 3
        found = label_noise(self.POINTS, inputs={"labels": labels})
        assert found.unscored == {7: "its class has no row in another fold"}
        assert not found.suspects[7]
        assert sorted(found.ranking) == [row for row in range(60) if row != 7]

    def test_rows_without_a_direction(self):
        points = self.POINTS.copy()
        points[3] = 0
        with pytest.raises(ValueError, match="the embedding of row 3 is zero or not finite"):
            label_noise(points, inputs={"labels": self.LABELS})
        assert list(label_noise(points, inputs={"labels": self.LABELS}, on_error="skip").unscored) == [3]


def test_predictions_handed_in_are_judged_as_they_are():
    probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.95, 0.05], [0.5, 0.5]])
    found = label_noise(Dataset.from_dict({"y": [0, 0, 1, 1, -1]}), inputs={"probs": probs}, label_column="y")
    assert found.rate == found.confident_rate == pytest.approx(0.25)
    assert found.suspects.tolist() == [False, False, False, True, False]
    assert found.self_test is found.precision is found.recall is None
    assert (found.low, found.high) == (0, pytest.approx(0.25 + 1.645 * (0.25 * 0.75 / 4) ** 0.5))
    assert np.isnan(found.precision_at([1, 4])).all()
    assert list(found.unscored) == [4]
    assert "self-test" not in str(found)


def test_of_images_with_an_encoder(tmp_path):
    generator = np.random.default_rng(0)
    codes = np.arange(80) % 2
    shades = (codes * 100 + 60)[:, None, None, None] * np.linspace(0.2, 1, SIDE)[:, None] + generator.integers(
        0, 50, (80, SIDE, SIDE, 3)
    )
    given = codes.tolist()
    given[11] = 0
    ds = make_set([encode(image.clip(0, 255).astype(np.uint8)) for image in shades]).add_column("label", given)
    ds = ds.cast_column("label", ClassLabel(names=["dark", "light"]))
    found = hf_prune.label_noise(ds, encoder="pixels", run=hf_prune.Run(image_size=SIDE, cache_dir=tmp_path / "cache"))
    assert found.ranking[0] == 11
    assert "row 11: label dark, predicted light" in str(found)
    rows = list(csv.reader(found.write_csv(tmp_path / "found.csv").open()))
    assert rows[0] == ["row", "label", "predicted", "score", "suspect", "precision"]
    assert rows[1][:3] == ["11", "dark", "light"]
    assert [float(row[5]) for row in rows[1:]] == pytest.approx(found.precision_at(np.arange(1, 81))[:, 0], abs=1e-4)
    assert len(rows) == 81


def test_the_text_says_how_far_it_can_be_trusted(twenty):
    found = twenty[0]
    lines = str(found).splitlines()
    range_ = f"{100 * found.low:.1f} to {100 * found.high:.1f} % (about {100 * found.rate:.1f} %)"
    count = found.suspects.sum()
    assert lines[0] == f"{range_} of 1797 labels are estimated to be wrong; {count} rows are suspects"
    assert lines[1] == found.caution
    assert lines[2].startswith("self-test: of 540 planted labels as many are among the suspects: drawn at random ")
    assert f"drawn as the classifier errs {found.recall:.0%}" in lines[2]
    assert lines[4].startswith(f"of the {count} suspects about {found.precision:.0%} are wrong, ")
    assert len(lines) == 17


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "label_noise predicts labels from one of encoder="),
        ({"encoder": "pixels", "inputs": {"embeddings": np.ones((3, 2))}}, "give exactly one"),
        (
            {"inputs": {"embeddings": np.ones((3, 2)), "margins": np.ones(3)}},
            "label_noise takes embeddings, labels and probs",
        ),
        ({"encoder": "pixels", "planted": 0.6}, r"planted=0.6; give the share of labels to replace, in \[0, 0.5\]"),
        ({"encoder": "pixels", "on_error": "drop"}, "on_error='drop'; give 'raise' or 'skip'"),
        ({"encoder": "pixels", "seed": -1}, "seed=-1"),
        ({"encoder": "pixels", "num_splits": 0}, "num_splits=0"),
        ({"inputs": {"probs": np.ones((3, 1))}}, r"inputs\['probs'\] has shape \(3, 1\), the labels have 2 classes"),
        ({"inputs": {"probs": np.full((3, 2), np.nan)}}, r"inputs\['probs'\] holds NaN or infinity"),
        ({"inputs": {"embeddings": np.ones((3, 2))}, "num_folds": 9}, "num_folds=9 of 3 rows with a label"),
        (
            {"inputs": {"embeddings": np.ones((3, 2))}, "num_folds": 2},
            "fewer than two classes have two different rows",
        ),
    ],
)
def test_wrong_requests_are_refused(arguments, message):
    ds = Dataset.from_dict({"y": [0, 1, 1]}, features=Features({"y": ClassLabel(names=["a", "b"])}))
    with pytest.raises(ValueError, match=message) as caught:
        label_noise(ds, **arguments)
    assert "\n" not in str(caught.value)


def test_labels_are_needed():
    ds = Dataset.from_dict({"x": [0.5, 1.5]}, features=Features({"x": Value("float32")}))
    with pytest.raises(ValueError, match=r"label_noise needs labels and there is no ClassLabel column among \['x'\]"):
        label_noise(ds, inputs={"embeddings": np.eye(2)})


def test_every_process_finds_what_one_finds(rank_results):
    alone = rank_results[1][0]["comparing"]
    assert np.flatnonzero(alone["same bytes"] >= 0).tolist() == np.flatnonzero(alone["close"] >= 0).tolist()
    assert alone["close"][30:].tolist() == [10, 11, 12, 13, 14]
    assert alone["unscored"] == [7]
    for world in (2, 3):
        for rank in rank_results[world]:
            found = rank["comparing"]
            np.testing.assert_array_equal(found["same bytes"], alone["same bytes"])
            np.testing.assert_array_equal(found["close"], alone["close"])
            np.testing.assert_allclose(found["suspicious"], alone["suspicious"], atol=1e-4)


def test_a_notebook_sees_the_most_suspicious_rows():
    from tests.helpers.report_sets import noise_of, scored_set

    found = noise_of(scored_set())
    assert (
        repr(found)
        == "LabelNoise(0.0 to 10.0 % (about 3.3 %) of 60 labels are estimated to be wrong; 2 rows are suspects)"
    )
    page = found._repr_html_()
    assert page.count("<img") == 10
    assert "row 59: ship, looks like dog" in page
    assert "<script" not in page
