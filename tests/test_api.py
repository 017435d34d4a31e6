"""The two functions as users call them: names, splits, formats, and what comes back untouched."""

import inspect

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Image, IterableDatasetDict, load_from_disk

import hf_prune
from hf_prune import Run, Selection, provenance, prune, score_with
from hf_prune.runtime.names import UnknownNameError
from tests.helpers.tiny_sets import make_set, noise

ROWS = 8


def start() -> Dataset:
    return make_set(noise(ROWS)).add_column(
        "label", [row % 2 for row in range(ROWS)], feature=ClassLabel(num_classes=2)
    )


def splits() -> DatasetDict:
    return DatasetDict({"train": start(), "test": start().select(range(5)), "extra": start().shuffle(seed=0)})


def pixels(batch) -> np.ndarray:
    return np.stack([np.asarray(image, np.float32).ravel() for image in batch])


def test_score_and_prune_from_images_to_fewer_images(tmp_path):
    ds = start()
    scored = ds.score_with(
        "prototypes", encoder="pixels", run=hf_prune.Run(image_size=4, cache_dir=tmp_path), num_prototypes=2
    )
    kept = scored.prune("prototypes", keep=0.5, order="hard", class_balance=0.5)
    scores = np.array(scored["prototypes"][:])
    threshold = np.sort(scores)[ROWS // 2]
    assert kept["prototypes"][:] == [score for score in scores.tolist() if score >= threshold]
    assert kept.features["image"] == Image()
    kept.save_to_disk(tmp_path / "kept")
    loaded = load_from_disk(tmp_path / "kept")
    assert [step.kind for step in provenance(loaded).steps] == ["score", "prune"]
    assert not provenance(loaded).changed_since(loaded)


def test_the_column_is_called_after_the_metric_or_as_asked():
    ds, given = start(), {"embeddings": np.eye(ROWS)}
    for name in ("prototypes", "self-supervised-prototypes"):
        assert "prototypes" in ds.score_with(name, inputs=given).column_names
    scored = ds.score_with("prototypes", inputs=given, column="distance")
    assert scored.column_names == [*ds.column_names, "distance"]
    assert len(scored.prune("distance", keep=3, order="hard")) == 3
    with pytest.raises(ValueError, match=r"^no column 'prototypes': run ds\.score_with\('prototypes', …\) first"):
        scored.prune("prototypes", keep=3, order="hard")


def test_functions_and_methods_are_one():
    assert score_with(start(), "random")["random"][:] == start().score_with("random")["random"][:]
    assert prune(start().score_with("random"), "random", keep=2, order="hard").to_dict() == (
        start().score_with("random").prune("random", keep=2, order="hard").to_dict()
    )


@pytest.mark.parametrize(("name", "most"), [("score_with", 20), ("prune", 23), ("recommend", 14), ("keep_curve", 14)])
def test_parameters_are_few(name, most):
    assert len(inspect.signature(getattr(hf_prune, name)).parameters) <= most


def test_the_order_is_never_chosen_silently():
    assert inspect.signature(prune).parameters["order"].default == "auto"
    with pytest.warns(UserWarning, match="order='auto': there is no evidence on 'random'"):
        start().score_with("random").prune("random", keep=2)


def test_the_train_split_is_scored_and_pruned_and_the_others_come_back_untouched():
    ds = splits()
    scored = ds.score_with("random")
    assert ["random" in split.column_names for split in scored.values()] == [True, False, False]
    pruned, selections = scored.prune("random", keep=0.5, order="hard", return_selection=True)
    assert {name: len(split) for name, split in pruned.items()} == {"train": 4, "test": 5, "extra": ROWS}
    assert pruned["test"] is ds["test"]
    assert list(selections) == ["train"]
    assert list(pruned) == list(ds)


def test_score_columns_of_a_dict_are_dropped_so_that_splits_keep_one_shape():
    scored = splits().score_with("random")
    assert scored.prune("random", keep=2, order="hard")["train"].features == splits()["test"].features
    kept = scored.prune("random", keep=2, order="hard", keep_scores=True)
    assert "random" in kept["train"].column_names
    assert "random" in scored["train"].prune("random", keep=2, order="hard").column_names
    assert "random" not in scored["train"].prune("random", keep=2, order="hard", keep_scores=False).column_names
    dropped = scored.prune("random", keep=2, order="hard")["train"]
    assert not provenance(dropped).changed_since(dropped)
    mine = DatasetDict(train=start().add_column("mine", list(range(ROWS))))
    assert "mine" in mine.prune("mine", keep=2, order="hard")["train"].column_names


@pytest.mark.parametrize("names", ["test", ["test"], ["test", "extra"], []])
def test_other_splits_are_named(names):
    scored = splits().score_with("random", splits=names)
    wanted = [names] if isinstance(names, str) else names
    assert [name for name, split in scored.items() if "random" in split.column_names] == wanted
    pruned, selections = scored.prune("random", keep=1, order="hard", splits=names, return_selection=True)
    assert list(selections) == wanted
    assert [name for name, split in pruned.items() if len(split) == 1] == wanted


def test_a_selection_comes_with_it():
    scored = start().score_with("random")
    pruned, selection = scored.prune("random", keep=3, order="easy", return_selection=True)
    assert isinstance(selection, Selection)
    assert pruned["random"][:] == [scored["random"][row] for row in selection.kept.tolist()]
    assert {selection.reason(row) for row in selection.dropped} == {"below the cut"}


def lower(batch):
    return {"number": [len(batch["label"])] * len(batch["label"])}


@pytest.mark.parametrize(
    "change",
    [
        lambda ds: ds.with_transform(lower),
        lambda ds: ds.with_format("numpy"),
        lambda ds: ds.with_format("torch", columns=["label"]),
        lambda ds: ds.with_format(columns=["label"]),
        lambda ds: ds.with_format("numpy", columns=["label"], output_all_columns=True),
    ],
)
def test_a_format_on_the_input_neither_breaks_scoring_nor_comes_back_changed(change):
    ds = change(start())
    before = {**ds.format}
    plain = start().score_with("supervised_prototypes", encoder=pixels, run=hf_prune.Run(load_from_cache_file=False))
    scored = ds.score_with("supervised_prototypes", encoder=pixels, run=hf_prune.Run(load_from_cache_file=False))
    pruned = scored.prune("supervised_prototypes", keep=3, order="hard")
    assert ds.format == before
    for result in (scored, pruned):
        assert {**result.format, "columns": None} == {**before, "columns": None}
        assert set(result.format["columns"]) - {"supervised_prototypes"} == set(before["columns"])
    shown = scored.with_format(None)["supervised_prototypes"][:]
    np.testing.assert_allclose(shown, plain["supervised_prototypes"][:], atol=1e-6)


def test_set_format_in_place_stays_too():
    ds = start()
    ds.set_format("numpy", columns=["label"])
    assert sorted(ds.score_with("random")[0]) == ["label"]
    assert sorted(ds[0]) == ["label"]


def test_scores_follow_rows_through_shuffles():
    ds = start()
    options = {"encoder": pixels, "run": hf_prune.Run(load_from_cache_file=False)}
    plain = ds.score_with("supervised_prototypes", **options)["supervised_prototypes"][:]
    order = [5, 2, 7, 0, 1, 3, 4, 6]
    moved = ds.select(order).score_with("supervised_prototypes", **options)["supervised_prototypes"][:]
    np.testing.assert_allclose(moved, np.array(plain)[order], atol=1e-6)


def streaming() -> IterableDatasetDict:
    return IterableDatasetDict({"train": start().to_iterable_dataset()})


@pytest.mark.parametrize("stream", [streaming()["train"], streaming()])
def test_streams_and_dicts_of_them_are_scored_and_pruned(stream, tmp_path):
    scored = stream.score_with("prototypes", encoder=pixels, num_prototypes=2, run=Run(cache_dir=tmp_path))
    kept = scored.prune("prototypes", keep=3, order="hard", run=Run(cache_dir=tmp_path))
    assert type(kept) is type(stream)
    rows = kept["train"] if isinstance(kept, IterableDatasetDict) else kept
    assert len(list(rows)) == 3
    with pytest.raises(ValueError, match="'random' needs all rows at once, which a stream does not hold") as caught:
        stream.score_with("random")
    assert "\n" not in str(caught.value)


def test_the_way_out_of_a_stream_works():
    stream = streaming()["train"]
    ds = Dataset.from_generator(lambda: iter(stream))
    assert len(ds.score_with("random").prune("random", keep=3, order="hard")) == 3


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: start().score_with("el2m"),
            UnknownNameError,
            r"unknown metric 'el2m'\. Did you mean 'el2n'\? Known: ",
        ),
        (
            lambda: start().score_with("el2n", orde=1),
            TypeError,
            r"unknown option of metric 'el2n' 'orde'\. Did you mean 'ord'",
        ),
        (
            lambda: start().score_with("random", on_error="ignore"),
            ValueError,
            "on_error='ignore'; give 'raise' or 'skip'",
        ),
        (
            lambda: start().score_with("random", splits="train"),
            ValueError,
            "is for a DatasetDict; this is one Dataset",
        ),
        (
            lambda: splits().score_with("random", splits="val"),
            ValueError,
            r"no split 'val' among \['train', 'test', 'extra'\]",
        ),
        (
            lambda: DatasetDict(test=start()).score_with("random"),
            ValueError,
            r"no split 'train' among \['test'\]; name the",
        ),
        (
            lambda: score_with([1, 2], "random"),
            TypeError,
            "score_with takes a Dataset or a DatasetDict, not list: make one",
        ),
        (
            lambda: start().score_with("prototypes", encoder=pixels, num_prototypes=9),
            ValueError,
            r"a count in \[1, 8\]",
        ),
        (lambda: start().score_with("prototypes"), ValueError, "pass encoder="),
        (lambda: start().score_with("el2n"), ValueError, "pass teachers="),
        (lambda: start().select([]).score_with("random"), ValueError, "the data set is empty"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_the_names_of_the_package_are_there():
    assert set(hf_prune.__all__) <= set(dir(hf_prune))
    with pytest.raises(AttributeError, match="no attribute 'scoer'"):
        _ = hf_prune.scoer
