"""Pruning by a column: which column, which classes, what is recorded, and how long a million rows take."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from hf_prune import provenance, select
from hf_prune.data.digests import rows_sha256, unpack_rows

SCORES = [0.5, 0.1, 0.9, 0.3, 0.7, 0.2]
LABELS = [0, 0, 0, 0, 1, 1]


def make(labels=LABELS, feature=None, **columns) -> Dataset:
    feature = feature or ClassLabel(names=["cat", "dog", "eel"])
    ds = Dataset.from_dict({"label": labels}, features=Features({"label": feature}))
    for name, values in ({"s": SCORES} | columns).items():
        ds = ds.add_column(name, values)
    return ds


def run(ds, **options) -> list[int]:
    pruned, selection = ds.prune("s", **{"keep": 3, "order": "hard", "return_selection": True} | options)
    assert pruned["s"][:] == [ds["s"][row] for row in selection.kept.tolist()]
    return selection.kept.tolist()


def test_rows_are_kept_in_their_order():
    assert run(make()) == [0, 2, 4]
    assert run(make(), order="easy") == [1, 3, 5]


def test_the_scores_of_a_floor_count_scored_rows_alone():
    ds = make([0, 0, 0, 1, 1, 1], s=[0.9, 0.8, 0.7, None, None, 0.1])
    pruned, selection = ds.prune("s", keep=1.0, order="hard", return_selection=True)
    assert selection.kept.tolist() == [0, 1, 2, 5]
    assert selection.unscored.tolist() == [3, 4]
    step = provenance(pruned).steps[0]
    assert step.unscored == (3, 4)
    assert step.class_counts == {"cat": [3, 3], "dog": [3, 1]}


@pytest.mark.parametrize("order", ["hard", "easy", "random"])
def test_rows_without_a_score_go_first_under_every_order(order):
    ds = Dataset.from_dict({"s": [None, 0.2, None, 0.1]})
    assert run(ds, keep=1.0, order=order) == [1, 3]
    with pytest.raises(ValueError, match=r"keep=3 of 2 rows; give a fraction in \(0, 1\] or a count in \[1, 2\]"):
        ds.prune("s", keep=3, order=order)


def test_the_record_says_which_rows_were_kept():
    ds = make(s=[0.5, None, 0.9, 0.3, 0.7, 0.2])
    pruned, selection = ds.prune("s", keep=0.5, order="hard", seed=3, return_selection=True)
    step = provenance(pruned).steps[0]
    assert (step.kind, step.metric, step.column, step.keep, step.order, step.seed) == (
        "prune",
        "s",
        "s",
        0.5,
        "hard",
        3,
    )
    assert unpack_rows(step.rows, len(ds)).tolist() == selection.kept.tolist()
    assert step.rows_sha256 == rows_sha256(selection.kept) == selection.digest
    assert (step.rows_in, step.rows_out, step.floor_rows) == (6, len(selection.kept), len(selection.floor_rows))


def test_it_selects_what_select_selects():
    ds = make()
    expected = select(SCORES, keep=0.6, order="random", labels=LABELS, class_balance=0.5, seed=9)
    assert run(ds, keep=0.6, order="random", seed=9) == expected.kept.tolist()


def test_a_metric_by_its_own_name_or_an_alias():
    ds = Dataset.from_dict({"x": [0, 1, 2, 3]}).score_with(
        "prototypes", inputs={"embeddings": np.eye(4)}, num_prototypes=2
    )
    for name in ("prototypes", "self-supervised-prototypes"):
        pruned = ds.prune(name, keep=2, order="hard")
        assert len(pruned) == 2
        assert provenance(pruned).steps[-1].column == "prototypes"


def test_a_column_that_is_called_like_a_metric_is_taken_as_it_is():
    assert Dataset.from_dict({"EL2N": [1, 5, 3]}).prune("EL2N", keep=1, order="hard")["EL2N"][:] == [5]


MULTI = List(ClassLabel(names=["a", "b"]))


@pytest.mark.parametrize(
    ("ds", "options", "message"),
    [
        (
            make(),
            {"metric": "el2n"},
            r"^no column 'el2n': run ds\.score_with\('el2n', …\) first\. Columns: \['label', 's'\]$",
        ),
        (make(), {"metric": "EL2N"}, r"^no column 'el2n': run ds\.score_with"),
        (make(), {"metric": "els"}, r"^no column 'els'\. Columns: \['label', 's'\]$"),
        (make(), {"metric": "t"}, "holds string; give a column with one number per row"),
        (make(), {"label_column": "lable"}, "no column 'lable'. Columns: "),
        (make(s=[1.0, float("nan"), 1, 1, 1, 1]), {}, r"score of row 1 is nan \(1 such rows\): .* a null"),
        (make(s=[1.0, 1, 1, float("-inf"), 1, 1]), {}, r"score of row 3 is -inf \(1 such rows\): .* a null"),
        (make().select([]), {}, "no rows with a score to choose from: the data set is empty"),
        (make(s=[1.0, None, None, None, None, None]).select([1, 2]), {}, "every score is null"),
        (make(), {"keep": 0}, r"keep=0 of 6 rows; give a fraction in \(0, 1\] or a count in \[1, 6\]"),
        (make(), {"keep": 7}, "keep=7 of 6 rows; give"),
        (make(), {"keep": 1.5}, "keep=1.5 selects 9 of 6 rows; give"),
        (make(), {"keep": True}, "keep=True is a bool; give a fraction"),
        (make(), {"order": "hardest"}, "order='hardest'; give one of"),
        (make(), {"class_balance": 2}, r"class_balance=2; give a share in \[0, 1\]"),
        (make(), {"class_balance": "much"}, r"class_balance='much'; give a share in \[0, 1\]"),
        (make(), {"seed": 1.5}, "seed=1.5; give an integer"),
        (
            make().remove_columns("label"),
            {"class_balance": 0.5},
            "name one with label_column=, or pass class_balance=0",
        ),
        (make([[0.5]] * 6, List(Value("float32"))), {"label_column": "label"}, "List and holds no classes"),
        (
            make(other=[0] * 6).cast_column("other", ClassLabel(names=["a"])),
            {},
            "2 ClassLabel columns: .*label_column=",
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(ds, options, message):
    ds = ds.add_column("t", ["text"] * len(ds)) if options.get("metric") == "t" else ds
    before = repr(ds.to_dict())
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        ds.prune(**{"metric": "s", "keep": 3, "order": "hard"} | options)
    assert "\n" not in str(caught.value)
    assert repr(ds.to_dict()) == before
    assert provenance(ds).steps == ()


def test_columns_that_are_no_classes_are_not_in_the_way():
    assert run(make([[0]] * 6, MULTI)) == run(make([0.5] * 6, Value("float32"))) == [0, 2, 4]
    two = make(other=[0] * 6).cast_column("other", ClassLabel(names=["a"]))
    assert run(two, class_balance=0) == run(two, label_column="other") == [0, 2, 4]
