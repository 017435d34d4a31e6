"""Parquet shards: bytes inside, bare names, the layout of `Dataset.push_to_hub`."""

import pytest
from datasets import Array2D, ClassLabel, Dataset, Features, Image, Sequence, Value

from hf_prune.hub.publish.shards import ShardOptions, write_shards
from hf_prune.runtime.integrity import file_entry
from tests.helpers.tiny_publications import image_bytes, images


def stored(folder, shards, column="image"):
    files = [str(folder / name) for name in shards.files]
    loaded = Dataset.from_parquet(files, cache_dir=str(folder / "cache"))
    return loaded, loaded.cast_column(column, Image(decode=False))[column][:]


@pytest.fixture
def by_path(tmp_path):
    """Images as files, as bytes beside paths of two systems, as bytes alone, and missing."""
    place = tmp_path / "secret place"
    place.mkdir()
    for number in range(3):
        (place / f"{number}.ppm").write_bytes(image_bytes(number))
    values = [str(place / f"{number}.ppm") for number in range(3)]
    values += [
        {"bytes": image_bytes(3), "path": "C:\\Users\\me\\3.ppm"},
        {"bytes": image_bytes(4), "path": "/gone/me/4.ppm"},
        None,
        {"bytes": image_bytes(6), "path": None},
    ]
    return Dataset.from_dict({"image": values}, features=Features({"image": Image()}))


def test_files_are_embedded_and_paths_cut(tmp_path, by_path):
    shards = write_shards(by_path, tmp_path / "out", "data", "train", ShardOptions(num_shards=2))
    loaded, rows = stored(tmp_path / "out", shards)
    assert [row and row["bytes"] for row in rows] == [
        *(image_bytes(number) for number in range(5)),
        None,
        image_bytes(6),
    ]
    assert [row and row["path"] for row in rows] == ["0.ppm", "1.ppm", "2.ppm", "3.ppm", "4.ppm", None, None]
    assert loaded.features == by_path.features
    written = b"".join((tmp_path / "out" / name).read_bytes() for name in shards.files)
    assert b"secret place" not in written
    assert b"Users" not in written
    assert b"gone" not in written


def test_indices_format_and_transform_do_not_matter(tmp_path, by_path):
    chosen = by_path.select([6, 3, 0]).with_transform(lambda _: 1 / 0)
    shards = write_shards(chosen, tmp_path, "data", "train", ShardOptions())
    rows = stored(tmp_path, shards)[1]
    assert [row["bytes"] for row in rows] == [image_bytes(6), image_bytes(3), image_bytes(0)]


def test_picked_rows_are_written_as_copies_of_them_would_be(tmp_path):
    names = ClassLabel(names=["a", "b"])
    features = Features(
        {
            "image": Image(),
            "square": Array2D((2, 2), "float32"),
            "classes": Sequence(names),
            "text": Value("string"),
            "more": {"place": Value("int64")},
        }
    )
    rows = {
        "image": [{"bytes": image_bytes(row % 5), "path": None} if row % 7 else None for row in range(300)],
        "square": [[[row, 1], [2, 3]] for row in range(300)],
        "classes": [[row % 2] * (row % 3) for row in range(300)],
        "text": [None if row % 4 == 0 else f"row {row}" for row in range(300)],
        "more": [{"place": row} for row in range(300)],
    }
    picked = Dataset.from_dict(rows, features=features).select([*range(290, 0, -1), 5, 5])
    shards = write_shards(picked, tmp_path / "a", "data", "train", ShardOptions(num_shards=2))
    of_copies = write_shards(picked.flatten_indices(), tmp_path / "b", "data", "train", ShardOptions(num_shards=2))
    assert shards.files == of_copies.files  # the digests among them
    loaded = Dataset.from_parquet([str(tmp_path / "a" / name) for name in shards.files], cache_dir=str(tmp_path / "c"))
    assert loaded.features == features
    assert loaded.with_format("arrow")[:].to_pylist() == picked.with_format("arrow")[:].to_pylist()


def test_nested_images_are_embedded(tmp_path):
    path = tmp_path / "a.ppm"
    path.write_bytes(image_bytes(1))
    ds = Dataset.from_dict({"images": [[str(path)]]}, features=Features({"images": Sequence(Image(decode=False))}))
    shards = write_shards(ds, tmp_path / "out", "data", "train", ShardOptions())
    loaded = Dataset.from_parquet([str(tmp_path / "out" / name) for name in shards.files], cache_dir=str(tmp_path))
    assert loaded[0]["images"] == [{"bytes": image_bytes(1), "path": "a.ppm"}]


def test_layout_and_sizes(tmp_path):
    shards = write_shards(images(10), tmp_path, "data", "train", ShardOptions(num_shards=3))
    assert list(shards.files) == [f"data/train-0000{i}-of-00003.parquet" for i in range(3)]
    assert shards.patterns == ("data/train-*",)
    assert all(file_entry(tmp_path / name) == file for name, file in shards.files.items())
    assert shards.num_bytes > 10 * len(image_bytes(0))


def test_the_largest_size_of_a_shard(tmp_path):
    assert len(write_shards(images(10), tmp_path, "data", "train", ShardOptions(max_shard_size=200)).files) > 1
    # no more shards than rows: an empty one serves nobody
    assert len(write_shards(images(2), tmp_path, "data", "test", ShardOptions(num_shards=5)).files) == 2


def test_processes_write_the_same_bytes(tmp_path):
    ds = images(9)
    one = write_shards(ds, tmp_path / "one", "data", "train", ShardOptions(num_shards=2))
    two = write_shards(ds, tmp_path / "two", "data", "train", ShardOptions(num_proc=2))
    assert one == two
    assert all((tmp_path / "one" / n).read_bytes() == (tmp_path / "two" / n).read_bytes() for n in one.files)


def test_paths_are_not_published_instead_of_files(tmp_path, by_path):
    with pytest.raises(
        ValueError, match=r"3 rows of column 'image' are files of this machine \(first: row 0\)"
    ) as error:
        write_shards(by_path, tmp_path / "out", "data", "train", ShardOptions(embed_external_files=False))
    assert "secret" not in str(error.value)
    inside = by_path.select(range(3, 7))
    shards = write_shards(inside, tmp_path / "out", "data", "train", ShardOptions(embed_external_files=False))
    assert [row and row["path"] for row in stored(tmp_path / "out", shards)[1]] == ["3.ppm", "4.ppm", None, None]


@pytest.mark.parametrize(
    "options",
    [{"num_shards": 0}, {"num_proc": 0}, {"num_shards": {"train": 0}}, {"max_shard_size": 0}, {"max_shard_size": "x"}],
)
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match=r"num_shards|max_shard_size"):
        ShardOptions(**options)


def test_size_and_number_exclude_each_other():
    with pytest.raises(ValueError, match="exclude each other"):
        ShardOptions(max_shard_size="1MB", num_shards=2)
