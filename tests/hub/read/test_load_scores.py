import warnings
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, DatasetDict, Features, Image, Value, concatenate_datasets

import hf_prune
from tests.helpers.tiny_publications import contents, image_bytes, images, numbers, scored


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A cut of 20 rows with the scores of all."""
    ds = scored(images(20))
    ds = ds.add_column("brightness", np.arange(20, dtype=np.float32))
    kept = ds.prune("prototypes", keep=0.5, order="hard")
    return hf_prune.export(kept, tmp_path_factory.mktemp("p") / "cut", source="local", scores=ds, what="scores")


def score_of(ds):
    """What `scored` gave each image, found by its number."""
    return [np.float32((row * 7 % 13) / 13 + row / 1000) for row in numbers(ds)]


def quietly(function, *args, **keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return function(*args, **keywords)


def test_scores_go_onto_the_same_rows(published):
    loaded = quietly(hf_prune.load_scores, published, images(20))
    assert loaded.column_names == ["image", "label", "prototypes"]
    assert loaded["prototypes"][:] == score_of(images(20))
    assert loaded.features["prototypes"] == Value("float32")


@pytest.mark.parametrize("rows", [[3], list(range(19, -1, -1)), [7, 2, 11, 19]])
def test_filtered_and_reordered_copies_are_matched_row_by_row(published, rows):
    copy = images(20).select(rows)
    loaded = quietly(hf_prune.load_scores, published, copy)
    assert loaded["prototypes"][:] == score_of(copy)


def test_a_copy_with_other_columns_and_another_name_for_the_image(published):
    copy = images(20).remove_columns("label").rename_column("image", "img").add_column("x", list(range(20)))
    loaded = quietly(hf_prune.load_scores, published, copy)
    assert loaded["prototypes"][:] == score_of(images(20))


def test_what_is_not_found_is_counted_and_named_and_has_no_score(published):
    copy = concatenate_datasets([images(20), images(23).select([20, 21, 22])]).select([20, 4, 21, 22, 5])
    with pytest.warns(UserWarning, match=r"3 of 5 rows \(0, 2, 3\) are not among those .*: their scores are null"):
        loaded = hf_prune.load_scores(published, copy)
    first, *known = [None, *score_of(images(20).select([4, 5]))]
    assert loaded["prototypes"][:] == [first, known[0], None, None, known[1]]
    assert hf_prune.provenance(loaded).steps[-1].unscored == (0, 2, 3)


def test_the_step_names_where_the_scores_came_from(published):
    loaded = hf_prune.load_scores(published, images(20))
    (step,) = hf_prune.provenance(loaded).steps
    assert (step.kind, step.metric, step.column) == ("score", "prototypes", "prototypes")
    told = step.inputs["scores"]["published"]
    assert told["folder"] == str(published)
    assert (told["config"], told["split"], len(told["record_sha256"])) == ("scores", "train", 64)
    assert step.figures == {"published_rows": 20, "matched_rows": 20}
    assert not hf_prune.provenance(loaded).changed_since(loaded)


def test_loaded_scores_are_cut_at_another_fraction_and_published_again(published, tmp_path):
    loaded = hf_prune.load_scores(published, images(20))
    kept = loaded.prune("prototypes", keep=0.25, order="easy", class_balance=0)
    direct = scored(images(20)).prune("prototypes", keep=0.25, order="easy", class_balance=0)
    assert kept["label"][:] == direct["label"][:]
    folder = hf_prune.export(kept, tmp_path / "again", source="local", scores=loaded, what="scores")
    card = (folder / "README.md").read_text()
    assert "Taken over from" in card
    assert "hf_prune.load_scores(" in card
    assert str(published.parent) not in card + (folder / "provenance.json").read_text()
    assert hf_prune.load_scores(folder, images(20))["prototypes"][:] == loaded["prototypes"][:]


def test_splits_of_a_dict(tmp_path):
    both = DatasetDict(train=images(12), test=images(16).select(range(12, 16)))
    made = DatasetDict({name: scored(rows) for name, rows in both.items()})
    kept = made.prune("prototypes", keep=0.5, order="hard", splits=["train", "test"], keep_scores=True)
    folder = hf_prune.export(kept, tmp_path / "dict", source="local", scores=made, what="scores")
    loaded = hf_prune.load_scores(folder, DatasetDict(both, extra=images(2)))
    assert {name: rows.column_names[2:] for name, rows in loaded.items()} == {
        "train": ["prototypes"],
        "test": ["prototypes"],
        "extra": [],
    }
    assert loaded["test"]["prototypes"][:] == made["test"]["prototypes"][:]
    only = hf_prune.load_scores(folder, both["test"].select([2]), split="test")
    assert only["prototypes"][:] == made["test"]["prototypes"][2:3]


def test_the_licence_of_the_source_is_kept_to(tmp_path):
    ds = scored(images(20))
    kept = ds.prune("prototypes", keep=0.5, order="hard")
    folder = hf_prune.export(kept, tmp_path / "rows", source="local", scores=ds, what="rows")
    assert not any(image_bytes(row) in data for data in contents(folder).values() for row in range(20))
    assert hf_prune.load_scores(folder, images(20))["prototypes"][:] == ds["prototypes"][:]
    assert hf_prune.apply(folder, images(20))["label"][:] == kept["label"][:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda ds: ds.cast_column("image", Image(decode=False)).map(darkened, features=ds.features),
            "none of the 20",
        ),
        (
            lambda ds: ds.remove_columns("image"),
            r"rows are found by the columns \['image'\], and 'image' is not there",
        ),
        (scored, "column 'prototypes' is there already; pass overwrite=True"),
    ],
)
def test_what_does_not_fit_is_refused(published, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        hf_prune.load_scores(published, change(images(20)))
    assert "\n" not in str(caught.value)


def darkened(row):
    return {"image": {"bytes": b"other" + row["image"]["bytes"], "path": None}}


def test_what_is_not_published_is_refused(published, tmp_path):
    with pytest.raises(ValueError, match="has no score column 'el2n', it has \\['prototypes'\\]"):
        hf_prune.load_scores(published, images(20), columns="el2n")
    with pytest.raises(ValueError, match="was not published by hf_prune"):
        hf_prune.load_scores(tmp_path, images(20))
    with pytest.raises(FileNotFoundError, match="is no folder here and no name of a repository"):
        hf_prune.load_scores(tmp_path / "nowhere", images(20))
    with pytest.raises(ValueError, match="revision='main' is for repositories"):
        hf_prune.load_scores(published, images(20), revision="main")
    with pytest.raises(ValueError, match="has no split 'test', it has 'train'"):
        hf_prune.load_scores(published, images(20), split="test")
    with pytest.raises(TypeError, match="load it without streaming=True"):
        hf_prune.load_scores(published, images(20).to_iterable_dataset())
    hf_prune.export(scored(images(20)).prune("prototypes", keep=0.5, order="hard"), tmp_path / "cut", source="local")
    with pytest.raises(ValueError, match="only its cuts were published"):
        hf_prune.load_scores(tmp_path / "cut", images(20))


def test_a_changed_file_is_noticed(published, tmp_path):
    folder = tmp_path / "copy"
    for name, data in contents(published).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    path = next((folder / "scores").iterdir())
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="is not the file of its record: see hf-prune verify"):
        hf_prune.load_scores(folder, images(20))


def test_columns_are_chosen_and_replaced(published):
    copy = scored(images(20).select(range(19, -1, -1)))
    loaded = hf_prune.load_scores(published, copy, columns=["prototypes"], overwrite=True)
    assert loaded["prototypes"][:] == score_of(copy)
    assert Path(published).is_dir()


def test_one_row_without_an_image_has_no_score(tmp_path):
    content = [{"bytes": image_bytes(row), "path": None} if row != 2 else None for row in range(4)]
    ds = Dataset.from_dict({"image": content}, features=Features({"image": Image()}))
    made = hf_prune.score_with(
        ds, "prototypes", encoder="pixels", run=hf_prune.Run(image_size=2), num_prototypes=2, on_error="skip"
    )
    kept = made.prune("prototypes", keep=2, order="hard")
    folder = hf_prune.export(kept, tmp_path / "null", source="local", scores=made, what="scores")
    loaded = quietly(hf_prune.load_scores, folder, ds)
    assert loaded["prototypes"][:] == made["prototypes"][:]
    assert hf_prune.provenance(loaded).steps[0].unscored == (2,)


def test_rows_of_the_same_content_are_matched_in_their_order(tmp_path):
    ds = Dataset.from_dict({"text": ["a", "b", "a", "a"], "n": [1, 1, 1, 1]})
    ds = scored(ds, "margin")
    folder = hf_prune.export(
        ds.prune("margin", keep=2, order="hard"), tmp_path / "text", source="local", scores=ds, what="scores"
    )
    plain = ds.remove_columns("margin")
    scores = ds["margin"][:]
    assert quietly(hf_prune.load_scores, folder, plain)["margin"][:] == scores
    shuffled = quietly(hf_prune.load_scores, folder, plain.select([3, 1, 2, 0]))["margin"][:]
    assert shuffled == [scores[0], scores[1], scores[2], scores[3]]
    with pytest.warns(UserWarning, match=r"1 of 2 rows \(1\) have the same content as other published rows"):
        fewer = hf_prune.load_scores(folder, plain.select([1, 3]))
    assert fewer["margin"][:] == [scores[1], scores[0]]
    with pytest.warns(UserWarning, match=r"1 of 5 rows \(4\) are not among"):
        more = hf_prune.load_scores(folder, plain.select([0, 1, 2, 3, 0]))
    assert more["margin"][:] == [*scores, None]
