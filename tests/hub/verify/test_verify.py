import base64
import json
import re
import shutil
import zlib
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset, DatasetDict

import hf_prune
from hf_prune.cli import main
from hf_prune.hub import manifest
from hf_prune.hub.manifest import seal
from hf_prune.hub.verify.verify import verify
from tests.helpers.tampered import CUT, SHARD, TABLE, differing, rewritten, signed_again
from tests.helpers.tiny_publications import SOURCE, images, pruned, scored

pytest_plugins = ["tests.helpers.tampered"]


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
            named = (name.split("/")[0], CUT, "scores")
            assert any(word in line for line in differing(report) for word in named), differing(report)


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
    folder = hf_prune.export(fewer, tmp_path / "out", source="local")
    assert "They were changed outside hf_prune" in (folder / "README.md").read_text()
    report = verify(folder)
    assert differing(report) == []
    assert report.exit_code == 2
    assert f"{CUT}/train: the rows were changed outside hf_prune" in str(report)


def test_rows_exchanged_after_pruning_cannot_be_told(tmp_path):
    other = pruned(images(20)).select(range(9, -1, -1))
    report = verify(hf_prune.export(other, tmp_path / "out", source="local"))
    assert report.exit_code == 2, str(report)
    assert "cannot tell  prototypes-keep0.5/train: the rows were changed outside hf_prune" in str(report)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "provenance.json is no JSON"),
        ("[]", "was not written by hf_prune"),
        ('{"schema": 3, "configs": {}}', "describes nothing that can be read"),
        ('{"schema": 3, "configs": {"default": 3}}', "describes nothing that can be read"),
    ],
)
def test_a_destroyed_record_is_found(folder, text, said):
    (folder / "provenance.json").write_text(text)
    report = verify(folder)
    assert report.exit_code == 1
    assert said in str(report)


def test_a_record_of_an_earlier_version(folder):
    path = folder / "provenance.json"
    former = json.loads(path.read_text()) | {"schema": 2}
    for name, record in former["configs"].items():
        for entry in record["splits"].values():
            entry["content_sha256"] = entry.pop("images_sha256")
        former["configs"][name] = seal(record)
    path.write_text(json.dumps(former))
    report = str(verify(folder))
    assert (
        "cannot tell  provenance.json: schema 2 has no digests of images that can be checked: publish again" in report
    )
    assert "digest of the images" not in report


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


STARS = "*a" * 400 + "b"


def steps_of(records):
    return [step for record in records.values() for step in record["splits"]["train"]["steps"]]


def many_rows(records):
    for step in steps_of(records):
        step["rows_in"] = 10**10


def only_scored(records):
    for record in records.values():
        for step in record["splits"]["train"]["steps"]:
            step["rows_out"] = step["rows_in"] = 10**10
        record["splits"]["train"]["steps"] = record["splits"]["train"]["steps"][:1]


def all_kept(records):
    for step in steps_of(records):
        if step["kind"] == "prune":
            step["rows"] = base64.b64encode(zlib.compress(b"\xff" * (1 << 23))).decode()
            step["rows_in"] = step["rows_out"] = 1 << 26


def starred(records):
    for record in records.values():
        record["splits"]["train"]["data_files"] = [STARS]


def renamed(records):
    records["x\x1b[2K\rall 21 checks agree"] = records.pop(CUT)


@pytest.mark.parametrize("change", [many_rows, only_scored, all_kept, starred, renamed])
@pytest.mark.parametrize("call", [verify, *(getattr(hf_prune, name) for name in ("load_scores", "apply", "rebuild"))])
def test_a_record_of_a_few_kilobytes_takes_no_more_than_others(folder, tmp_path, change, call):
    records = json.loads((folder / "provenance.json").read_text())["configs"]
    change(records)
    sealed = {
        name: manifest.seal({k: v for k, v in one.items() if k != "record_sha256"}) for name, one in records.items()
    }
    (folder / "provenance.json").write_text(manifest.dump(sealed))
    more = {verify: (), hf_prune.rebuild: (tmp_path / "out",)}.get(call, (images(20),))
    keywords = {"source": images(20)} if call is hf_prune.rebuild else {}
    try:
        said = call(folder, *more, **keywords)
    except ValueError as error:
        said = str(error)
        assert said.isprintable()
    if call in (verify, hf_prune.rebuild) and not isinstance(said, str):
        assert said.exit_code
        assert all(line.isprintable() for line in str(said).split("\n"))


@pytest.mark.parametrize(
    "header",
    [
        "a: &a [x]\n" + "".join(f"{n}: &{n} [{', '.join([f'*{m}'] * 9)}]\n" for m, n in pairwise("abcdefghij")),
        "a: &a {x: 1}\nb: {<<: [*a, *a]}\n",
        "x: " + "[" * 3000,
        f"x: {'a' * 2_100_000}",
    ],
)
def test_a_header_that_multiplies(folder, header):
    (folder / "README.md").write_text(f"---\n{header}\n---\n")
    said = [finding.text for finding in verify(folder).differences if finding.subject == "README.md"]
    assert re.fullmatch(r"the header of README.md cannot be read \([ -~…]+\): repair its YAML first", said[-1])
