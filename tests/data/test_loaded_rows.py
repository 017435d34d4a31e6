"""Whether rows are those that were loaded is read from their table, whatever was done to them before the first step."""

import pytest
from datasets import Dataset, Features, Value, concatenate_datasets, load_dataset, load_from_disk

from hf_prune import provenance
from hf_prune.data.loaded_rows import loaded_rows

ROWS = 24


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loaded")
    values = {"x": list(range(ROWS)), "text": [f"row {row}" for row in range(ROWS)]}
    Dataset.from_dict(values).to_parquet(str(folder / "train.parquet"))
    return folder


@pytest.fixture(scope="module")
def load(place):
    files = {"train": str(place / "train.parquet"), "other": str(place / "train.parquet")}
    return lambda split: load_dataset("parquet", data_files=files, split=split, cache_dir=str(place / "cache"))


def negated(row):
    return {"x": -row["x"]}


SAME = {
    "nothing": lambda ds: ds,
    "add_column": lambda ds: ds.add_column("y", list(range(ROWS))),
    "remove_columns": lambda ds: ds.remove_columns("x"),
    "rename_column": lambda ds: ds.rename_column("x", "number"),
    "with_format": lambda ds: ds.with_format("numpy"),
    "sort what is sorted": lambda ds: ds.sort("x"),
    "select all": lambda ds: ds.select(list(range(ROWS))),
    "two parts in their order": lambda ds: concatenate_datasets([ds.select(range(9)), ds.select(range(9, ROWS))]),
    "map a new column": lambda ds: ds.map(lambda row: {"y": row["x"] + 1}),
    "the same column anew": lambda ds: ds.remove_columns("x").add_column("x", list(range(ROWS))),
    "cast_column": lambda ds: ds.cast_column("text", Value("string")),
}
OTHER = {
    "filter": lambda ds: ds.filter(lambda row: row["x"] > 5),
    "shuffle": lambda ds: ds.shuffle(seed=1),
    "shuffle and write anew": lambda ds: ds.shuffle(seed=1).flatten_indices(),
    "select a range": lambda ds: ds.select(range(5, 10)),
    "select some": lambda ds: ds.select([3, 1]),
    "train_test_split": lambda ds: ds.train_test_split(test_size=4, shuffle=False)["train"],
    "twice": lambda ds: concatenate_datasets([ds, ds]),
    "two parts exchanged": lambda ds: concatenate_datasets([ds.select(range(9, ROWS)), ds.select(range(9))]),
    "map other values": lambda ds: ds.map(negated),
    "another column of that name": lambda ds: ds.remove_columns("x").add_column("x", [0] * ROWS),
}


@pytest.mark.parametrize("name", SAME)
def test_rows_that_are_those_of_the_split(load, name):
    assert loaded_rows(SAME[name](load("train"))) == {"rows": ROWS, "same": True}


@pytest.mark.parametrize("name", OTHER)
def test_rows_that_are_not(load, name):
    ds = OTHER[name](load("train"))
    assert loaded_rows(ds) == {"rows": ROWS, "same": False}
    (step,) = provenance(ds.score_with("random")).steps
    assert step.changed_before
    assert step.loaded == {"rows": ROWS, "same": False}


@pytest.mark.parametrize(("split", "rows"), [("train[3:9]", 6), ("train[9:12]+train[:3]", 6), ("train[:50%]", 12)])
def test_a_part_of_a_split_that_was_asked_for(load, split, rows):
    ds = load(split)
    assert loaded_rows(ds) == {"rows": rows, "same": True}
    assert loaded_rows(ds.select(range(2))) == {"rows": rows, "same": False}


def test_a_split_of_several_files(tmp_path):
    values = Dataset.from_dict({"x": list(range(ROWS))})
    values.save_to_disk(str(tmp_path / "parts"), num_shards=3)
    folder = tmp_path / "cache"
    folder.mkdir()
    for number, file in enumerate(sorted((tmp_path / "parts").glob("*.arrow"))):
        file.rename(folder / f"name-train-{number:05d}-of-00003.arrow")
    files = [Dataset.from_file(str(file)) for file in sorted(folder.glob("*.arrow"))]
    ds = concatenate_datasets(files, split="train")
    known = load_dataset("parquet", data_files=_parquet(values, tmp_path), cache_dir=str(tmp_path / "c"))["train"].info
    ds.info.splits = known.splits
    ds.info.splits["train"].shard_lengths = [8, 8, 8]
    assert loaded_rows(ds) == {"rows": ROWS, "same": True}
    assert loaded_rows(ds.select(range(8, 16))) == {"rows": ROWS, "same": False}
    exchanged = concatenate_datasets([files[1], files[0], files[2]], split="train")
    exchanged.info.splits = known.splits
    assert loaded_rows(exchanged) == {"rows": ROWS, "same": False}


def _parquet(ds, folder) -> str:
    ds.to_parquet(str(folder / "file.parquet"))
    return str(folder / "file.parquet")


def test_what_cannot_be_told_is_not_guessed(load, tmp_path):
    ds = load("train")
    assert loaded_rows(Dataset.from_dict({"x": [1]})) is None
    assert loaded_rows(concatenate_datasets([ds, Dataset.from_dict({"x": [1], "text": ["b"]})])) is None
    ds.save_to_disk(str(tmp_path / "saved"))
    saved = load_from_disk(str(tmp_path / "saved"))
    assert loaded_rows(saved) == {"rows": ROWS, "same": None}
    assert loaded_rows(saved.select(range(3))) == {"rows": ROWS, "same": False}
    made = Dataset.from_generator(
        lambda: iter([{"x": 1}]), features=Features({"x": Value("int64")}), cache_dir=str(tmp_path / "made")
    )
    assert loaded_rows(made) is None  # its split is whatever the generator gave
    assert not provenance(saved.score_with("random")).steps[0].changed_before


def test_a_later_step_does_not_ask_again(load):
    scored = load("train").score_with("random")
    first, second = provenance(scored.prune("random", keep=4, order="hard")).steps
    assert first.loaded == {"rows": ROWS, "same": True}
    assert second.loaded is None
    assert not first.changed_before | second.changed_before
