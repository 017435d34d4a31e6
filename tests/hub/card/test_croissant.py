"""``croissant.json`` is valid, its rows are those that were published, and its lineage names source, commit and activity."""

import json
import logging

import mlcroissant
import pytest
from datasets import Dataset, load_dataset

from hf_prune.hub.card.build import build_card
from hf_prune.hub.card.croissant import croissant
from hf_prune.hub.layout import CROISSANT_FILE
from hf_prune.hub.manifest import parse
from hf_prune.hub.publish.export import export
from tests.helpers.card_records import CITATION, ensembles, nasty_record, prototypes
from tests.helpers.tiny_publications import COMMIT, SOURCE, images, scored

URL = f"https://huggingface.co/datasets/uoft-cs/cifar10/tree/{COMMIT}"


def checked(text: str, tmp_path) -> mlcroissant.Dataset:
    """Read by the reference implementation, which raises where the file is not valid."""
    path = tmp_path / CROISSANT_FILE
    path.write_text(text)
    found = mlcroissant.Dataset(jsonld=str(path))
    assert not found.metadata.ctx.issues.errors
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A cut of two shards with the scores of all rows, and a column of a kind that Croissant has no name for."""
    ds = scored(images(30)).add_column("pair", [[1, 2]] * 30)
    kept = ds.prune("prototypes", keep=0.5, order="hard")
    place = tmp_path_factory.mktemp("published") / "out"
    return export(kept, place, source=SOURCE, scores=ds, what="scores", max_shard_size=500)


def test_the_published_rows_are_read_from_it(folder):
    logging.getLogger("absl").setLevel(logging.ERROR)  # recommends a date, which would differ from run to run
    found = mlcroissant.Dataset(jsonld=str(folder / CROISSANT_FILE))
    kept = list(found.records("prototypes-keep0.5"))
    every = list(found.records("scores"))
    published = load_dataset(str(folder), "prototypes-keep0.5", split="train", cache_dir=str(folder.parent / "cache"))
    assert len(every) == 30
    assert [row["scores/row"] for row in every] == list(range(30))
    assert [row["prototypes-keep0.5/label"] for row in kept] == published["label"][:]
    assert [row["prototypes-keep0.5/image"].tobytes() for row in kept] == [row.tobytes() for row in published["image"]]
    (described,) = [rows for rows in found.metadata.record_sets if rows.id == "prototypes-keep0.5"]
    assert described.description == "Rows of prototypes-keep0.5 (train 15). Columns not described: pair."


def test_lineage_names_source_commit_and_activity(folder):
    found = json.loads((folder / CROISSANT_FILE).read_text())
    assert found["prov:wasDerivedFrom"] == [
        {"@type": "prov:Entity", "@id": URL, "prov:label": f"uoft-cs/cifar10 at commit {COMMIT}"}
    ]
    activities = {node["@id"]: node for node in found["prov:wasGeneratedBy"]}
    pruning = activities["activity/prototypes-keep0.5/train/2"]
    assert pruning["@type"] == "prov:Activity"
    assert pruning["prov:label"] == "pruned by prototypes, 15 of 30 rows kept"
    assert pruning["prov:used"] == [{"@id": URL}]
    assert pruning["prov:wasInformedBy"] == {"@id": "activity/prototypes-keep0.5/train/1"}
    assert pruning["prov:wasAssociatedWith"]["prov:label"].startswith("hf-prune ")
    records = parse((folder / "provenance.json").read_text())
    digests = {node["contentUrl"]: node.get("sha256") for node in found["distribution"] if "contentUrl" in node}
    assert digests == {path: file["sha256"] for record in records.values() for path, file in record["files"].items()}
    assert (folder / CROISSANT_FILE).read_text() == croissant(records)


def test_a_repository_on_the_hub_and_the_models_that_were_used(tmp_path):
    record = ensembles(tmp_path) | {"repo_id": "somebody/kept"}
    found = checked(croissant({"default": record}), tmp_path)
    assert found.metadata.url == "https://huggingface.co/datasets/somebody/kept"
    text = json.loads(croissant({"default": record}))
    used = [step.get("prov:used", []) for step in text["prov:wasGeneratedBy"]]
    assert used[0] == [{"@id": URL}, {"@id": f"https://huggingface.co/facebook/dino-vits16/tree/{'c' * 40}"}]


def test_licence_and_citation_of_the_source(tmp_path):
    found = checked(croissant({"default": prototypes(tmp_path)}), tmp_path)
    assert found.metadata.license == ["mit"]
    assert found.metadata.cite_as == CITATION


def test_names_that_try_to_be_more_than_text(tmp_path):
    found = checked(croissant({"default": nasty_record(tmp_path)}), tmp_path)
    (rows,) = found.metadata.record_sets
    assert len(rows.fields) == 3


def test_a_record_that_was_edited_is_left_out(tmp_path):
    record = prototypes(tmp_path)
    for broken in ({}, [], {"splits": 3}, record | {"splits": {"train": {}}}, record | {"features": 3}):
        assert croissant({"a": broken, "default": record}) == croissant({"default": record})
    for broken in ({}, [], {"splits": 3}, record | {"splits": {"train": {}}}):
        assert "## Configurations" not in build_card(record, None, {"a": broken, "default": record})
    assert "recordSet" not in json.loads(croissant({}))


def test_a_local_source_has_no_lineage_but_its_activity(tmp_path):
    folder = export(
        Dataset.from_dict({"x": [1.0, 2.0]}).prune("x", keep=1, order="hard"), tmp_path / "o", source="local"
    )
    text = (folder / CROISSANT_FILE).read_text()
    assert "wasDerivedFrom" not in text
    assert json.loads(text)["prov:wasGeneratedBy"][0]["prov:label"] == "pruned by x, 1 of 2 rows kept"
    checked(text, tmp_path)
