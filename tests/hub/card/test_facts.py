"""Facts of a card, written from the steps and entries of a record."""

import html

import pytest

from hf_prune.hub.card import facts
from hf_prune.policy.evidence import TWO_LAYER_STUDENT
from tests.helpers.card_records import evidence
from tests.helpers.report_sets import evidence as whole_evidence
from tests.helpers.report_sets import gains

MODEL = {"id": "somebody/vit", "commit": "c" * 40, "output": "cls", "image_size": None}
SHOWN = f"`somebody/vit` at commit `{'c' * 40}`, output `cls`"


def rows(found):
    return [tuple(map(str, row)) for row in found]


@pytest.mark.parametrize(
    ("name", "made_from", "expected"),
    [
        ("x", {"given_sha256": "f"}, [("Input `x`", "handed in, SHA-256 `f`")]),
        (
            "hits",
            {"given_sha256": "f", "heads": {"num_heads": 2}},
            [
                ("Input `embeddings`", "handed in, SHA-256 `f`"),
                ("Heads on the embeddings", "`num_heads = 2`"),
            ],
        ),
        (
            "scores",
            {"published": {"repo_id": "a/b", "commit": "1", "config": "scores", "split": "train", "sha256": "2"}},
            [("Taken over from", "`a/b` at commit `1`, configuration `scores`, split `train`, SHA-256 `2`")],
        ),
        ("scores", {"published": {}}, [("Taken over from", "`?`")]),
        ("embeddings", {"encoder": MODEL, "label_column": "y"}, [("Labels", "`y`"), ("Encoder", SHOWN)]),
        ("probs", {"teachers": [MODEL]}, [("Teacher", SHOWN)]),
        (
            "probs",
            {"teachers": [MODEL, {"id": "own"}], "student": [MODEL]},
            [("Teacher 1", SHOWN), ("Teacher 2", "`own`"), ("Student", SHOWN)],
        ),
        (
            "probs",
            {"teachers": [MODEL], "boxes": {"format": "x, y", "bbox_cost": 5.0}},
            [("Teacher", SHOWN), ("Boxes, matched with queries", "`format = 'x, y'`, `bbox_cost = 5.0`")],
        ),
        (
            "centroids",
            {"prototypes": {"id": None, "centroids_sha256": "9"}},
            [("Prototypes, found before", "not published, SHA-256 `9`")],
        ),
        (
            "correct",
            {"dynamics": {"dataset": "d", "mode": "online", "epochs": 1200}, "runs": 1, "sha256": "3"},
            [("Record of `correct`", "1 run of 1,200 epochs on `d`, mode `online`, SHA-256 `3`")],
        ),
    ],
)
def test_how_an_input_was_made(name, made_from, expected):
    assert rows(facts.inputs({name: made_from})) == expected


def test_equal_inputs_stand_there_once():
    found = {"a": {"encoder": MODEL}, "b": {"encoder": MODEL, "label_column": "y"}}
    assert rows(facts.inputs(found)) == [("Encoder", SHOWN), ("Labels", "`y`")]


def test_figures_by_their_names_and_others_as_code():
    found = facts.figures({"members": 200, "split_half_spearman": 0.912345, "own|": 3})
    assert rows(found) == [
        ("Members of the ensemble", "200"),
        ("Spearman correlation between the scores of its two halves", "0.9123"),
        ("`own\\u007c`", "3"),
    ]


HARD = {"column": "el2n", "order": "hard", "rows_in": 10, "rows_out": 4, "unscored": [3]}


@pytest.mark.parametrize(
    ("fields", "changed", "text"),
    [
        ({}, (), "the rows with the highest `el2n`, the hard ones"),
        ({}, ("other",), "the rows with the highest `el2n`, the hard ones"),
        ({}, ("el2n",), "rows by `el2n`, order `hard`"),
        ({"order": "random"}, ("el2n",), "rows drawn at random, whatever their `el2n`"),
        ({"rows_out": 9}, ("el2n",), "every row that has a score in `el2n`"),
        ({"rows_out": 9, "order": "of tomorrow"}, (), "the rows of the order `of tomorrow`"),
    ],
)
def test_which_rows_were_kept(fields, changed, text):
    assert str(facts.chosen_rows(HARD | fields, changed)) == text


def test_rows_drawn_at_random_were_pruned_by_no_column():
    assert str(facts.pruned_by(HARD)) == "pruned by `el2n`"
    assert str(facts.pruned_by(HARD | {"order": "random"})) == "pruned at random"


SCORED = {"kind": "score", "column": "el2n", "inputs": {"probs": {"teachers": [MODEL] * 200}}}


def lost(cutoff=0.0):
    """Evidence that random rows do better than the hard ones without so many of the hardest."""
    numbers = {"hardest_cutoff": cutoff, "gain": -0.02, "low": -0.03, "high": -0.01}
    tried = {"order": "hard", "head": "two-layer", **numbers}
    nothing = {"order": "random", "hardest_cutoff": 0.0, "gain": 0.0, "low": 0.0, "high": 0.0}
    kept = nothing | {
        "keep": 0.5,
        "candidates": [tried],
        "tried": tried,
        "against_all": nothing | {"head": "two-layer"},
    }
    found = {name: value for name, value in evidence().items() if name not in ("break_even", "reason")}
    return found | {"class_balance": 0.5, "seed": 0, "keeps": [kept]}


@pytest.mark.parametrize(
    ("fields", "made", "after"),
    [
        # 200 passes of a row against 30 epochs of three, of which 5 of 9 are saved: 4 trainings.
        ({}, {}, "4"),
        ({"options": {"hardest_cutoff": 0.1}}, {"evidence": lost()}, "4"),  # which was another rule
        ({"options": {"hardest_cutoff": "noise"}}, {"evidence": lost()}, "4"),
        ({}, {"evidence": {"keeps": "damaged"}}, "4"),
        ({}, {"evidence": lost()}, None),
        ({"evidence": lost()}, {}, None),
        ({"order": "random"}, {}, None),
        ({"rows_out": 9}, {}, None),  # all that have a score
        ({}, {"inputs": {"correct": {"dynamics": {"epochs": 9}}}}, None),  # a training that was made anyway
        ({}, {"column": "other"}, None),
        ({"changed_scores": ["el2n"]}, {}, None),
    ],
)
def test_when_the_scores_of_a_pruning_pay(fields, made, after):
    step = {"options": {}} | HARD | fields
    text = f"scoring pays after {after} training(s) of 30 epochs, for a model as large as the scoring one"
    found = [
        tuple(map(html.unescape, row)) for row in rows(facts.break_even(step, [SCORED | made, {"kind": "prune"}]))
    ]
    assert found == ([] if after is None else [("Break-even", text)])


BEGUN = {"source": {"known": "given"}, "steps": [{"rows_in": 1200}], "rows": 600}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"loaded": {"rows": 1200, "same": True}}, ""),
        ({"source": {"known": "local"}}, ""),
        ({}, " Whether these 1,200 rows were all rows of a split of the source, in its order, was not recorded."),
        (
            {"steps": [], "loaded": "damaged"},
            " Whether these 600 rows were all rows of a split of the source, in its order, was not recorded.",
        ),
        (
            {"loaded": {"rows": 5000, "same": False}},
            " **The rows were changed outside hf_prune before the first step**: the split that was loaded has 5,000 rows, "
            "of which these were 1,200.",
        ),
        (
            {"steps": [], "loaded": {"rows": 600, "same": False}},
            " **The rows were changed outside hf_prune after they were loaded**: the split that was loaded has 600 rows, "
            "of which these were as many in another order, or with other values.",
        ),
    ],
)
def test_the_rows_before_the_first_step(fields, said):
    assert str(facts.beginning(BEGUN | fields)) == said


def test_settings_of_every_class_are_counted():
    quotas = {str(number): 1 for number in range(1200)}
    assert str(facts.settings({"class_balance": quotas, "num_strata": 5})) == (
        "`num_strata = 5`, `class_balance` for 1,200 classes, in provenance.json"
    )
    assert str(facts.settings({"class_balance": {}})) == "`class_balance` for 0 classes, in provenance.json"
    assert str(facts.settings({})) == ""


def test_rows_removed_before_the_order_was_applied():
    counts = {"cut: hardest": 1200, "duplicate": 2, "below the cut": 7}
    found = rows(facts.removed({"counts": counts}))
    assert found == [("Dropped as duplicates", "2 rows"), ("Cut as the hardest", "1,200 rows")]
    assert rows(facts.removed({})) == []


def test_what_the_evidence_is_of():
    assert rows(facts.evidence_facts(evidence())) == [
        ("Scores", "`hardness`"),
        ("Trained", "linear and two-layer heads on embeddings of facebook/dino-vits16"),
        ("Rows judged", "30"),
        ("Rows per class", "10"),
        ("Estimated share of wrong labels", "2.1 %"),
        (
            "Optimistic",
            "yes: the scores had seen the labels that they were judged by, so a gain had to be twice as sure",
        ),
    ]
    odd = {"num_rows": "many", "rows_per_class": True, "noise_rate": float("nan"), "optimistic": "yes", "seed": 0}
    assert rows(facts.evidence_facts(odd)) == [
        ("Rows judged", "`many`"),
        ("Rows per class", "`True`"),
        ("Estimated share of wrong labels", "`nan`"),
        ("Seed of folds and draws", "`0`"),
    ]


def test_what_was_confirmed_comes_before_every_rule_that_was_tried():
    found = evidence()
    found["keeps"][0]["against_all"] = {
        "order": "hard",
        "hardest_cutoff": 0.05,
        "gain": -0.004,
        "low": -0.01,
        "high": 0,
    }
    assert rows(facts.evidence_table(found)) == [
        ("80 %", "`hard`, the hardest 5 % cut first", "random rows, on other repeats", "+1.2", "+0.3 to +2.1"),
        ("80 %", "`hard`, the hardest 5 % cut first", "all rows, on other repeats", "-0.4", "-1.0 to +0.0"),
        ("20 %", "random rows", "random rows, on other repeats", "none was sure", ""),
        ("80 %", "`hard`, the hardest 5 % cut first", "random rows, linear", "+1.2", "+0.3 to +2.1"),
        ("80 %", "`easy`", "random rows, two-layer", "-2.0", "-3.0 to -1.0"),
        ("20 %", "`easy`", "random rows, two-layer", "-2.0", "-3.0 to -1.0"),
    ]
    cut = {"keep": 0.5, "order": "random", "hardest_cutoff": 0.1, "gain": 0.01, "low": -0.005, "high": 0.025}
    assert rows(facts.evidence_table({"keeps": [cut]}))[0][1:] == (
        ("random rows, the hardest 10 % cut first", "random rows, on other repeats", "+1.0", "-0.5 to +2.5")
    )


def short(**changes):
    """The summary of a cut of half of the rows, with evidence of 50 %."""
    step = {"kind": "prune", "metric": "el2n", "column": "el2n", "order": "hard", "rows_in": 60, "rows_out": 30}
    scored = {"kind": "score", "metric": "el2n", "column": "el2n", "inputs": {"probs": {"heads": {}}}}
    split = {"steps": [scored, step | changes], "changed outside hf_prune": False, "class_counts": None}
    scored["evidence"] = {**whole_evidence(gains(0.5)).to_dict(), "student": TWO_LAYER_STUDENT}
    return dict(rows(facts.in_short(split)))


def test_in_short_a_student_that_was_asked_is_named():
    evidence = {**whole_evidence(gains(0.5)).to_dict(), "student": "command *train*"}
    found = short(evidence=evidence)
    worth = "+2.0 points of accuracy (90 %: +1.0 to +3.0) at 50 %, command &#42;train&#42;"
    assert found["Gain over random rows"] == worth
    assert found["Against all rows"].endswith(" at 50 %, small heads on embeddings")  # as earlier versions asked
    evidence["keeps"][0]["against_all"]["head"] = "command *train*"
    assert short(evidence=evidence)["Against all rows"].endswith(" at 50 %, command &#42;train&#42;")


def test_in_short_the_rule_is_judged_by_the_evidence_on_its_scores():
    worth = "+2.0 points of accuracy (90 %: +1.0 to +3.0) at 50 %, small heads on embeddings"
    found = short()
    assert list(found) == ["Scored by", "Kept", "Which", "Gain over random rows", "Against all rows", *list(found)[5:]]
    assert found["Scored by"] == "`el2n` with small heads"
    assert found["Kept"] == "30 of 60 rows (50 %)"
    assert found["Gain over random rows"] == worth
    assert found["Against all rows"].startswith("-0.6 points")
    assert short(order="middle")["Gain over random rows"] == "not measured for this rule"
    assert short(order="random")["Gain over random rows"].startswith("these are random rows")
    assert "Against all rows" not in short(order="random")  # those of the evidence are others
    assert short(rows_out=60)["Gain over random rows"] == "not measured for this rule"


def test_in_short_says_nothing_of_rows_that_were_changed_or_never_scored():
    assert rows(facts.in_short({"steps": [], "changed outside hf_prune": False})) == []
    assert rows(facts.in_short({"steps": [{"kind": "prune"}], "changed outside hf_prune": True})) == []
    assert short(evidence={"steps": [], "keeps": "x"})["Gain over random rows"] == "not measured"
    edited = whole_evidence(gains(0.5)).to_dict() | {"noise_rate": "<b>"}
    assert "<" not in short(evidence=edited)["Labels that look wrong"]
    edited["keeps"][0]["keep"] = "half"
    assert short(evidence=edited)["Gain over random rows"] == "not measured"


@pytest.mark.parametrize("keeps", [None, "text", 3, ["text", 3, None]])
def test_evidence_that_cannot_be_read_has_no_rows(keeps):
    assert rows(facts.evidence_table({"keeps": keeps})) == []


@pytest.mark.parametrize(
    ("space", "text"),
    [
        ({"kind": "multi-label"}, "`multi-label`: several classes per row"),
        ({"kind": "quantiles", "edges": [1.5]}, "`quantiles`: quantiles of a number, cut at `[1.5]`"),
        ({"kind": "<b>"}, "`\\u003cb\\u003e`"),
        ({}, "`None`"),
    ],
)
def test_the_label_space_is_named(space, text):
    assert str(facts.label_space(space)) == text
