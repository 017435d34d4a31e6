import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict

import hf_prune
from hf_prune.cli import main
from hf_prune.hub import croissant, manifest
from hf_prune.hub.card import build_card
from hf_prune.hub.verify import verify
from tests.tiny_publications import NAMES, SOURCE, images, pruned, scored

CUT = "prototypes-keep0.5"
SHARD = f"{CUT}/train-00000-of-00001.parquet"
TABLE = "scores/train-00000-of-00001.parquet"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Two cuts and the scores of one source, side by side."""
    folder = tmp_path_factory.mktemp("published") / "out"
    ds = scored(images(20))
    easy = ds.prune("prototypes", keep=4, order="easy")
    hf_prune.export(easy, folder, source="local", scores=ds, what="scores")
    kept = ds.prune("prototypes", keep=0.5, order="hard", class_balance=0.5)
    return hf_prune.export(kept, folder, source="local", scores=ds, what="scores")


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "copy")


def differing(report):
    return [f"{finding.subject}: {finding.said}" for finding in report.differences]


def signed_again(folder, change=None):
    """Make record and card fit the files, as somebody would who wants to hide what was done to them."""
    path = folder / "provenance.json"
    records = json.loads(path.read_text())["configs"]
    if change is not None:
        change(records)
    readme = (folder / "README.md").read_text()
    for name, record in records.items():
        for file in record["files"]:
            record["files"][file] = manifest.file_entry(folder / file)
        record["download_size"] = sum(file["size"] for file in record["files"].values())
        records[name] = manifest.seal({key: value for key, value in record.items() if key != "record_sha256"})
    for name in sorted(records, key=lambda name: name == CUT):
        readme = build_card(records[name], readme, records)
    (folder / "croissant.json").write_text(croissant.croissant(records))
    path.write_text(manifest.dump(records))
    (folder / "README.md").write_text(readme)


def rewritten(path, change):
    """Write a Parquet file anew, its table changed and its features kept."""
    table = pq.read_table(path)
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), path)


def test_what_was_published_verifies(original):
    report = verify(original)
    assert report.exit_code == 0, str(report)
    said = str(report)
    for checked in ("digest of the images in their order", "rows per class", f"kept rows of '{CUT}'", "3 features"):
        assert checked in said
    assert said.splitlines()[-1] == f"{original}: all {said.count('same  ')} checks agree"


def every_file(original):
    return sorted(path.relative_to(original).as_posix() for path in original.rglob("*") if path.is_file())


def test_a_changed_byte_in_any_file_is_found(original, tmp_path):
    random = np.random.default_rng(0)
    for number, name in enumerate(every_file(original)):
        data = (original / name).read_bytes()
        begin = data.index(b"## How") if name == "README.md" else 0  # the words before are the owner's
        for place in random.integers(begin, len(data), 4).tolist():
            copy = shutil.copytree(original, tmp_path / f"{number}-{place}", dirs_exist_ok=True)
            (copy / name).write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            report = verify(copy)
            assert report.exit_code == 1, f"{name} at {place}: {report}"
            assert any(name.split("/")[0] in line or CUT in line for line in differing(report)), differing(report)


def test_a_header_that_says_something_else_is_found(folder):
    readme = folder / "README.md"
    readme.write_text(readme.read_text().replace("num_examples: 10", "num_examples: 11"))
    assert differing(verify(folder)) == ["README.md: line 34 is not what the records say"] or "README.md" in str(
        differing(verify(folder))
    )


def test_words_of_the_owner_are_no_difference(folder):
    readme = folder / "README.md"
    text = readme.read_text().replace("---\n", "---\nlicense: mit\npretty_name: Mine\n", 1)
    readme.write_text(f"{text}\nWords of my own.\n")
    report = verify(folder)
    assert report.exit_code == 0, str(report)
    assert "words outside the sections of hf_prune are the owner's and have no digest" in str(report)


@pytest.mark.parametrize("name", ["README.md", "croissant.json", SHARD, TABLE])
def test_a_file_that_is_gone_is_found(folder, name):
    (folder / name).unlink()
    assert f"{name}: it is gone" in differing(verify(folder))


def test_a_file_that_would_be_loaded_with_the_others_is_found(folder):
    shutil.copy(folder / SHARD, folder / CUT / "train-00001-of-00002.parquet")
    shutil.copy(folder / SHARD, folder / "notes.parquet")
    report = verify(folder)
    assert any("it would be loaded with the others" in line for line in differing(report))
    assert "note         notes.parquet: no record has it" in str(report)


def test_a_reordered_split_is_found_even_if_signed_again(folder):
    rewritten(folder / SHARD, lambda table: table.take(pa.array([1, 0, *range(2, 10)])))
    assert any(line.startswith(f"{SHARD}: ") for line in differing(verify(folder)))
    signed_again(folder)
    assert [line.partition(": recorded")[0] for line in differing(verify(folder))] == [
        f"{CUT}/train: digest of the images in their order",
        f"{CUT}/train: content keys of the rows in their order: 2 differ from 'scores' (first: row 0)",
        f"{CUT}/train: scores 'prototypes' of the rows: 2 differ from 'scores' (first: row 0)",
    ]


def test_a_reordered_split_of_texts_is_found_by_its_scores(tmp_path):
    ds = scored(Dataset.from_dict({"text": [f"text {row}" for row in range(12)]}), "margin")
    kept = ds.prune("margin", keep=6, order="hard")
    folder = hf_prune.export(kept, tmp_path / "out", source="local", scores=ds, what="scores")
    assert verify(folder).exit_code == 0
    shard = folder / "margin-keep6/train-00000-of-00001.parquet"
    rewritten(shard, lambda table: table.take(pa.array([0, 1, 2, 3, 5, 4])))
    signed_again(folder)
    found = differing(verify(folder))
    assert (
        "margin-keep6/train: content keys of the rows in their order: 2 differ from 'scores' (first: row 4)" in found
    )


@pytest.mark.parametrize("rows", [9, 11])
def test_a_changed_number_of_rows_is_found(folder, rows):
    rewritten(folder / SHARD, lambda table: pa.concat_tables([table, table]).slice(0, rows))
    signed_again(folder)
    assert f"{CUT}/train: 10 rows: recorded 10, found {rows}" in differing(verify(folder))

    def count_too(records):
        records[CUT]["splits"]["train"]["rows"] = rows

    signed_again(folder, count_too)
    assert f"{CUT}/train: {rows} rows are published, the last step left 10" in differing(verify(folder))


def test_rows_taken_away_after_pruning_are_found(tmp_path):
    fewer = pruned(images(20)).select(range(8))
    report = verify(hf_prune.export(fewer, tmp_path / "out", source="local"))
    assert differing(report) == [f"{CUT}/train: 8 rows are published, the last step left 10"]


def test_rows_exchanged_after_pruning_cannot_be_told(tmp_path):
    other = pruned(images(20)).select(range(9, -1, -1))
    report = verify(hf_prune.export(other, tmp_path / "out", source="local"))
    assert report.exit_code == 2, str(report)
    assert "cannot tell  prototypes-keep0.5/train: the rows were changed outside hf_prune" in str(report)


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
        ("content_sha256", None),
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


def without(record):
    return {key: value for key, value in record.items() if key != "record_sha256"}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("rows_sha256", "0" * 64, "digest of the row numbers"),
        ("content_sha256", "0" * 64, "digest of the images in their order"),
        ("steps.1.rows", "AAAA", "the record is damaged"),
        ("steps.1.rows_sha256", "0" * 64, "the row numbers of the pruning by 'prototypes' do not have its digest"),
        ("class_counts.classes.0.2", 5, "rows per class"),
        ("class_counts.classes.0.1", 8, "rows per class before: 21 of 20"),
        ("steps.1.rows_out", 11, "10 rows are published, the last step left 11"),
        ("steps", [{"kind": "prune"}], "the record is damaged"),
        ("steps", "text", "the record is damaged"),
        ("data_files", [], "has no data file"),
        ("rows", "10", "the record is damaged"),
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
    assert f"{CUT}/train: features of {SHARD}: ['label'] are not those of the record" in differing(verify(folder))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "provenance.json is no JSON"),
        ("[]", "was not written by hf_prune"),
        ('{"schema": 2, "configs": {}}', "describes nothing that can be read"),
        ('{"schema": 2, "configs": {"default": 3}}', "describes nothing that can be read"),
    ],
)
def test_a_destroyed_record_is_found(folder, text, said):
    (folder / "provenance.json").write_text(text)
    report = verify(folder)
    assert report.exit_code == 1
    assert said in str(report)


def test_what_cannot_be_told(folder, tmp_path, capsys):
    path = folder / "provenance.json"
    former = json.loads(path.read_text()) | {"schema": 1}
    for record in former["configs"].values():
        del record["record_sha256"], record["files"]
    path.write_text(json.dumps(former))
    assert "cannot tell  provenance.json: schema 1 has no digests of files" in str(verify(folder))
    path.write_text(json.dumps(former | {"schema": 99}))
    with pytest.raises(ValueError, match="has schema 99, this hf_prune knows"):
        verify(folder)
    assert main(["verify", str(folder)]) == 2
    assert main(["verify", str(tmp_path)]) == 2
    assert "was not published by hf_prune" in capsys.readouterr().err


def test_exit_codes_and_lines_of_the_command(original, folder, capsys):
    assert main(["verify", str(original)]) == 0
    assert capsys.readouterr().out == f"{verify(original)}\n"
    (folder / SHARD).write_bytes(b"PAR1")
    assert main(["verify", str(folder)]) == 1
    assert f"differs      {SHARD}: it has 4 bytes instead of" in capsys.readouterr().out


def test_a_dict_with_an_empty_split_and_one_that_was_not_pruned(tmp_path):
    splits = DatasetDict(train=scored(images(20)), test=images(4), validation=images(0))
    kept = splits.prune("prototypes", keep=0.5, order="hard")
    with pytest.warns(UserWarning, match="left out because empty"):
        folder = hf_prune.export(kept, tmp_path / "out", source="local")
    assert verify(folder).exit_code == 0, str(verify(folder))


def test_row_numbers_without_rows(tmp_path):
    ds = scored(images(20))
    folder = hf_prune.export(pruned(images(20)), tmp_path / "out", source=SOURCE, scores=ds, what="rows")
    report = verify(folder)
    assert report.exit_code == 0, str(report)
    assert "source uoft-cs/cifar10@0123456789abcdef0123456789abcdef01234567: the Hub could not be asked" in str(report)
