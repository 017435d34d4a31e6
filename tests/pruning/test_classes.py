"""Which classes a pruning goes by, and their floor or quotas."""

import numpy as np
import pytest
from datasets import Value

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
            ValueError, match=rf"^{asked} needs classes and there is no ClassLabel column among \['s'\]:"
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
