"""Published cuts, as their records say what was kept."""

import json
from dataclasses import replace

import numpy as np
import pytest

import hf_prune
from hf_prune.data.history import History, Step, provenance
from hf_prune.hub.read.cut import Cut, choose_cut, choose_cut_split, read_cut
from hf_prune.hub.read.place import Place, open_published
from hf_prune.hub.read.scores import read_scores_of
from tests.helpers.tampered import CUT
from tests.helpers.tiny_publications import images, numbers, pruned, scored

pytest_plugins = ["tests.helpers.tampered"]


@pytest.fixture(scope="module")
def place(original):
    return open_published(original)


def test_cuts_are_chosen_by_name(original):
    easy = scored(images(20)).prune("prototypes", keep=4, order="easy")
    assert numbers(hf_prune.apply(original, images(20), config="prototypes-keep4")) == numbers(easy)
    assert numbers(hf_prune.apply(original, images(20))) == numbers(pruned(images(20)))
    backwards = images(20).select(range(19, -1, -1))
    found = hf_prune.apply(original, backwards, config="prototypes-keep4")
    assert numbers(found) == numbers(easy)[::-1]
    with pytest.raises(
        ValueError, match=r"has no configuration 'el2n', it has 'prototypes-keep0.5', 'prototypes-keep4'"
    ):
        hf_prune.apply(original, images(20), config="el2n")
    with pytest.raises(ValueError, match="holds scores and no cut"):
        hf_prune.apply(original, images(20), config="scores")


def test_scores_of_other_rows_do_not_number_a_former_cut(tmp_path):
    ds, other = scored(images(20)), scored(images(40).select(range(20, 40)))
    kept = ds.prune("prototypes", keep=0.5, order="hard")
    folder = hf_prune.export(kept, tmp_path / "out", source="local", scores=ds, what="scores")
    with pytest.warns(UserWarning, match="published of 20 other rows and are replaced"):
        hf_prune.export(
            other.prune("prototypes", keep=3, order="easy"), folder, source="local", scores=other, what="scores"
        )
    assert numbers(hf_prune.apply(folder, images(20), config="prototypes-keep0.5")) == numbers(kept)
    with pytest.raises(ValueError, match=r"are of 20 rows and .* was cut from 20 others: rows cannot be found"):
        hf_prune.apply(folder, images(20).shuffle(seed=1), config="prototypes-keep0.5")
    report = hf_prune.verify(folder)
    assert report.exit_code == 0, str(report)
    assert "note         prototypes-keep0.5/train: the scores are of 20 rows, other ones than it was cut from" in str(
        report
    )


def place_of(readme=None, **records):
    return Place("here", None, None, None, {}, readme, "", records)


OPENED = "---\nconfigs:\n- config_name: a\n- config_name: b\n  default: true\n---\n"


@pytest.mark.parametrize(
    ("readme", "records", "chosen"),
    [
        (None, {"only": {}}, "only"),
        (None, {"a": {}, "default": {}}, "default"),
        (OPENED, {"a": {}, "b": {}, "default": {}}, "b"),
        (OPENED, {"a": {}, "default": {}}, "default"),  # the page names one that no record describes
        (None, {"a": {}, "b": {}, "scores": {"holds": "scores", "cut": "a"}}, "a"),
        (None, {"a": {"holds": "row numbers"}, "scores": {"holds": "scores", "cut": None}}, "a"),
        (None, {"a": {}, "b": {"holds": "of a later version"}}, "a"),
    ],
)
def test_the_cut_that_is_taken_where_none_is_named(readme, records, chosen):
    assert choose_cut(place_of(readme, **records), None) == chosen


@pytest.mark.parametrize(
    ("records", "config", "said"),
    [
        ({"a": {}, "b": {}}, None, r"here has the cuts \['a', 'b'\]: name one with config="),
        ({"scores": {"holds": "scores"}}, None, "here has scores and no cut: load them with hf_prune.load_scores"),
        (
            {"a": {}, "scores": {"holds": "scores"}},
            "scores",
            r"'scores' of here holds scores and no cut; cuts: \['a'\]",
        ),
        ({"a": {}}, "b", "here has no configuration 'b', it has 'a'"),
        ({"a": {"holds": "tomorrow"}}, "a", "holds 'tomorrow', which this hf_prune does not know"),
    ],
)
def test_what_is_no_cut_is_refused_in_one_line(records, config, said):
    with pytest.raises(ValueError, match=said) as error:
        choose_cut(place_of(**records), config)
    assert "\n" not in str(error.value)


def test_it_is_read_with_its_steps(place):
    cut = choose_cut_split(place, CUT, images(), None)
    assert (cut.config, cut.split, cut.num_source_rows) == (CUT, "train", 20)
    assert [step.kind for step in cut.history.steps] == ["score", "prune"]
    assert [step.order for step in cut.prunings] == ["hard"]
    kept = scored(images(20)).prune("prototypes", keep=0.5, order="hard", class_balance=0.5)
    assert cut.source_rows().tolist() == provenance(kept).source_rows().tolist()


def test_published_scores_are_those_of_its_rows_or_not(place):
    cut, published = read_cut(place, CUT, "train"), read_scores_of(place)
    assert cut.holds_scores(published, "prototypes") is True
    other = published.table.set_column(
        published.table.column_names.index("prototypes"), "prototypes", [np.arange(20, dtype=np.float32)]
    )
    assert cut.holds_scores(replace(published, table=other), "prototypes") is False
    assert cut.holds_scores(published, "brightness") is None
    first, last = cut.history.steps
    without = replace(cut, history=History((first, replace(last, scores_before=None))))
    assert without.holds_scores(published, "prototypes") is None


def test_published_scores_number_its_rows_or_not(place):
    cut, published = read_cut(place, CUT, "train"), read_scores_of(place)
    assert cut.is_numbered_as(published)
    assert not cut.is_numbered_as(replace(published, keys=published.keys[1:]))

    def with_digest(digest):
        records = json.loads(json.dumps(place.records))
        records["scores"]["splits"]["train"]["rows_digests"] = digest
        return replace(cut, place=replace(place, records=records))

    name, digest = next(iter(cut.history.first_digests().items()))
    other = digest.translate(str.maketrans("0123456789abcdef", "123456789abcdef0"))
    assert not with_digest({name: other}).is_numbered_as(published)
    assert with_digest({name: other[1:]}).is_numbered_as(published)  # of an earlier version, which digested otherwise
    assert with_digest({"gone": other}).is_numbered_as(published)
    assert with_digest(None).is_numbered_as(published)


SCORE = Step("score", "m", "m", rows_in=9, rows_out=9, id="1")
PRUNE = Step("prune", "m", "m", order="hard", rows_in=9, rows_out=4, parents=("1",), id="2")


def cut_of(*steps, **entry):
    return Cut(place_of(c={"splits": {"train": entry}, "holds": "row numbers"}), "c", "train", entry, History(steps))


@pytest.mark.parametrize(
    ("steps", "entry", "held"),
    [
        ((SCORE, PRUNE), {}, True),
        ((SCORE, PRUNE, replace(SCORE, id="3", parents=("2",))), {}, False),  # made anew afterwards
        ((SCORE, PRUNE, replace(PRUNE, id="3", parents=("2",), changed_scores=("m",))), {}, False),
        ((SCORE, replace(PRUNE, changed_scores=("m",))), {"scores changed outside hf_prune": ["m"]}, True),
        ((SCORE, PRUNE), {"scores changed outside hf_prune": ["m"]}, False),
        ((SCORE, PRUNE), {"scores changed outside hf_prune": "damaged"}, True),
        ((SCORE,), {}, True),
    ],
    ids=["as cut", "made again", "changed later", "changed before", "changed since", "damaged", "not pruned"],
)
def test_a_column_holds_what_the_rows_were_cut_by(steps, entry, held):
    assert cut_of(*steps, **entry).has_column_as_cut("m") is held


def test_which_rows_were_kept_is_not_known():
    for cut in (cut_of(SCORE, **{"changed outside hf_prune": True}), cut_of(SCORE, replace(PRUNE, parents=()))):
        with pytest.raises(ValueError, match="configuration 'c' of here was changed outside hf_prune after it was"):
            cut.check_known()
        with pytest.raises(ValueError, match="the numbers of its rows are not known"):
            cut.source_rows()
    with pytest.raises(ValueError, match=r"^configuration 'c' of here does not say which rows were kept$"):
        cut_of(rows=7).source_rows()
    assert (cut_of(rows=7).num_source_rows, cut_of().num_source_rows, cut_of(SCORE).num_source_rows) == (7, 0, 9)


def test_rows_that_were_never_pruned_are_all_of_them(tmp_path):
    folder = hf_prune.export(images(5), tmp_path / "out", source="local")
    assert read_cut(open_published(folder), "default", "train").source_rows().tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda step: step.pop("id"), "KeyError|'id'"),
        (lambda step: step.update(colour="red"), "colour"),
        (lambda step: step.update(kind=3), "wrong type in"),
        (lambda step: step.update(columns=[3]), "wrong type in"),
        (lambda step: step.update(keep=float("inf"), rows_in="many"), "wrong type in"),
    ],
)
def test_damaged_steps_are_named_in_one_line(change, said):
    step = PRUNE.to_dict()
    change(step)
    place = place_of(c={"splits": {"train": {"steps": [step]}}})
    with pytest.raises(ValueError, match=f"^the record of here is damaged: .*({said})") as error:
        read_cut(place, "c", "train")
    assert "\n" not in str(error.value)


def test_steps_keep_the_ids_that_they_had_before_paths_were_cut(tmp_path):
    folder = hf_prune.export(pruned(images()), tmp_path / "out", source="local")
    (record,) = json.loads((folder / "provenance.json").read_text())["configs"].values()
    step = record["splits"]["train"]["steps"][0]
    step["options"] = {"weights": "w.npy"}  # published without the folder that it named
    found = read_cut(place_of(c=record), "c", "train").history
    assert [one.id for one in found.steps] == [one["id"] for one in record["splits"]["train"]["steps"]]
    assert found.is_chain
