"""Rows of a training, as the record of its model names them."""

import json
import shutil

import pytest
from datasets import Dataset

import hf_prune
from hf_prune import export_teacher
from hf_prune.hub.models.rows import ROW_FIELDS, describe_trained_rows
from tests.helpers.tiny_publications import SOURCE, entry, images, pruned, records, scored

pytest_plugins = ["tests.helpers.trained_teacher"]


def test_a_published_cut_is_named_and_compared(teachers, kept, tmp_path):
    published = hf_prune.export(kept, tmp_path / "cut", source=SOURCE)
    cut = f"{published}:hardness-keep16"
    folder = export_teacher(teachers, tmp_path / "out", trained_on=kept, cut=cut)
    card, data = (folder / "README.md").read_text(), json.loads((folder / "training.json").read_text())["data"]
    digest = json.loads((published / "provenance.json").read_text())["configs"]["hardness-keep16"]["record_sha256"]
    assert f"configuration `hardness-keep16`, split `train`, of a folder, SHA-256 of its record `{digest}`" in card
    assert (data["published"]["folder"], data["published"]["record_sha256"]) == ("cut", digest)
    assert str(tmp_path) not in json.dumps(data)
    turned = kept.select(range(15, -1, -1))
    place = tmp_path / "alone"
    shutil.copytree(teachers.folders[0], place)
    with pytest.raises(ValueError, match="other images, or in another order, than configuration 'hardness-keep16'"):
        export_teacher(place, tmp_path / "x", trained_on=turned, cut=cut)
    with pytest.raises(ValueError, match=r"trained_on has 15 rows .* has 16 rows"):
        export_teacher(place, tmp_path / "x", trained_on=kept.select(range(15)), cut=cut)
    assert not (tmp_path / "x").exists()


CUT = "prototypes-keep0.5"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A cut with its rows, and the same as row numbers alone."""
    ds, folder = scored(images(20)), tmp_path_factory.mktemp("rows")
    kept = ds.prune("prototypes", keep=0.5, order="hard")
    hf_prune.export(kept, folder / "numbers", source=SOURCE, scores=ds, what="rows")
    return hf_prune.export(kept, folder / "rows", source=SOURCE)


def described(ds, cut=None, source=None):
    return describe_trained_rows(ds, cut, source, None)


def test_rows_with_a_history_are_described_by_it(published):
    kept = pruned(images(20))
    found = described(kept, source=SOURCE)
    assert (found["split"], found["published"]) == ("train", None)
    expected = {name: value for name, value in entry(published).items() if name in ROW_FIELDS}
    steps = expected.pop("steps")
    assert {name: value for name, value in found["entry"].items() if name != "steps"} == expected
    assert [step["kind"] for step in found["entry"]["steps"]] == [step["kind"] for step in steps]
    assert described(images(20).select(range(3)), source="local")["entry"]["rows"] == 3
    with pytest.raises(ValueError, match="does not say where it came from") as error:
        described(kept)
    assert "\n" not in str(error.value)


def test_a_split_goes_by_its_name_without_the_slice():
    ds = Dataset.from_dict({"x": [1.0]}, split="validation[:50%]")
    assert described(ds, source="local")["split"] == "validation"


def test_rows_of_a_cut_are_described_by_its_record(published):
    found = described(pruned(images(20)), f"{published}:{CUT}")
    assert found["entry"] == {name: value for name, value in entry(published).items() if name in ROW_FIELDS}
    assert found["published"] == {
        "folder": "rows",  # without the path of this machine
        "config": CUT,
        "split": "train",
        "record_sha256": records(published)[CUT]["record_sha256"],
        "holds": "rows",
    }
    assert described(pruned(images(20)), str(published)) == found


def test_row_numbers_are_compared_with_the_images_of_the_source(published):
    numbers = published.parent / "numbers"
    found = described(pruned(images(20)), f"{numbers}:{CUT}")
    assert (found["published"]["holds"], found["entry"]["rows"]) == ("row numbers", 10)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda ds: ds.select(range(9)),
            r"^trained_on has 9 rows and the columns .* has 10 rows with images in 'image'",
        ),
        (lambda ds: ds.remove_columns("image"), r"^trained_on has 10 rows and the columns \['label', 'prototypes'\]"),
        (
            lambda ds: ds.select([1, 0, *range(2, 10)]),
            rf"^trained_on holds other images, or in another order, than configuration '{CUT}' of ",
        ),
        (lambda _: images(10), r"^trained_on holds other images, or in another order"),
    ],
    ids=["fewer", "without images", "reordered", "others"],
)
@pytest.mark.parametrize("place", ["rows", "numbers"])
def test_other_rows_than_those_of_the_cut_are_refused(published, place, change, said):
    with pytest.raises(ValueError, match=said) as error:
        described(change(pruned(images(20))), f"{published.parent / place}:{CUT}")
    assert "\n" not in str(error.value)


def test_a_cut_without_a_digest_of_its_images_cannot_be_compared(tmp_path):
    ds = scored(images().remove_columns("image").add_column("x", list(range(12))))
    folder = hf_prune.export(ds.prune("prototypes", keep=6, order="hard"), tmp_path / "out", source="local")
    with pytest.raises(
        ValueError, match="has no digest of its images to compare with: leave out cut= and name source="
    ):
        described(ds, str(folder))


def test_rows_that_were_changed_before_they_were_published_are_compared_by_position(tmp_path):
    changed = pruned(images(20)).select(range(9, -1, -1))
    folder = hf_prune.export(changed, tmp_path / "out", source="local")
    assert described(changed, str(folder))["entry"]["row_numbers"] == "position in these rows"
    with pytest.raises(ValueError, match="other images, or in another order"):
        described(pruned(images(20)), str(folder))
