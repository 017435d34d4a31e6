"""Scores made again, and cuts by them beside the published ones."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import Dataset

import hf_prune
from hf_prune.data.history import Step, provenance, record
from hf_prune.hub.verify.rebuild import rebuild
from hf_prune.hub.verify.recorded import CannotTellError
from hf_prune.hub.verify.report import Report
from hf_prune.hub.verify.rescore import (
    Models,
    _compare_models,
    compare_kept,
    distance_from_cut,
    model_keywords,
    score_again,
)
from hf_prune.scoring.scores import add_scores
from tests.helpers.tiny_models import build, config_of, edit_config, save
from tests.helpers.tiny_publications import images, publish_cut, scored

PIXELS = {"encoder": "pixels", "run": hf_prune.Run(image_size=2), "num_prototypes": 3}


@pytest.fixture(scope="module")
def scored_for_real():
    return images(2200).score_with("prototypes", evidence=False, **PIXELS)


def with_scores(ds, change):
    """The same step with other scores, as another machine might have made them."""
    values = np.array(ds["prototypes"][:], dtype=np.float64)
    change(values, np.argsort(-values))
    step = replace(provenance(ds).steps[0], id="", parents=())
    plain = images(len(ds))
    return record(plain, add_scores(plain, "prototypes", np.ma.MaskedArray(values)), step)


def swap(first, second):
    def change(values, order):
        values[order[[first, second]]] = values[order[[second, first]]]

    return change


def test_scores_made_again(scored_for_real, tmp_path):
    folder = publish_cut(scored_for_real, tmp_path / "out")
    report = rebuild(folder, tmp_path / "again", source=images(2200), rescore=True)
    assert report.exit_code == 0, str(report)
    assert "all 2,200 rows are kept or dropped as published, with scores made again" in str(report)
    assert "'prototypes' made again with the recorded models and options" in str(report)


@pytest.mark.parametrize("options", [{"num_init": 3}, {"algorithm": "hierarchical"}])
def test_options_of_k_means_are_recorded_and_used_again(tmp_path, options):
    ds = images(20).score_with("prototypes", evidence=False, **PIXELS | {"num_prototypes": 5} | options)
    assert options.items() <= provenance(ds).steps[0].options.items()
    folder = publish_cut(ds, tmp_path / "out")
    report = rebuild(folder, tmp_path / "again", source=images(20), rescore=True, exact=True)
    assert report.exit_code == 0, str(report)


def test_rows_within_the_tolerance_of_the_cut_may_differ(scored_for_real, tmp_path):
    ds = with_scores(scored_for_real, swap(1099, 1100))
    folder = publish_cut(ds, tmp_path / "out", class_balance=0)
    report = rebuild(folder, tmp_path / "again", source=images(2200), rescore=True)
    assert report.exit_code == 0, str(report)
    assert "99.9091% of 2,200 rows are kept or dropped as published (2 are not)" in str(report)
    assert "each of these rows lies within" in str(report)
    exact = rebuild(folder, tmp_path / "exact", source=images(2200), rescore=True, exact=True)
    assert "2 of 2,200 rows" in str(exact.differences[0])


def test_rows_far_from_the_cut_may_not(scored_for_real, tmp_path):
    ds = with_scores(scored_for_real, swap(0, -1))
    report = rebuild(
        publish_cut(ds, tmp_path / "out", class_balance=0), tmp_path / "a", source=images(2200), rescore=True
    )
    assert report.exit_code == 1, str(report)
    assert "of these rows" in str(report.differences[0])
    assert "lie further than" in str(report.differences[0])


def test_more_rows_than_one_in_a_thousand_may_not(scored_for_real, tmp_path):
    def change(values, order):
        near = order[1090:1110]
        values[near] = values[near[::-1]]

    ds = with_scores(scored_for_real, change)
    report = rebuild(
        publish_cut(ds, tmp_path / "out", class_balance=0), tmp_path / "a", source=images(2200), rescore=True
    )
    assert "99.0909% of 2,200 rows are kept or dropped as published (20 are not), fewer than 99.9%" in str(report)
    assert report.exit_code == 1


def test_the_distance_from_the_cut_by_hand():
    scores = np.ma.MaskedArray([0.9, 0.8, 0.6, 0.5, 0.3, 0.2, 0.1, 0.0], mask=[0] * 7 + [1])
    kept = np.array([True, True, True, False, True, False, False, False])  # row 4 for the floor of its class
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    rows = np.arange(8)
    found = distance_from_cut(scores, kept, "hard", labels, rows)
    assert found.round(6).tolist() == [0.3, 0.2, 0.0, 0.1, 0.1, 0.1, 0.2, np.inf]
    alone = distance_from_cut(scores, kept, "hard", None, np.array([3]))
    assert alone.round(6).tolist() == [0.1]
    easy = distance_from_cut(
        np.ma.MaskedArray([1.0, 2.0, 4.0]), np.array([True, False, False]), "easy", None, rows[:3]
    )
    assert easy.tolist() == [0.0, 1.0, 3.0]


@pytest.mark.parametrize(("tolerance", "outcome"), [(0.1, "same"), (0.05, "differs"), (None, "differs")])
def test_the_tolerance_is_that_of_the_caller(tolerance, outcome):
    scores = np.ma.MaskedArray(np.linspace(0.0, 1.0, 2001))  # a hundredth of their deviation is 0.0029
    scores[999] = 0.41
    kept = np.arange(2001) >= 1000
    report = Report("two machines")
    near = [("prototypes", scores, kept, "hard", None)]
    published, found = np.arange(1000, 2001), np.array([999, *range(1001, 2001)])
    compare_kept(published, found, near, tolerance, 2001, "train", report)
    assert [finding.outcome for finding in report] == ["same", outcome]


def test_an_encoder_in_a_folder_is_given_and_compared(tmp_path):

    for name, seed in {"one": 0, "two": 1}.items():
        save(build(config_of("vit"), seed=seed), tmp_path / name)
    ds = images(20).score_with("prototypes", encoder=str(tmp_path / "one"), num_prototypes=3)
    folder = publish_cut(ds, tmp_path / "out")
    report = rebuild(folder, tmp_path / "again", source=images(20), rescore=True)
    assert "was made with encoder of the publisher's own" in str(report)
    report = rebuild(folder, tmp_path / "again", source=images(20), rescore=True, encoder=str(tmp_path / "one"))
    assert report.exit_code == 0, str(report)
    report = rebuild(folder, tmp_path / "again", source=images(20), rescore=True, encoder=str(tmp_path / "two"))
    assert "'prototypes' was made again with another encoder than recorded" in str(report)


def test_an_encoder_of_another_config_is_another_one(tmp_path):

    encoder = save(build(config_of("vit")), tmp_path / "encoder")
    ds = images(20).score_with("prototypes", encoder=encoder, num_prototypes=3)
    folder = publish_cut(ds, tmp_path / "out")
    edit_config(encoder, hidden_act="quick_gelu")
    report = rebuild(folder, tmp_path / "again", source=images(20), rescore=True, encoder=encoder)
    assert "'prototypes' was made again with another encoder than recorded" in str(report)
    assert "with the recorded models" not in str(report)


RECORDED = {
    "kind": "torch",
    "id": "Net",
    "commit": None,
    "weights_sha256": "a",
    "output": "forward",
    "dtype": "float32",
}


@pytest.mark.parametrize(
    ("recorded", "made", "said"),
    [
        ({"code_sha256": "c", "preprocessing": "p"}, {}, "made again with the recorded models and options"),
        ({"code_sha256": "c", "preprocessing": "p"}, {"code_sha256": "d"}, "another encoder than recorded"),
        ({"code_sha256": "c", "preprocessing": "p"}, {"preprocessing": "q"}, "another encoder than recorded"),
        ({"config_sha256": "c"}, {"config_sha256": "d"}, "another encoder than recorded"),
        (
            {"code_sha256": None, "not_cached": "no digest: f"},
            {},
            "but of 'Net' no digest tells whether it is the same",
        ),
        ({"code": "of an earlier version"}, {"code_sha256": "c"}, "with the recorded weights and options"),
    ],
)
def test_models_are_compared_by_all_that_was_recorded_of_them(recorded, made, said):
    report = Report("models")
    steps = [
        SimpleNamespace(column="prototypes", inputs={"embeddings": {"encoder": RECORDED | found}})
        for found in (recorded, recorded | made)
    ]
    _compare_models(*steps, "prototypes", report)
    assert said in str(report)


def test_orders_that_keep_no_end_have_no_common_cut():
    """Then the distance is that to the nearest row of the same class and another fate."""
    scores, kept = np.ma.MaskedArray([0.0, 1.0, 3.0, 7.0]), np.array([True, False, True, False])
    for order in ("random", None, "middle"):
        assert distance_from_cut(scores, kept, order, None, np.arange(4)).tolist() == [1.0, 1.0, 2.0, 4.0]
    labels = np.array([0, 1, 0, 1])  # of which each class has one fate
    assert distance_from_cut(scores, kept, "random", labels, np.arange(4)).tolist() == [np.inf] * 4


def test_a_cut_that_keeps_all_or_none_is_far_from_every_row():
    scores = np.ma.MaskedArray([0.0, 1.0])
    assert distance_from_cut(scores, np.array([False, False]), "hard", None, np.arange(2)).tolist() == [np.inf] * 2
    assert distance_from_cut(scores, np.array([True, True]), "hard", None, np.arange(2)).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("found", "num_rows", "outcomes", "said"),
    [
        ([2, 3], 4, ["same"], "all 4 rows are kept or dropped as published, with scores made again"),
        (
            [1, 3],
            4,
            ["differs", "cannot tell"],
            "50.0000% of 4 rows are kept or dropped as published (2 are not), fewer",
        ),
        ([1, 3], 2000, ["same", "cannot tell"], "99.9000% of 2,000 rows are kept or dropped as published (2 are not)"),
        (
            [1, 3],
            1999,
            ["differs", "cannot tell"],
            "99.8999% of 1,999 rows are kept or dropped as published (2 are not)",
        ),
    ],
)
def test_the_share_of_rows_with_the_same_fate(found, num_rows, outcomes, said):
    report = Report("it")
    compare_kept(np.array([2, 3]), np.array(found), [], None, num_rows, "train", report)
    assert [finding.outcome for finding in report] == outcomes
    assert next(iter(report)).text.startswith(said)


def test_of_several_prunings_the_nearest_counts():
    """Row 0 lies 0.4 from the first cut and 0.1 from the second, row 3 the other way round."""
    kept = np.array([False, False, True, True])
    far = ("a", np.ma.MaskedArray([0.0, 0.3, 0.4, 0.4]), kept, "hard", None)
    near = ("b", np.ma.MaskedArray([0.3, 0.3, 0.4, 0.9]), kept, "hard", None)
    for prunings, outcome in (([far], "differs"), ([near], "differs"), ([far, near], "same")):
        report = Report("it")
        compare_kept(np.array([2, 3]), np.array([0, 2]), prunings, 0.15, 2000, "train", report)
        assert [finding.outcome for finding in report] == ["same", outcome], str(report)
    assert "each of these rows lies within 0.15 ('a'), 0.15 ('b') of the cut" in str(report)


COMMIT = "c" * 40
PUBLIC = {"id": "org/vit", "kind": "transformers", "commit": COMMIT, "dtype": "float32", "weights_sha256": None}
OWN = {"id": "Net", "kind": "torch", "commit": None, "dtype": "float32", "image_size": 8, "weights_sha256": "a"}


def scoring(metric="el2n", column="s", **inputs):
    return Step("score", metric, column, inputs=inputs)


@pytest.mark.parametrize(
    ("made_from", "given", "arguments", "settings"),
    [
        ({"given_sha256": "f"}, {"inputs": {"x": [1], "y": [2]}}, {"inputs": {"x": [1]}}, {}),
        ({"label_column": "y"}, {}, {"label_column": "y"}, {}),
        ({"encoder": PUBLIC}, {}, {"encoder": "org/vit"}, {"revision": COMMIT, "dtype": "float32"}),
        (
            {"teachers": [PUBLIC, PUBLIC]},
            {},
            {"teachers": ["org/vit", "org/vit"]},
            {"revision": COMMIT, "dtype": "float32"},
        ),
        ({"student": [OWN]}, {"student": "net/"}, {"student": "net/"}, {"dtype": "float32", "image_size": 8}),
        ({"encoder": PUBLIC}, {"encoder": "copy/"}, {"encoder": "copy/"}, {"dtype": "float32"}),  # without its commit
        ({"dynamics": {"epochs": 3}}, {"dynamics": "record/"}, {"dynamics": "record/"}, {}),
        ({"heads": {"num_heads": 2}}, {}, {"teachers": hf_prune.Heads(num_heads=2)}, {}),
        ({"prototypes": {"id": "org/p", "commit": COMMIT}}, {}, {"prototypes": f"org/p@{COMMIT}"}, {}),
        ({"prototypes": {"id": "org/p", "commit": COMMIT}}, {"prototypes": "mine/"}, {"prototypes": "mine/"}, {}),
    ],
)
def test_where_the_inputs_of_a_step_come_from(made_from, given, arguments, settings):
    run = hf_prune.Run(**{"batch_size": 7, "device": "cpu"} | settings)
    found = model_keywords(scoring(x=made_from), Models(batch_size=7, device="cpu", **given))
    assert found == arguments | {"run": run}


@pytest.mark.parametrize(
    ("made_from", "said"),
    [
        ({"given_sha256": "f"}, r"'s' was made with inputs=\{'x': …\} of the publisher's own: give it as well"),
        ({"dynamics": {}}, "'s' was made with dynamics of the publisher's own: give it as well"),
        (
            {"teachers": [PUBLIC, OWN]},
            r"'s' was made with teachers of the publisher's own \(Net\): give teachers=",
        ),
        ({"encoder": OWN}, r"'s' was made with encoder of the publisher's own \(Net\): give encoder="),
        ({"prototypes": {"id": None}}, r"'s' was made with prototypes \(not published\) of the publisher's own"),
        ({"published": {}}, "'s' was taken over from another publication: rebuild that with rescore"),
        ({"encoder": PUBLIC | {"image_size": 60_000}}, "'s' cannot be made again as it is recorded"),
    ],
)
def test_what_the_caller_has_to_give_is_named_in_one_line(made_from, said):
    with pytest.raises(CannotTellError, match=f"^{said}") as error:
        model_keywords(scoring(x=made_from), Models())
    assert "\n" not in str(error.value)


def test_a_step_of_given_arrays_is_made_again():
    probs = np.eye(3)[[0, 1, 2, 0]] * 0.4 + 0.2
    made = images(4).score_with("el2n", inputs={"probs": probs}, label_column="label", evidence=False)
    report = Report("it")
    again = score_again(images(4), provenance(made).steps[0], Models(inputs={"probs": probs}), "train", report)
    assert again["el2n"][:] == made["el2n"][:]
    assert [finding.text for finding in report] == ["'el2n' made again with the recorded models and options"]
    other = Report("it")
    score_again(images(4), provenance(made).steps[0], Models(inputs={"probs": probs[::-1]}), "train", other)
    assert [finding.text for finding in other] == ["'el2n' was made again with another given_sha256 than recorded"]


def test_a_combination_is_made_again():
    ds = scored(scored(images()), "el2n", 5)
    both = hf_prune.combine(ds, ["prototypes", "el2n"], how="rank_mean", weights=[2, 1], column="both")
    report = Report("it")
    again = score_again(ds, provenance(both).steps[-1], Models(), "train", report)
    assert again["both"][:] == both["both"][:]
    assert list(report) == []
    with pytest.raises(CannotTellError, match=r"^'both' cannot be made again as it is recorded \(") as error:
        score_again(Dataset.from_dict({"x": [1]}), provenance(both).steps[-1], Models(), "train", report)
    assert "\n" not in str(error.value)


def test_prototypes_that_no_record_names_are_found_anew():
    made = images().score_with("prototypes", **PIXELS, evidence=False)
    report = Report("it")
    score_again(images(), provenance(made).steps[0], Models(), "train", report)
    assert [finding.outcome for finding in report] == ["same", "note"]
    assert "the prototypes of 'prototypes' were found anew" in str(report)
