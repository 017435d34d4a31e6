import io

import PIL.Image
import pyarrow as pa
import pytest
from datasets import Dataset, Features, Image, concatenate_datasets
from datasets.info import DatasetInfo

from hf_prune.data.images import EncodedImages
from tests.helpers.table_layouts import shapes_of
from tests.helpers.tiny_sets import make_set, noise, set_of_files

LAYOUTS = list(shapes_of(make_set(noise(8))))


def views(images):
    return [None if view is None else bytes(view) for _, block in images.embedded() for view in block]


def runs(images):
    """Every row's bytes, cut out of those that were lent together."""
    found = []
    for start, lengths, content in images.runs():
        assert start == len(found)
        ends = lengths.clip(0).cumsum()
        assert ends[-1] == len(content or b"")
        for length, end in zip(lengths.tolist(), ends.tolist(), strict=True):
            found.append(None if length < 0 else bytes(content[end - length : end]))
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_are_read_in_the_order_shown(layout):
    encoded = noise(8)
    encoded[6] = None
    ds, rows = shapes_of(make_set(encoded))[layout]
    images = EncodedImages(ds, "image")
    assert len(images) == len(rows)
    assert views(images) == [encoded[row] for row in rows]
    for place, row in enumerate(rows):
        assert images.is_null(place) == (row == 6)
        if row == 6:
            with pytest.raises(ValueError, match=rf"^row {place} has no image \(null\)$"):
                images[place]
        else:
            assert images[place] == encoded[row]
            assert images.is_embedded(place)
    assert runs(images) == [encoded[row] for row in rows]
    assert images.lengths().tolist() == [len(encoded[row] or b"") for row in rows]
    assert [images.length(row) for row in range(len(rows))] == images.lengths().tolist()


def test_images_by_path_are_read_from_their_files(tmp_path):
    encoded = noise(4)
    ds = set_of_files(tmp_path, encoded).select([2, 0, 3])
    images = EncodedImages(ds, "image")
    assert [images[row] for row in range(3)] == [encoded[row] for row in (2, 0, 3)]
    assert not any(images.is_embedded(row) or images.is_null(row) for row in range(3))
    assert images.path(1) == str(tmp_path / "0.png")
    assert images.lengths().tolist() == [len(encoded[row]) for row in (2, 0, 3)]
    (tmp_path / "0.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"0\.png"):
        images[1]
    assert images.lengths()[1] == 0
    assert (images.outside(0), views(images), runs(images)) == (encoded[2], [None] * 3, [None] * 3)
    with pytest.raises(FileNotFoundError, match=r"^row 1, column 'image': .*0\.png"):
        images.outside(1)


def test_an_image_that_was_read_lazily_keeps_its_bytes_and_mode():
    ds = make_set(noise(2)).cast_column("image", Image(decode=False))
    assert EncodedImages(ds, "image")[1] == noise(2)[1]
    assert EncodedImages(ds, "image").decode_mode is None
    assert EncodedImages(ds.cast_column("image", Image(mode="L")), "image").decode_mode == "L"


def test_pillow_images_were_encoded_by_datasets():
    picture = PIL.Image.new("RGB", (3, 2), "red")
    ds = Dataset.from_dict({"image": [picture]}, features=Features({"image": Image()}))
    assert PIL.Image.open(io.BytesIO(EncodedImages(ds, "image")[0])).size == (3, 2)


def test_a_null_row_is_null_whatever_its_fields_hold():
    fields = [pa.array([b"seen", b"hidden"]), pa.array([None, None], pa.string())]
    column = pa.StructArray.from_arrays(fields, names=["bytes", "path"], mask=pa.array([False, True]))
    ds = Dataset(pa.table({"image": column}), info=DatasetInfo(features=Features({"image": Image()})))
    images = EncodedImages(ds, "image")
    assert (images[0], images.is_null(1), images.lengths().tolist()) == (b"seen", True, [4, 0])
    assert views(images) == runs(images) == [b"seen", None]
    assert images.outside(1) is None


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_views_of_slices_of_both_widths_of_offsets(kind):
    fields = [pa.array([b"a", b"bc", None, b"", b"def"], kind), pa.array([None] * 5, pa.string())]
    column = pa.chunked_array([pa.StructArray.from_arrays(fields, names=["bytes", "path"]).slice(1)] * 2)
    ds = Dataset(pa.table({"image": column}))
    ds.info.features = Features({"image": Image()})
    images = EncodedImages(ds, "image")
    assert views(images) == runs(images) == [b"bc", None, b"", b"def"] * 2


def test_what_lies_together_is_lent_together():
    images = [b"ab", b"c", None, b"", b"def", b"g"]
    ds = concatenate_datasets([make_set(images), make_set(images)])
    whole = [(start, lengths.tolist(), content) for start, lengths, content in EncodedImages(ds, "image").runs()]
    parts = [(0, [2, 1], b"abc"), (2, [-1], None), (3, [0, 3, 1], b"defg")]
    assert whole == [*parts, *((start + 6, lengths, content) for start, lengths, content in parts)]
    picked = EncodedImages(ds.select([4, 5, 0, 1, 1]), "image").runs()
    assert [(start, bytes(content)) for start, _, content in picked] == [(0, b"defg"), (2, b"abc"), (4, b"c")]


def test_runs_go_on_over_blocks():
    contents = [bytes([number % 256]) * (number % 5) for number in range(2000)]
    assert runs(EncodedImages(make_set(contents), "image")) == contents


def test_views_of_nothing():
    assert views(EncodedImages(make_set(noise(2)).select([]), "image")) == []


def test_a_row_that_does_not_exist():
    images = EncodedImages(make_set(noise(2)), "image")
    for row in (2, -1):
        with pytest.raises(IndexError, match=rf"^row {row} of 2$"):
            images[row]


def test_the_bytes_are_not_copied_when_a_column_is_opened():
    ds = make_set(noise(8)).select([5, 1, 2])
    before = pa.total_allocated_bytes()
    images = EncodedImages(ds, "image")
    assert pa.total_allocated_bytes() - before < len(noise(8)[0])
    assert len(images) == 3
