"""A format is added by one class, one template and one check of its rows."""

from dataclasses import replace

import jinja2
import pytest
from datasets import Dataset, load_dataset

import hf_prune
from hf_prune.data.history import History
from hf_prune.data.row_keys import row_keys
from hf_prune.hub.card.environment import environment
from hf_prune.hub.formats import FORMATS, WHAT, Format, format_of, is_cut
from hf_prune.hub.publish.export import export
from hf_prune.hub.read.place import open_published
from hf_prune.hub.split import Split
from hf_prune.hub.verify.rows import CHECKS
from tests.helpers.tiny_publications import contents, images, pruned, records, scored


class RowKeys(Format):
    """The content keys of the kept rows, by which whoever has the source finds them."""

    name = "row keys"
    summary = "content keys of the kept rows"
    template = "row_keys.md.jinja"

    def describe(self, own, describe):
        tables, entries = {}, {}
        for name, split in own.splits.items():
            table = Dataset.from_dict({"content_key": row_keys(split.rows)[0].tolist()})
            tables[name] = Split(table, History(()))
            entries[name] = describe(split) | {"image_column": None, "class_columns": []}
        return replace(own, splits=tables, entries=entries)

    def check_replaced(self, new, former):
        if former and new.has_derived_name:
            raise ValueError("keys are published: name these with config_name=")


TEMPLATE = """{% extends "formats/rows.md.jinja" %}
{% block title %}
## Keys of {{ record.config_name | code }}
{% endblock %}
"""


def check_keys(place, config, split, report):
    table = place.read_table(config, split, lambda schema: schema.names)
    report.compare(f"{config}/{split}", "keys", place.entry(config, split)["rows"], len(set(table["content_key"])))


@pytest.fixture
def keys(monkeypatch):
    """The format, wherever a format is entered."""
    found = RowKeys()
    monkeypatch.setitem(FORMATS, found.name, found)
    monkeypatch.setitem(WHAT, "keys", (found,))
    monkeypatch.setitem(CHECKS, found.name, check_keys)
    own = jinja2.DictLoader({f"formats/{found.template}": TEMPLATE})
    monkeypatch.setattr(environment(), "loader", jinja2.ChoiceLoader([own, environment().loader]))
    return found


def test_a_new_format_is_published_and_read(tmp_path, keys):
    kept = pruned(images())
    folder = export(kept, tmp_path / "out", source="local", what="keys")
    record = records(folder)["prototypes-keep0.5"]
    assert (record["holds"], record["splits"]["train"]["rows"]) == (keys.name, 6)
    page = (folder / "README.md").read_text()
    assert "## Keys of `prototypes-keep0.5`\n" in page
    assert "### Steps\n" in page
    assert "hf-prune rebuild" not in page
    assert not any(b"P6 2 2" in content for content in contents(folder).values())
    loaded = load_dataset(str(folder), "prototypes-keep0.5", split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded["content_key"][:] == row_keys(kept)[0].tolist()
    place = open_published(folder)
    assert format_of(place.record("prototypes-keep0.5")) is keys
    assert place.read_table("prototypes-keep0.5", "train", lambda schema: schema.names).num_rows == 6


def test_a_new_format_is_verified_beside_the_others(tmp_path, keys):
    folder = export(pruned(images()), tmp_path / "out", source="local", what="keys")
    with pytest.raises(ValueError, match="keys are published"):
        export(pruned(images()), folder, source="local", what="keys")
    ds = scored(images())
    cut = ds.prune("prototypes", keep=3, order="hard")
    export(cut, folder, source="local", what="rows", scores=ds)
    assert f"| `prototypes-keep0.5` | {keys.summary} | `train` 6 of 12 |" in (folder / "README.md").read_text()
    report = hf_prune.verify(folder)
    assert report.exit_code == 0, str(report)
    assert "prototypes-keep0.5/train: keys" in str(report)
    with pytest.raises(ValueError, match="holds row keys and no cut"):
        hf_prune.apply(folder, images(), config="prototypes-keep0.5")
    assert hf_prune.apply(folder, images())["label"][:] == cut["label"][:]


def test_a_format_of_a_later_version_is_said_to_be_unknown(tmp_path):
    folder = export(pruned(images()), tmp_path / "out", source="local")
    text = (folder / "provenance.json").read_text()
    (folder / "provenance.json").write_text(text.replace('"holds": "rows"', '"holds": "row keys"'))
    (record,) = records(folder).values()
    assert not is_cut(record)
    with pytest.raises(ValueError, match="holds 'row keys', which this hf_prune does not know: upgrade") as error:
        format_of(record)
    assert "\n" not in str(error.value)
    assert "which this hf_prune does not know" in str(hf_prune.verify(folder))


def test_every_format_has_a_check_and_a_template():
    assert CHECKS.keys() == FORMATS.keys()
    for found in FORMATS.values():
        assert environment().get_template(f"formats/{found.template}")
    assert format_of({}).name == "rows"  # of earlier versions
