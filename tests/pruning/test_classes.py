"""Which classes a pruning goes by, and their floor or quotas."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, List, Value
from PIL import Image as Pictures

from hf_prune import provenance
from hf_prune.data.columns import Labels
from hf_prune.policy.prune_settings import PruneSettings
from hf_prune.pruning.classes import Classes, are_clusters, by_code, find_classes, with_quotas
from hf_prune.pruning.inputs import PruningInputs
from hf_prune.scoring import Request
from hf_prune.scoring.scores import read_scores
from tests.pruning.test_prune import make, run


def test_a_class_label_brings_the_papers_floor():
    ds = make([0] * 4 + [1] * 4, s=[0, 1, 2, 3, 4, 5, 6, 7])
    assert run(ds, keep=4, order="easy") == [0, 1, 2, 4]  # floor(0.5 * 4 * 4 / 8) = 1 of the second class
    assert run(ds, keep=4, order="easy", class_balance=1.0) == [0, 1, 4, 5]
    assert run(ds, keep=4, order="easy", class_balance=0) == [0, 1, 2, 3]
    step = provenance(ds.prune("s", keep=4, order="easy")).steps[0]
    assert (step.class_balance, step.label_column, step.floor_rows) == (0.5, "label", 1)
    assert step.class_counts == {"cat": [4, 3], "dog": [4, 1]}


@pytest.mark.parametrize(("feature", "names"), [(Value("int64"), [7, 2]), (Value("string"), ["x", "a"])])
def test_integers_and_strings_are_classes_where_they_are_named(feature, names):
    ds = make([names[0]] * 4 + [names[1]] * 4, feature, s=[0, 1, 2, 3, 4, 5, 6, 7])
    assert run(ds, keep=4, order="easy", label_column="label") == [0, 1, 2, 4]
    assert run(ds, keep=4, order="easy") == [0, 1, 2, 3]
    assert provenance(ds.prune("s", keep=4, order="easy")).steps[0].class_balance == 0


def test_missing_labels_are_a_group_without_a_floor():
    ds = make([0, 0, None, -1, 0, None])
    pruned, selection = ds.prune("s", keep=4, order="easy", class_balance=1.0, return_selection=True)
    # Cats: floor(4 * 3 / 6) = 2, rows 1 and 0; then the next best of all, rows 5 and 3.
    assert selection.kept.tolist() == [0, 1, 3, 5]
    assert provenance(pruned).steps[0].class_counts == {"(no label)": [3, 2], "cat": [3, 2]}


NAMED = Labels(np.array([0, 1, 1, -1]), ("cat", "dog", "0"), complete=True)
NUMBERED = Labels(np.array([3, 8, 8, -1]), None, complete=False)


@pytest.mark.parametrize(
    ("labels", "values", "expected"),
    [
        (NAMED, {"dog": 5, "cat": 1}, {1: 5, 0: 1}),
        (NAMED, {1: 5}, {1: 5}),
        (NAMED, {np.int64(2): 5}, {2: 5}),  # no row has it, and its name is known
        (NAMED, {0: 5}, {2: 5}),  # the name of a class comes before its number
        (NAMED, {None: 5}, {-1: 5}),
        (NAMED, {"(no label)": 5}, {-1: 5}),
        (NUMBERED, {3: 5, "8": 6}, {3: 5, 8: 6}),
        (NAMED, {}, {}),
    ],
)
def test_classes_are_named_or_numbered(labels, values, expected):
    assert by_code(values, labels, "label", "class_balance") == expected


@pytest.mark.parametrize(
    ("labels", "values", "message"),
    [
        (NAMED, {"god": 1}, r"^class_errors: unknown class of column 'kind' 'god'\. .*Known: .*cat, dog"),
        (NAMED, {3: 1}, "^class_errors: unknown class of column 'kind' '3'"),
        (NUMBERED, {4: 1}, "^class_errors: unknown class of column 'kind' '4'"),
        (NAMED, {1: 1, "dog": 1}, "^class_errors names class 'dog' twice; give each once$"),
        (
            NAMED,
            {True: 1},
            "^class_errors names class True, as YAML reads yes, no, on and off: write the name in quotes$",
        ),
    ],
)
def test_classes_that_are_not_there(labels, values, message):
    with pytest.raises(ValueError, match=message) as caught:
        by_code(values, labels, "kind", "class_errors")
    assert "\n" not in str(caught.value)


def classes_of(ds, given=None, **settings) -> Classes:
    settings = PruneSettings(**{"keep": 3, "order": "hard"} | settings)
    inputs = PruningInputs(ds, read_scores(ds, "s"), Request(inputs=given), None, seed=0)
    removal = {"duplicate_of": None if given is None else given.get("duplicate_of")}
    return with_quotas(find_classes(ds, settings, inputs), settings, read_scores(ds, "s"), inputs, removal)


@pytest.mark.parametrize(
    ("settings", "column", "floor"),
    [
        ({}, "label", 0.5),  # the paper's
        ({"class_balance": 0.25}, "label", 0.25),
        ({"class_balance": 1}, "label", 1.0),
        ({"class_balance": 0}, None, 0.0),  # nothing needs them
        ({"class_balance": 0, "label_column": "label"}, "label", 0.0),
        ({"class_balance": 0, "order": "middle"}, "label", 0.0),  # an order by class
        ({"class_balance": 0, "hardest_cutoff": "noise"}, "label", 0.0),
        ({"class_balance": 0, "order": "auto"}, "label", 0.0),
    ],
)
def test_the_floor_and_when_classes_are_read(settings, column, floor):
    found = classes_of(make(), **settings)
    assert (found.column, found.floor) == (column, floor)
    assert (found.codes is None) == (column is None)
    assert found.options == {}


def test_without_classes_there_is_no_floor_unless_one_is_asked_for():
    ds = make().remove_columns("label")
    assert classes_of(ds) == Classes()
    for settings, asked in (({"class_balance": 0.5}, "class_balance=0.5"), ({"quotas": "error"}, "quotas='error'")):
        with pytest.raises(
            ValueError, match=rf"^{asked} needs classes and there is no column of classes among \['s'\]:"
        ):
            classes_of(ds, **settings)


def test_quotas_are_recorded_by_name():
    found = classes_of(make(), class_balance={"dog": 2, 0: 1})
    assert (found.balance, found.floor) == ({1: 2, 0: 1}, None)
    assert found.options == {"class_balance": {"dog": 2, "cat": 1}}


def test_clusters_stand_in_where_no_column_is_called_so():
    ds = make()
    assert are_clusters(ds, "clusters")
    assert not are_clusters(ds, "label")
    assert not are_clusters(ds, None)
    assert not are_clusters(ds.rename_column("label", "clusters"), "clusters")
    found = classes_of(ds, {"clusters": [1, 1, 0, 0, 2, -1]}, label_column="clusters")
    assert (found.column, found.codes.tolist(), found.labels.names) == ("clusters", [1, 1, 0, 0, 2, -1], None)


def test_quotas_by_error_share_out_what_may_be_kept():
    # Of six cats and six dogs two dogs are copies, one cat has no score, and a row has no label. Six rows in the ratio
    # 5 * 0.1 to 4 * 0.5 = 1 : 4 would be more dogs than the four that are left; cats get the rest.
    ds = make([0] * 6 + [1] * 6 + [-1], s=[None, *map(float, range(12))])
    copies = np.full(13, -1)
    copies[[7, 8]] = 6
    found = classes_of(ds, {"duplicate_of": copies}, keep=6, quotas="error", class_errors={"dog": 0.5, "cat": 0.1})
    assert found.balance == {0: 2, 1: 4}
    assert found.options == {"quotas": "error", "class_errors": {"dog": 0.5, "cat": 0.1}}
    assert found.floor is None


CATS = ClassLabel(names=["cat", "dog"])
BOX = List(Value("float32"), length=4)
TAGS = [[0], [0], [0], [0, 1], [1], []]
OF_A_KIND = {
    "multi-label": (List(CATS), TAGS),
    "objects": ({"bbox": List(BOX), "category": List(CATS)}, [{"bbox": [], "category": codes} for codes in TAGS]),
    "mask": (Image(), [Pictures.fromarray(np.array([codes or [9]], dtype=np.uint8)) for codes in TAGS]),
}


@pytest.mark.parametrize("kind", OF_A_KIND)
def test_rows_of_several_classes_keep_a_floor_of_each(kind):
    feature, values = OF_A_KIND[kind]
    ds = Dataset.from_dict({"y": values}, features=Features({"y": feature})).add_column("s", [5.0, 4, 3, 2, 1, 0])
    named = {"label_column": "y"} if kind == "mask" else {}  # an image column need not be a mask
    kept = ds.prune("s", keep=3, order="hard", class_balance=1.0, **named)
    # Floors of 3 * 4 / 6 = 2 and 3 * 2 / 6 = 1 rows: row 3 is the best of the second class.
    assert kept["s"][:] == [5.0, 4.0, 2.0]
    step = provenance(kept).steps[0]
    assert (step.label_column, step.label_space, step.class_balance, step.floor_rows) == ("y", {"kind": kind}, 1.0, 1)
    of_first = {"multi-label": "cat", "objects": "cat", "mask": "0"}[kind]
    assert step.class_counts[of_first] == [4, 3]
    assert f"y as {kind}" in provenance(kept)._repr_html_()
    assert provenance(ds.prune("s", keep=3, order="hard", class_balance=0)).steps[0].label_space is None


def test_numbers_keep_a_floor_of_each_quantile():
    ds = Dataset.from_dict({"price": np.arange(20.0), "s": -np.arange(20.0)})
    assert ds.prune("s", keep=10, order="hard")["price"][:] == list(range(10))
    kept = ds.prune("s", keep=10, order="hard", label_column="price", class_balance=1.0)
    assert kept["price"][:] == [float(2 * row) for row in range(10)]
    space = provenance(kept).steps[0].label_space
    assert (space["kind"], len(space["edges"])) == ("quantiles", 9)


@pytest.mark.parametrize(
    "asked", [{"class_balance": {"cat": 1}}, {"quotas": "error"}, {"order": "hard", "hardest_cutoff": "noise"}]
)
def test_what_takes_one_class_per_row_is_refused_in_a_line(asked):
    ds = Dataset.from_dict({"y": TAGS, "s": np.arange(6.0)}).cast_column("y", List(CATS))
    with pytest.raises(
        ValueError, match="takes one class per row, and label column 'y' is read as multi-label"
    ) as caught:
        ds.prune("s", **({"keep": 3, "order": "hard"} | asked))
    assert "\n" not in str(caught.value)


def test_auto_says_that_it_judges_by_one_class_per_row():
    ds = Dataset.from_dict({"y": TAGS, "s": np.arange(6.0)}).cast_column("y", List(CATS))
    with pytest.warns(
        UserWarning, match="rules are judged by labels of one class per row, and 'y' is read as multi-label"
    ):
        kept = ds.prune("s", keep=3)
    assert provenance(kept).steps[0].order == "random"
