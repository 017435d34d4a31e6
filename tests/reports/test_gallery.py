import re

import PIL.Image
import pytest
from datasets import Dataset, Image

import hf_prune
from hf_prune.reports.gallery import gallery
from tests.helpers.report_sets import HOSTILE, cut, duplicates_of, named_set, noise_of, scored_set


@pytest.fixture
def shown():
    ds = scored_set()
    kept = cut(ds, class_balance=0)
    return gallery(ds, kept, noise=noise_of(ds), duplicates=duplicates_of(ds), num_images=3)


def test_a_notebook_shows_numbers_and_marks(shown):
    page = shown._repr_html_()
    assert page.count("<img src=") == sum(len(group.rows) for group in shown.groups) == 16
    assert "row 59 ·" in page
    assert "looks like dog" in page
    assert page.count("#D55E00;display") >= 2  # frames of suspects
    assert "<script" not in page
    assert repr(shown) == (
        "Gallery('el2n' of 60 rows: 3 easiest, 3 just dropped, 3 just kept, 3 hardest, 2 suspects, 2 duplicates)"
    )


def test_the_picture_has_a_caption_and_a_frame_for_each_image(shown):
    ax = shown.plot()
    assert len(ax.images) == len(ax.patches) == 16
    captions = [text.get_text() for text in ax.texts if text.get_text().startswith("row ")]
    assert len(captions) == 16
    assert any(re.fullmatch(r"row \d+ · [\d.]+\n\w+\nkept: above the cut", text) for text in captions)
    assert shown.plot(ax) is ax


def test_it_is_written_as_picture_or_page(shown, tmp_path):
    assert min(PIL.Image.open(shown.save(tmp_path / "g.png")).size) > 450  # three images of 150 pixels
    page = shown.save(tmp_path / "g.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "row 59 ·" in page


def test_names_are_text():
    page = gallery(named_set(HOSTILE), num_images=40)._repr_html_()
    assert set(re.findall(r"<(/?\w+)", page)) <= {
        *["div", "/div", "b", "/b", "br", "bdi", "/bdi", "img", "span", "/span"]
    }
    assert "&lt;script&gt;" in page
    assert len(page) < 200_000


def test_an_image_that_cannot_be_read_leaves_its_place():
    ds = Dataset.from_dict({"image": [{"bytes": b"no image", "path": None}, None], "x": [1.0, 2.0]})
    page = gallery(ds.cast_column("image", Image()), metric="x")._repr_html_()
    assert "no image: it cannot be read (UnidentifiedImageError)" in page
    assert "no image: there is none" in page


def test_what_cannot_be_shown_is_said():
    with pytest.raises(ValueError, match="no Image column"):
        hf_prune.gallery(Dataset.from_dict({"x": [1.0]}), metric="x")
    with pytest.raises(ValueError, match="num_images=0"):
        hf_prune.gallery(scored_set(), num_images=0)
