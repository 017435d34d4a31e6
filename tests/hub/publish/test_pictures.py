"""Pictures of the card: same rows, same bytes; no markup from names; no image of the source where none may be shown."""

import io
import struct
import sys
import zlib

import matplotlib
import numpy as np
import PIL.Image
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value

from hf_prune.hub.publish.pictures import drawable, pictures, plot_histogram
from hf_prune.hub.split import Split
from hf_prune.hub.statistics import compare_scores
from tests.helpers.tiny_publications import images, scored


def compared(ds, **cut):
    whole = scored(ds)
    kept = whole.prune("prototypes", keep=0.5, order="hard", **cut)
    return compare_scores(Split.read(kept, whole), False), whole


def chunks(png: bytes) -> list[str]:
    """Types of the chunks of a PNG, whose checksums must hold."""
    found, place = [], 8
    while place < len(png):
        (size,), kind = struct.unpack(">I", png[place : place + 4]), png[place + 4 : place + 8]
        assert zlib.crc32(png[place + 4 : place + 8 + size]) == struct.unpack(">I", png[place + 8 + size :][:4])[0]
        found.append(kind.decode())
        place += 12 + size
    return found


def test_the_same_rows_give_the_same_bytes_whatever_the_user_has_set():
    statistics, whole = compared(images(30))
    first = pictures(statistics, whole, "prototypes-keep0.5", "train")
    with matplotlib.rc_context({"figure.facecolor": "red", "font.size": 20, "savefig.dpi": 10}):
        assert pictures(statistics, whole, "prototypes-keep0.5", "train") == first
    assert {kind: path for kind, (path, _) in first.items()} == {
        "histogram": "images/prototypes-keep0.5-train-histogram.png",
        "extremes": "images/prototypes-keep0.5-train-extremes.png",
    }
    for _, png in first.values():
        assert set(chunks(png)) == {"IHDR", "pHYs", "IDAT", "IEND"}  # no text, no time


def test_bars_are_the_counts_of_the_record():
    statistics, _ = compared(images(30))
    ax = plot_histogram(statistics)
    before, after = (patch.get_data() for patch in ax.patches)
    assert before.values.tolist() == statistics["before"]["histogram"]
    assert after.values.tolist() == statistics["after"]["histogram"]
    assert before.edges.tolist() == statistics["edges"]
    assert [text.get_text() for text in ax.figure.legends[0].get_texts()] == ["all scored rows", "kept"]
    assert len(plot_histogram(statistics | {"after": None}).patches) == 1


def test_names_are_drawn_as_they_are():
    assert drawable("$x_1^$") == "$x_1^$"
    assert drawable("a" * 40) == "a" * 23 + "…"
    assert drawable("é日\n\u202e") == "é???"
    statistics, whole = compared(images(30, ["$\\frac{$", "日本", "a\nb"]))
    assert len(pictures(statistics, whole, "default", "train")) == 2


def test_no_image_of_the_source_where_none_may_be_shown():
    statistics, whole = compared(images(30))
    assert list(pictures(statistics, whole, "default", "train", images=False)) == ["histogram"]


def test_data_sets_without_one_column_of_images():
    features = Features({"text": Value("string"), "label": ClassLabel(names=["a", "b"])})
    statistics, whole = compared(Dataset.from_dict({"text": list("abcdef"), "label": [0, 1] * 3}, features=features))
    assert list(pictures(statistics, whole, "default", "train")) == ["histogram"]
    two = images(30).add_column("other", [0] * 30).cast_column("other", ClassLabel(names=["a"]))
    statistics, whole = compared(two, label_column="label")
    assert list(pictures(statistics, whole, "default", "train")) == ["histogram", "extremes"]


def test_an_image_that_cannot_be_read_costs_the_picture_alone():
    broken = Dataset.from_dict(
        {"image": [{"bytes": np.random.default_rng(row).bytes(50), "path": None} for row in range(12)]},
        features=Features({"image": Image()}),
    )
    statistics, whole = compared(broken)
    with pytest.warns(
        UserWarning, match=r"^the picture of the easiest and hardest images was left out, all else is complete \("
    ):
        assert list(pictures(statistics, whole, "default", "train")) == ["histogram"]


def test_without_matplotlib_there_are_no_pictures(monkeypatch):
    statistics, whole = compared(images(30))
    for name in [name for name in sys.modules if name == "matplotlib" or name.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert pictures(statistics, whole, "default", "train") == {}


def test_pictures_show_the_ends():
    grey = [PIL.Image.new("L", (8, 8), 10 * row) for row in range(12)]
    ds = Dataset.from_dict({"image": grey}, features=Features({"image": Image()}))
    ds = ds.add_column("brightness", [float(row) for row in range(12)])
    kept = ds.prune("brightness", keep=6, order="hard")
    statistics = compare_scores(Split.read(kept, ds), False)
    _, png = pictures(statistics, ds, "default", "train")["extremes"]
    found = set(np.asarray(PIL.Image.open(io.BytesIO(png)).convert("L")).ravel().tolist())
    assert {10, 40, 80, 110} <= found
