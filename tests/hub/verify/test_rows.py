import json

import numpy as np
import pyarrow as pa
import pytest
from datasets import ClassLabel, List, Value

from hf_prune.hub import manifest
from hf_prune.hub.verify.verify import verify
from tests.helpers.tampered import CUT, SHARD, TABLE, differing, rewritten, signed_again
from tests.helpers.tiny_publications import NAMES, images, publish_cut, records, scored

pytest_plugins = ["tests.helpers.tampered"]


def edit(records, name, value):
    target = records[CUT]["splits"]["train"]
    *path, last = name.split(".")
    for key in path:
        target = target[int(key) if key.isdecimal() else key]
    target[int(last) if last.isdecimal() else last] = value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps.1.order", "easy"),
        ("steps.0.options", {"num_prototypes": 7}),
        ("source", {"known": "local", "x": 1}),
        ("rows_sha256", "0" * 64),
        ("images_sha256", None),
    ],
)
def test_an_edited_record_is_found(folder, name, value):
    path = folder / "provenance.json"
    records = json.loads(path.read_text())["configs"]
    edit(records, name, value)
    path.write_text(manifest.dump(records))
    found = differing(verify(folder))
    assert found[0].startswith(f"{CUT}: SHA-256 of the record: recorded ")
    # Signed again, it is not the one that the card shows.
    path.write_text(manifest.dump({key: manifest.seal(without(record)) for key, record in records.items()}))
    assert "README.md: it does not show the SHA-256 of the record" in differing(verify(folder))[0]


def test_a_record_that_lacks_what_the_card_shows_is_found(folder):
    path = folder / "provenance.json"
    records = json.loads(path.read_text())["configs"]
    del records[CUT]["splits"]["train"]["images_sha256"]
    path.write_text(manifest.dump({key: manifest.seal(without(record)) for key, record in records.items()}))
    assert "README.md: it cannot be rendered again" in "\n".join(differing(verify(folder)))


def without(record):
    return {key: value for key, value in record.items() if key != "record_sha256"}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("rows_sha256", "0" * 64, "digest of the row numbers"),
        ("images_sha256", "0" * 64, "digest of the images in their order"),
        ("steps.1.rows", "AAAA", "the record is damaged"),
        ("steps.1.rows_sha256", "0" * 64, "the row numbers of the pruning by 'prototypes' do not have its digest"),
        ("class_counts.classes.0.2", 5, "rows per class"),
        ("class_counts.classes.0.1", 8, "rows per class before: 21 of 20"),
        ("steps.1.rows_out", 11, "10 rows are published, the last step left 11"),
        ("steps", [{"kind": "prune"}], "the record is damaged"),
        ("steps", "text", "which it cannot be"),
        ("data_files", [], "has no data file"),
        ("rows", "10", "which it cannot be"),
    ],
)
def test_what_the_files_tell_otherwise_is_found(folder, name, value, said):
    path = folder / "provenance.json"
    records = json.loads(path.read_text())["configs"]
    edit(records, name, value)
    path.write_text(manifest.dump({key: manifest.seal(without(record)) for key, record in records.items()}))
    assert any(said in line for line in differing(verify(folder))), str(verify(folder))


@pytest.mark.parametrize(
    ("column", "change", "said"),
    [
        ("kept", lambda values: [not values[0], *values[1:]], f"kept rows of '{CUT}': 1 rows differ from the record"),
        ("reason", lambda values: ["because", *values[1:]], f"reasons of '{CUT}': 1 rows differ from the record"),
        ("row", lambda values: values[::-1], "are not 0 … 19 in this order"),
        ("content_key", lambda values: values[::-1], "digest of the content keys in their order"),
    ],
)
def test_scores_that_tell_otherwise_are_found(folder, column, change, said):
    def with_column(table):
        place = table.column_names.index(column)
        values = pa.array(change(table.column(column).to_pylist()), table.schema.field(column).type)
        return table.set_column(place, table.schema.field(column), values)

    rewritten(folder / TABLE, with_column)
    signed_again(folder)
    assert any(said in line for line in differing(verify(folder))), str(verify(folder))


def test_other_features_are_found(folder):
    from datasets import ClassLabel, load_dataset

    ds = load_dataset("parquet", data_files=str(folder / SHARD), split="train")
    ds.cast_column("label", ClassLabel(names=NAMES[::-1])).to_parquet(folder / SHARD)
    signed_again(folder)
    assert f"{CUT}/train: features of {SHARD}: 'label' are not those of the record" in differing(verify(folder))


def test_classes_of_rows_that_have_several_are_counted_again(tmp_path):
    kinds = {
        "tags": (List(ClassLabel(names=NAMES)), [[row % 3, 2] for row in range(12)]),
        "price": (Value("float32"), np.arange(12.0).tolist()),
    }
    for column, (feature, values) in kinds.items():
        ds = scored(images().remove_columns("label").add_column(column, values, feature=feature))
        folder = publish_cut(ds, tmp_path / column, what="split", class_balance=1.0, label_column=column)
        assert verify(folder).exit_code == 0
        changed = records(folder)
        counts = next(iter(changed.values()))["splits"]["train"]["class_counts"]
        assert counts["label_column"] == column
        counts["classes"][0][2] += 1
        sealed = {key: manifest.seal(without(record)) for key, record in changed.items()}
        (folder / "provenance.json").write_text(manifest.dump(sealed))
        assert "rows per class" in "\n".join(differing(verify(folder)))
