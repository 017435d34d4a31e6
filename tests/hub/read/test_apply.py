import numpy as np
import pytest
from datasets import Dataset, DatasetDict, concatenate_datasets

import hf_prune
from tests.helpers.tiny_publications import images, numbers, pruned, scored


@pytest.fixture(scope="module")
def kept():
    return scored(images(20)).prune("prototypes", keep=0.5, order="hard")


@pytest.fixture(scope="module")
def cut(kept, tmp_path_factory):
    """Row numbers only."""
    return hf_prune.export(kept, tmp_path_factory.mktemp("p") / "cut", source="local")


@pytest.fixture(scope="module")
def with_scores(kept, tmp_path_factory):
    """Two cuts of one source, and its scores; the second is the latest."""
    folder = tmp_path_factory.mktemp("p") / "scores"
    ds = scored(images(20))
    hf_prune.export(ds.prune("prototypes", keep=4, order="easy"), folder, source="local", scores=ds, what="scores")
    return hf_prune.export(kept, folder, source="local", scores=ds, what="scores")


def test_the_same_cut_from_row_numbers(cut, kept):
    made = hf_prune.apply(cut, images(20))
    assert made.column_names == ["image", "label"]
    assert numbers(made) == numbers(kept)
    (step,) = hf_prune.provenance(made).steps
    published = hf_prune.provenance(kept).steps[-1]
    for name in ("rows", "rows_sha256", "keep", "order", "class_balance", "class_counts", "floor_rows", "reasons"):
        assert getattr(step, name) == getattr(published, name), name
    assert step.inputs["cut"]["published"]["config"] == "prototypes-keep0.5"
    assert not hf_prune.provenance(made).changed_since(made)


def test_the_reason_of_every_row_is_known_after_it(cut, kept):
    ds = images(20).add_column("prototypes", scored(images(20))["prototypes"][:])
    said = hf_prune.explain(ds, hf_prune.apply(cut, ds))
    assert said["reason"][:] == hf_prune.explain(scored(images(20)), kept)["reason"][:]


def test_columns_may_be_dropped_added_or_renamed(cut, kept):
    renamed = images(20).rename_column("image", "img").add_column("x", list(range(20)))
    assert hf_prune.apply(cut, renamed)["x"][:] == numbers(kept)
    fewer = hf_prune.apply(cut, images(20).remove_columns("label"))
    assert numbers(fewer) == numbers(kept)
    assert hf_prune.provenance(fewer).steps[-1].class_counts is None


def test_a_set_that_was_scored_otherwise_is_still_the_source(cut, kept):
    other = images(20).add_column("prototypes", np.zeros(20, np.float32))
    assert numbers(hf_prune.apply(cut, other)) == numbers(kept)


@pytest.mark.parametrize(
    "change",
    [
        lambda ds: ds.select(range(19)),
        lambda ds: ds.select(range(19, -1, -1)),
        lambda ds: concatenate_datasets([ds.select(range(10)), images(30).select(range(20, 30))]),
    ],
)
def test_other_rows_are_refused_where_no_scores_were_published(cut, change):
    with pytest.raises(ValueError, match=r"that 'prototypes-keep0.5' of .* was cut from, and no 'scores'") as caught:
        hf_prune.apply(cut, change(images(20)))
    assert "\n" not in str(caught.value)


def test_other_rows_are_found_by_content(with_scores, kept):
    order = np.random.default_rng(0).permutation(20)[:15]
    made = hf_prune.apply(with_scores, images(20).select(order))
    assert numbers(made) == [row for row in order.tolist() if row in numbers(kept)]
    assert hf_prune.provenance(made).steps[-1].reasons is None
    more = concatenate_datasets([images(20), images(22).select([20, 21])])
    with pytest.warns(UserWarning, match=r"2 of 22 rows \(20, 21\) are not among those .*: they are dropped"):
        assert numbers(hf_prune.apply(with_scores, more)) == numbers(kept)


def test_a_cut_by_a_column_of_the_source_itself(tmp_path):
    ds = images(20).add_column("brightness", [float(row * 3 % 7) for row in range(20)])
    kept = ds.prune("brightness", keep=6, order="easy")
    folder = hf_prune.export(kept, tmp_path / "out", source="local")
    assert numbers(hf_prune.apply(folder, images(20))) == numbers(kept)
    with pytest.raises(ValueError, match="was cut from, and no 'scores'"):
        hf_prune.apply(folder, images(20).select(range(19, -1, -1)))


def test_two_prunings_in_a_row_are_one_cut(tmp_path):
    twice = pruned(images(20), 0.8).prune("prototypes", keep=0.5, order="easy")
    folder = hf_prune.export(twice, tmp_path / "out", source="local")
    made = hf_prune.apply(folder, images(20))
    assert numbers(made) == numbers(twice)
    assert hf_prune.provenance(made).steps[-1].reasons is None


def test_splits_of_a_dict(tmp_path):
    both = DatasetDict(train=images(12), test=images(16).select(range(12, 16)))
    made = DatasetDict({name: scored(rows) for name, rows in both.items()})
    kept = made.prune("prototypes", keep=0.5, order="hard", splits=["train", "test"])
    folder = hf_prune.export(kept, tmp_path / "dict", source="local")
    found = hf_prune.apply(folder, DatasetDict(both, extra=images(2)))
    assert {name: numbers(rows) for name, rows in found.items()} == {
        "train": numbers(kept["train"]),
        "test": numbers(kept["test"]),
        "extra": [0, 1],
    }
    assert numbers(hf_prune.apply(folder, both["test"], split="test")) == numbers(kept["test"])
    with pytest.raises(ValueError, match=r"the cut 'prototypes-keep0.5' has the splits"):
        hf_prune.apply(folder, DatasetDict(other=images(2)))


def test_what_is_no_cut(tmp_path):
    folder = hf_prune.export(scored(images(20)), tmp_path / "all", source="local")
    with pytest.raises(ValueError, match=r"configuration 'default' of .* was not pruned"):
        hf_prune.apply(folder, images(20))
    changed = scored(images(20)).prune("prototypes", keep=0.5, order="hard").select([0, 3])
    folder = hf_prune.export(changed, tmp_path / "changed", source="local")
    with pytest.raises(ValueError, match="was changed outside hf_prune after it was pruned"):
        hf_prune.apply(folder, images(20))
    with pytest.raises(TypeError, match="load it without streaming=True"):
        hf_prune.apply(folder, Dataset.from_dict({"a": [1]}).to_iterable_dataset())


def test_scores_of_the_readers_own_are_not_said_to_be_those_of_the_cut(cut, kept):
    own = images(20).add_column("prototypes", np.arange(20, dtype=np.float32))
    (step,) = hf_prune.provenance(hf_prune.apply(cut, own)).steps
    assert (step.changed_scores, step.reasons) == (("prototypes",), None)
    assert set(hf_prune.explain(own, hf_prune.apply(cut, own))["reason"][:]) == {"kept", "dropped"}
    same = images(20).add_column("prototypes", np.float64(scored(images(20))["prototypes"][:]))
    assert hf_prune.provenance(hf_prune.apply(cut, same)).steps[0].changed_scores is None


def test_a_cut_by_a_column_that_only_the_publisher_has(tmp_path):
    source = Dataset.from_dict({"text": [f"text {row}" for row in range(10)]})
    ds = source.add_column("quality", [float(row * 7 % 10) for row in range(10)])
    kept = ds.prune("quality", keep=0.5, order="hard")
    folder = hf_prune.export(kept, tmp_path / "out", source="local", scores=ds, what="scores")
    assert hf_prune.load_scores(folder, source)["quality"][:] == ds["quality"][:]
    assert hf_prune.load_scores(folder, source, key_columns="text")["quality"][:] == ds["quality"][:]
    assert hf_prune.apply(folder, source)["text"][:] == kept["text"][:]
    assert sorted(hf_prune.apply(folder, source.shuffle(seed=1))["text"]) == sorted(kept["text"])
    exchanged = source.select([1, 0, *range(2, 10)])
    assert set(hf_prune.apply(folder, exchanged)["text"]) == set(kept["text"])
