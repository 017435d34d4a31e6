import numpy as np
import pytest
from datasets import Dataset

import hf_prune
from hf_prune.policy.evidence import CurvePoint
from hf_prune.policy.keep_curve import KeepCurve
from hf_prune.reports import report as module
from hf_prune.reports.report import report
from tests.helpers.page_reading import Page
from tests.helpers.report_sets import ROWS, cut, duplicates_of, evidence, noise_of, scored_set
from tests.helpers.tiny_publications import COMMIT, SOURCE

CURVE = KeepCurve(
    "el2n",
    ROWS,
    (
        CurvePoint(1.0, "all rows", "all rows", 0.9, 0.88, 0.92),
        *(
            CurvePoint(keep, order, order, keep, keep - 0.1, keep + 0.1)
            for keep in (0.5, 0.2)
            for order in ("hard", "random")
        ),
    ),
)


def read(ds, kept, folder, **options):
    return Page(report(ds, kept, folder / "r.html", **options).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    ds = scored_set()
    return read(
        ds,
        cut(ds),
        tmp_path_factory.mktemp("whole"),
        compare=cut(ds, "el2n two", order="easy"),
        curve=CURVE,
        noise=noise_of(ds),
        duplicates=duplicates_of(ds),
        inputs={"embeddings": np.random.default_rng(0).normal(size=(ROWS, 4))},
    )


def test_sections_come_in_their_order(whole):
    ids = [value for name, value in whole.attributes if name == "id" and value in module.SECTIONS]
    assert ids == list(module.SECTIONS)
    assert [value for name, value in whole.attributes if name == "href" and value != "data:,"] == [
        "#main",
        *(f"#{name}" for name in module.SECTIONS),
    ]


@pytest.mark.parametrize(
    "words",
    [
        "Kept 30 of 60 rows (50.0 %)",
        "The rows with the highest el2n, the hard ones.",
        "Gain over random rows: +2.0 [+1.0, +3.0] points of accuracy; against all rows: -0.6",
        "2 suspects",
        "looks like dog",
        "repeats row 4, cosine 0.950",
        "Kept by cut B alone",
        "Spearman correlations of 2 score columns.",
        "Two principal components, which show",
        "60 before, 30 after",
        'ds = ds.prune("el2n", keep=0.5, order="hard", class_balance=0.5, label_column="label", seed=0)',
        "numbers of the rows kept",
        "Leaks Whether images are in the test rows, too: not measured.",
    ],
)
def test_the_page_says(whole, words):
    assert words in whole.text


def test_every_point_and_every_picture_is_there(whole):
    names = [name for name, *_ in whole.elements]
    assert sum(attributes[1:2] == ("class",) and "data-row" in attributes for attributes in whole.elements) >= ROWS
    assert names.count("img") > 24
    assert names.count("svg") == 4 + 3 + 1 + 1  # scores, of three classes, agreement, map, and three of the curve
    assert names.count("h1") == names.count("main") == 1


def test_what_nobody_measured_is_said(tmp_path):
    ds = Dataset.from_dict({"x": [0.1, 0.9, 0.5, 0.7]})
    page = read(ds, ds.prune("x", keep=0.5, order="hard"), tmp_path)
    for words in (
        "Gain over random rows: not measured.",
        "There is no single column of images to show.",
        "There is no single column of classes.",
        "There is one score column alone.",
        "Not measured: pass curve=hf_prune.keep_curve(...).",
        "Not measured: the cache has no embeddings of these rows",
        "the source is local",
    ):
        assert words in page.text


def test_a_table_of_many_classes_shows_those_that_lost_most(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_CLASSES", 5)
    ds = scored_set([f"class{number}" for number in range(20)])
    text = read(ds, cut(ds, class_balance=0), tmp_path).text
    assert "The 5 of 20 classes that lost most" in text


def test_the_evidence_that_is_given_is_shown(tmp_path):
    from hf_prune.policy.recommendation import recommendation

    ds = scored_set()
    advice = recommendation(evidence(student="somebody"), 0.5, 1.0, 0.01)
    assert "Trained: somebody." in read(ds, cut(ds), tmp_path, advice=advice).text


def test_a_source_is_named_and_no_path_of_this_machine(tmp_path):
    assert SOURCE.endswith(COMMIT)
    ds = scored_set()
    ds.info.download_checksums = {f"hf://datasets/{SOURCE}/x": {"num_bytes": 0, "checksum": None}}
    page = report(ds, cut(ds), tmp_path / "r.html").read_text(encoding="utf-8")
    assert f"load_dataset(&#34;uoft-cs/cifar10&#34;, revision=&#34;{COMMIT}&#34;, split=&#34;train&#34;)" in page
    assert str(tmp_path) not in page


def test_what_was_there_is_replaced_whole(tmp_path):
    place = tmp_path / "r.html"
    place.write_text("before")
    ds = scored_set()
    with pytest.raises(ValueError, match="kept has no pruning in its history"):
        hf_prune.report(ds, ds, place)
    assert place.read_text() == "before"
    assert hf_prune.report(ds, cut(ds), place) == place
    assert place.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_images": 0}, "num_images=0"),
        ({"inputs": {"labels": [1]}}, r"inputs=\{'labels': …\}, but report takes embeddings"),
        ({"label_column": "nothing"}, "no column 'nothing'"),
        ({"compare": [1]}, "takes one Dataset"),
    ],
)
def test_what_cannot_be_shown_is_said_in_one_line(options, message, tmp_path):
    ds = scored_set()
    with pytest.raises((ValueError, TypeError), match=message):
        report(ds, cut(ds), tmp_path / "r.html", **options)
