import pytest
from datasets import Dataset

from hf_prune.data.history import provenance
from hf_prune.hub.layout import check_names, cut_name, cut_settings
from tests.helpers.tiny_publications import images, pruned, scored


def name_of(**splits):
    return cut_name({name: provenance(ds) for name, ds in splits.items()})


def by(column, keep, order="hard"):
    ds = Dataset.from_dict({column: [float(row) for row in range(12)], "x": list(range(12))})
    return ds.prune(column, keep=keep, order=order)


@pytest.mark.parametrize(
    ("column", "keep", "name"),
    [
        ("el2n", 0.8, "el2n-keep0.8"),
        ("el2n", 1.0, "el2n-keep1.0"),
        ("el2n", 1, "el2n-keep1"),
        ("el2n", 5, "el2n-keep5"),
        ("el2n", 1 / 3, "el2n-keep0.3333333333333333"),
        ("my score", 0.5, "my_score-keep0.5"),
        ("../../x", 0.5, "x-keep0.5"),
        ("a..b", 0.5, "a.b-keep0.5"),
        ("<b>|`\n", 0.5, "b-keep0.5"),
        ("härte", 0.5, "härte-keep0.5"),
        ("???", 0.5, "cut-keep0.5"),
    ],
)
def test_a_cut_is_called_after_column_and_keep(column, keep, name):
    assert name_of(train=by(column, keep)) == name
    check_names(name, name, ["train"])


def test_a_cut_at_random_is_not_called_after_a_score():
    assert name_of(train=by("el2n", 0.7, "random")) == "random-keep0.7"
    ds = Dataset.from_dict({"el2n": [float(row) for row in range(12)], "x": list(range(12))})
    cut = ds.prune("el2n", keep=5, order="random", hardest_cutoff=0.2)  # which the scores decided
    assert name_of(train=cut) == "el2n-keep5"


@pytest.mark.parametrize("name", ["all", "ALL", "All"])
def test_a_split_that_cannot_be_loaded_is_refused(name):
    with pytest.raises(ValueError, match=f"split='{name}' means every split to `datasets`") as error:
        check_names("default", "data", [name])
    assert "\n" not in str(error.value)
    check_names("all", "all", ["allowed"])


def test_the_last_pruning_counts():
    kept = pruned(images(), 0.5)
    assert name_of(train=kept) == "prototypes-keep0.5"
    assert name_of(train=kept.prune("label", keep=2, order="easy")) == "label-keep2"
    assert name_of(train=scored(images()), test=images()) == "default"


def test_splits_that_were_not_pruned_have_no_say():
    assert name_of(test=images(), train=pruned(images(), 0.5)) == "prototypes-keep0.5"
    with pytest.raises(ValueError, match=r"different cuts .*'test': 'prototypes-keep3'.*config_name=") as error:
        name_of(train=pruned(images(), 0.5), test=pruned(images(), 3))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("config_name", "data_dir"), [("scores", "x"), ("x", "scores"), ("x", "scores/y"), ("data", "x")]
)
def test_names_that_are_taken(config_name, data_dir):
    with pytest.raises(ValueError, match="choose another"):
        check_names(config_name, data_dir, ["train"])


def test_settings_tell_cuts_apart():
    steps = [pruned(images(), **keywords).info.description for keywords in ({}, {"seed": 1})]
    assert steps[0] != steps[1]

    def settings(ds):
        return cut_settings(step.to_dict() for step in provenance(ds).steps)

    assert settings(pruned(images())) == settings(pruned(images()))
    assert settings(pruned(images())) != settings(pruned(images(), seed=1))
    assert settings(pruned(images())) != settings(pruned(images(), class_balance=0))
    assert settings(by("x1", 3)) != settings(by("x1", 3, "easy"))
    assert settings(images()) is None
    assert cut_settings([3, None, "x"]) is None
