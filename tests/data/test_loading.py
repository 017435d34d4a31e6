import numpy as np
import pytest
from datasets import Dataset, DatasetDict, concatenate_datasets

from hf_prune.cli.errors import is_user_error
from hf_prune.data.loading import open_dataset, open_target, read_inputs
from hf_prune.runtime.errors import InputError
from tests.helpers.tiny_publications import image_bytes, images


@pytest.fixture
def numbers(tmp_path) -> Dataset:
    ds = Dataset.from_dict({"x": list(range(10))})
    ds.save_to_disk(str(tmp_path / "saved"))
    return ds


def values(ds) -> list[int]:
    return ds["x"][:]


@pytest.mark.usefixtures("numbers")
class TestSaved:
    def test_whole(self, tmp_path):
        opened = open_dataset(tmp_path / "saved")
        assert isinstance(opened, Dataset)
        assert values(opened) == list(range(10))

    @pytest.mark.parametrize(
        ("split", "expected"),
        [
            ("train", range(10)),
            ("train[:3]", range(3)),
            ("train[80%:]", range(8, 10)),
            ("train[:1]+train[-1:]", (0, 9)),
        ],
    )
    def test_slices_are_those_of_load_dataset(self, tmp_path, split, expected):
        assert values(open_dataset(str(tmp_path / "saved"), split=split)) == list(expected)

    def test_splits_of_a_dict(self, numbers, tmp_path):
        DatasetDict({"train": numbers, "test": numbers.select([4])}).save_to_disk(str(tmp_path / "both"))
        assert set(open_dataset(tmp_path / "both")) == {"train", "test"}
        assert values(open_dataset(tmp_path / "both", split="test")) == [4]

    @pytest.mark.parametrize("split", ["test", "train[", "train[x]", ""])
    def test_no_such_split(self, tmp_path, split):
        with pytest.raises(ValueError, match="which holds train"):
            open_dataset(tmp_path / "saved", split=split)

    @pytest.mark.parametrize("argument", [{"revision": "main"}, {"name": "plain"}, {"data_files": "x"}])
    def test_arguments_that_do_not_apply(self, tmp_path, argument):
        with pytest.raises(ValueError, match="is a saved data set; leave it out"):
            open_dataset(tmp_path / "saved", **argument)


class TestFiles:
    @pytest.mark.parametrize("suffix", ["parquet", "csv", "json"])
    def test_a_file_is_one_split_whatever_it_is_called(self, numbers, tmp_path, suffix):
        getattr(numbers, f"to_{suffix}")(str(tmp_path / f"numbers.{suffix}"))
        opened = open_dataset(tmp_path / f"numbers.{suffix}")
        assert values(opened) == list(range(10))
        assert values(open_dataset(tmp_path / f"numbers.{suffix}", split="test[:2]")) == [0, 1]

    def test_a_folder_of_files_has_their_splits(self, numbers, tmp_path):
        (tmp_path / "folder").mkdir()
        numbers.to_parquet(str(tmp_path / "folder" / "train.parquet"))
        numbers.select([7]).to_parquet(str(tmp_path / "folder" / "test.parquet"))
        assert set(open_dataset(tmp_path / "folder")) == {"train", "test"}
        assert values(open_dataset(tmp_path / "folder", split="test")) == [7]

    def test_a_folder_of_images_by_class(self, tmp_path):
        for row, label in enumerate(["cat", "dog"]):
            (tmp_path / "pictures" / label).mkdir(parents=True)
            (tmp_path / "pictures" / label / "a.ppm").write_bytes(image_bytes(row))
        opened = open_dataset(tmp_path / "pictures", split="train")
        assert opened.features["label"].names == ["cat", "dog"]
        assert opened[0]["image"].size == (2, 2)

    def test_images_keep_their_features(self, tmp_path):
        images().to_parquet(str(tmp_path / "table.parquet"))
        assert open_dataset(tmp_path / "table.parquet").features == images().features

    @pytest.mark.parametrize(
        ("name", "content", "said"),
        [
            ("broken.parquet", b"hello", "Parquet"),
            ("broken.json", b"{", "broken.json"),
            ("notes.txt", b"x", "is none of .parquet"),
        ],
    )
    def test_what_cannot_be_read_is_named_on_one_line(self, tmp_path, name, content, said):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=said) as caught:
            open_dataset(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_an_empty_folder(self, tmp_path):
        with pytest.raises(OSError, match="cannot open"):
            open_dataset(tmp_path)


class TestHub:
    @pytest.mark.parametrize("path", ["./nowhere", "~/nowhere", "a/b/c", "nowhere.parquet", "/nowhere"])
    def test_a_path_is_not_looked_for_on_the_hub(self, path):
        with pytest.raises(FileNotFoundError, match="no such file or folder"):
            open_dataset(path)

    def test_unreachable(self):
        with pytest.raises(OSError, match=r"cannot open 'nobody/nothing@main' \(no file or folder here, so an id"):
            open_dataset("nobody/nothing@main")

    def test_one_revision(self):
        with pytest.raises(ValueError, match="give one of them"):
            open_dataset("nobody/nothing@main", revision="other")


class TestInputs:
    def test_paths_are_read_and_arrays_handed_on(self, tmp_path):
        np.save(tmp_path / "a.npy", np.arange(3))
        read = read_inputs({"path": str(tmp_path / "a.npy"), "array": np.ones(2)})
        assert read["path"].tolist() == [0, 1, 2]
        assert read["array"].tolist() == [1, 1]

    def test_pickles_are_refused(self, tmp_path):
        np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
        with pytest.raises(ValueError, match="is not an array"):
            read_inputs({"probs": tmp_path / "a.npy"})


def test_splits_of_other_columns_are_not_joined(tmp_path):
    DatasetDict(a=Dataset.from_dict({"x": [1]}), b=Dataset.from_dict({"x": ["z"]})).save_to_disk(tmp_path / "odd")
    with pytest.raises(InputError, match=r"^cannot open '.*odd': The features can't be aligned"):
        open_dataset(tmp_path / "odd", split="a+b")


DAMAGE = {
    "a state that is no JSON": lambda folder: (folder / "state.json").write_text("{"),
    "a state of another kind": lambda folder: (folder / "state.json").write_text("[]"),
    "a state in UTF-16": lambda folder: (folder / "state.json").write_text("{}", encoding="utf-16"),
    "info that is no JSON": lambda folder: (folder / "dataset_info.json").write_text("{"),
    "info of another kind": lambda folder: (folder / "dataset_info.json").write_text("[]"),
    "features of another kind": lambda folder: (folder / "dataset_info.json").write_text('{"features": {"x": 5}}'),
    "no info": lambda folder: (folder / "dataset_info.json").unlink(),
    "an empty table": lambda folder: next(folder.glob("*.arrow")).write_bytes(b""),
    "no table": lambda folder: next(folder.glob("*.arrow")).unlink(),
    "another header": lambda folder: next(folder.glob("*.arrow")).write_bytes(b"junk"),
    "half a header": lambda folder: next(folder.glob("*.arrow")).write_bytes(b"\xff\xff\xff\xff\x58\x01\x00\x00half"),
}


@pytest.mark.usefixtures("numbers")
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_folder_is_named_on_one_line(tmp_path, damage):
    DAMAGE[damage](tmp_path / "saved")
    with pytest.raises((ValueError, OSError), match=r"^cannot open '.*saved': ") as caught:
        open_dataset(tmp_path / "saved")
    assert "\n" not in str(caught.value)
    assert is_user_error(caught.value)


@pytest.mark.parametrize(("name", "content"), [("empty.json", b""), ("utf16.csv", "a,b\n1,2".encode("utf-16"))])
def test_a_file_that_holds_no_rows_is_named_on_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"^cannot open '.*{name}': ") as caught:
        open_dataset(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_target_rows_are_named_as_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("vectors.npy", np.eye(3))
    assert open_target("7") == [7]
    assert open_target("3,17") == [3, 17]
    assert open_target("vectors.npy").tolist() == np.eye(3).tolist()
    assert open_target([3, 17]) == [3, 17]
    images(3).save_to_disk("7")  # what is there is opened
    assert len(open_target("7")) == 3
    (tmp_path / "broken.npy").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"^'broken.npy' is not an array"):
        open_target("broken.npy")


def test_what_is_no_path_and_no_array(tmp_path):
    with pytest.raises(ValueError, match=r"^path=5; give a path$"):
        open_dataset(5)
    (tmp_path / "empty.npy").write_bytes(b"")
    np.savez(tmp_path / "several.npz", a=np.eye(2), b=np.eye(2))
    for name, said in (("empty.npy", "is not an array"), ("several.npz", "holds several arrays")):
        with pytest.raises(ValueError, match=f"{said}: give a .npy file"):
            read_inputs({"embeddings": tmp_path / name})


def test_pieces_are_in_the_order_asked_for(numbers, tmp_path):
    opened = open_dataset(tmp_path / "saved", split="train[5:]+train[:5]")
    assert values(opened) == values(concatenate_datasets([numbers.select(range(5, 10)), numbers.select(range(5))]))
