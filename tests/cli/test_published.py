"""``load-scores`` and ``apply`` on the command line: what others published, put to use on one's own copy."""

import pytest
from datasets import load_from_disk

import hf_prune
from hf_prune.cli import main
from hf_prune.cli.app import command
from tests.helpers.tiny_publications import images, scored

pytest_plugins = ["tests.helpers.command_line"]


@pytest.fixture
def published(place):
    """The scores of the rows in ``data``, and a cut of six of them, in the folder ``there``."""
    ds = scored(images())
    hf_prune.export(ds.prune("prototypes", keep=6, order="hard"), "there", source="local", scores=ds, what="scores")
    return ds


def test_scores_are_put_onto_a_copy_and_cut_at_another_fraction(hf, published):
    assert hf("load-scores there data --out mine") == "mine\n"
    mine = load_from_disk("mine")
    assert mine["prototypes"][:] == published["prototypes"][:]
    assert hf_prune.provenance(mine).steps[-1].inputs["scores"]["published"]["folder"] == "there"
    hf("prune mine prototypes --keep 3 --order hard --out fewer")
    expected = published.prune("prototypes", keep=3, order="hard")
    assert load_from_disk("fewer")["label"][:] == expected["label"][:]


def test_the_same_cut_is_made_of_a_copy(hf, published):
    hf("apply there data --config prototypes-keep6 --out kept")
    kept = load_from_disk("kept")
    assert kept["label"][:] == published.prune("prototypes", keep=6, order="hard")["label"][:]
    assert hf_prune.provenance(kept).steps[-1].inputs["cut"]["published"]["config"] == "prototypes-keep6"


def test_splits_of_both_sides_are_named(hf, published, place):
    images().to_parquet("files/validation.parquet")
    hf("load-scores there files/validation.parquet --published-split train --columns prototypes --out mine")
    assert load_from_disk("mine")["prototypes"][:] == published["prototypes"][:]
    hf("apply there data --published-split train --out kept")
    assert len(load_from_disk("kept")) == 6


def test_columns_and_results_are_replaced_where_that_is_wanted(hf, refusal, published):
    hf("load-scores there data --out mine")
    assert "holds a data set" in refusal("load-scores there data --out mine")
    assert "column 'prototypes' is there already" in refusal("load-scores there mine --out other")
    hf("load-scores there mine --overwrite --out mine")
    assert "holds a data set" in refusal("apply there data --out mine")
    hf("apply there data --overwrite --out mine")
    assert len(load_from_disk("mine")) == 6


def test_what_cannot_be_is_said_in_one_line(refusal, place, published):
    assert "has no score column 'el2n', it has ['prototypes']" in refusal(
        "load-scores there data --columns el2n --out x"
    )
    assert "nowhere: the Hub cannot be read" in refusal("load-scores nowhere data --out x")
    assert "no-such-cut" in refusal("apply there data --config no-such-cut --out x")
    assert not (place / "x").exists()


@pytest.mark.parametrize("name", ["load-scores", "apply"])
def test_options_are_those_of_the_function_but_the_token(name):
    names = {parameter.name for parameter in command().commands[name].params}
    assert {"published", "data", "split", "published_split", "revision", "key_columns", "out", "overwrite"} <= names
    assert "token" not in names


def test_rebuild_of_a_default_export_names_the_flag_that_helps(hf, capsys, place):
    hf("prune scored prototypes --keep 6 --order hard --out kept")
    hf("export kept --out folder --source local --scores scored")
    assert main(["rebuild", "folder", "--out", "again"]) == 2
    assert "give it with --source\n" in capsys.readouterr().out
    assert main(["rebuild", "folder", "--source", "data", "--out", "again"]) == 2
    assert "cannot be made from the source: pass --rescore to score again\n" in capsys.readouterr().out
