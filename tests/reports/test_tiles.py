import io

import numpy as np
import PIL.Image
from datasets import Dataset, Features, Image, Value

from hf_prune.reports import tiles
from hf_prune.reports.choice import choose_groups
from hf_prune.reports.rows import read_rows
from hf_prune.reports.tiles import Tiles
from tests.helpers.report_sets import cut, scored_set


def noisy(rows: int = 40, side: int = 200) -> Dataset:
    """Images that no format makes small."""
    generator, found = np.random.default_rng(0), []
    for _ in range(rows):
        file = io.BytesIO()
        PIL.Image.fromarray(generator.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(file, "JPEG")
        found.append({"bytes": file.getvalue(), "path": None})
    features = Features({"image": Image(), "x": Value("float32")})
    return Dataset.from_dict({"image": found, "x": list(map(float, range(rows)))}, features=features)


def words_of(_, row: int) -> list[str]:
    return [f"row {row}", "words"]


def test_a_tile_says_what_is_known_of_its_row():
    ds = scored_set()
    rows = read_rows(ds, cut(ds, class_balance=0))
    maker = Tiles(rows, words_of)
    ((easiest, *_),) = maker.make([choose_groups(rows, 2, per_class=1)])
    first, *_, last = easiest.tiles
    assert (first.row, first.code, first.verdict, first.is_extra, first.is_tiny) == (0, 0, "dropped", False, True)
    assert first.lines == ["row 0", "words", "0.ppm"]
    assert first.alternative == "words"
    assert last.is_extra
    assert maker.reasons == {"below the cut": 1, "above the cut": 2}


def test_thumbnails_shrink_until_the_page_holds_them(monkeypatch):
    rows = read_rows(noisy(), metric="x")
    groups = [choose_groups(rows, 20)]
    sizes = {}
    for budget in (3_800_000, 300_000, 60_000):
        monkeypatch.setattr(tiles, "MAX_BYTES", budget)
        made = Tiles(rows, words_of).make(groups)
        shown = [str(tile.image) for found in made for group in found for tile in group.tiles]
        assert sum(len(text) for text in shown if "data:" in text) < budget * 1.1
        sizes[budget] = max(int(text.split('width="')[1].split('"')[0]) for text in shown if "width" in text)
    assert list(sizes.values()) == sorted(sizes.values(), reverse=True)
    assert sizes[3_800_000] == 160
    assert "the page is full" in "".join(shown)


def test_without_images_tiles_have_words():
    ds = Dataset.from_dict({"x": [1.0, 2.0]})
    rows = read_rows(ds, metric="x")
    ((low, _),) = Tiles(rows, words_of).make([choose_groups(rows, 1)])
    assert "there is none" in low.tiles[0].image
