"""A published folder to tamper with, and ways to hide it; a plugin of the tests that look for it."""

import json
import shutil

import pyarrow.parquet as pq
import pytest

import hf_prune
from hf_prune.hub import manifest
from hf_prune.hub.card import croissant
from hf_prune.hub.card.build import build_card
from hf_prune.runtime.integrity import file_entry
from tests.helpers.tiny_publications import images, scored

CUT = "prototypes-keep0.5"
SHARD = f"{CUT}/train-00000-of-00001.parquet"
TABLE = "scores/train-00000-of-00001.parquet"


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    """Two cuts and the scores of one source, side by side."""
    return publish(tmp_path_factory.mktemp("published") / "out", scored(images(20)))


def publish(folder, ds):
    easy = ds.prune("prototypes", keep=4, order="easy")
    hf_prune.export(easy, folder, source="local", scores=ds, what="scores")
    kept = ds.prune("prototypes", keep=0.5, order="hard", class_balance=0.5)
    return hf_prune.export(kept, folder, source="local", scores=ds, what="scores")


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "copy")


def differing(report):
    return [f"{finding.subject}: {finding.text}" for finding in report.differences]


def signed_again(folder, change=None):
    """Make record and card fit the files, as somebody would who wants to hide what was done to them."""
    path = folder / "provenance.json"
    records = json.loads(path.read_text())["configs"]
    if change is not None:
        change(records)
    readme = (folder / "README.md").read_text()
    for name, record in records.items():
        for file in record["files"]:
            record["files"][file] = file_entry(folder / file)
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
