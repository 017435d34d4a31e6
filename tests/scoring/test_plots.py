import sys

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image as Pillow

from hf_prune.pruning.plots import accuracy_figure
from hf_prune.scoring.plots import extremes_figure, plot_extremes
from tests.helpers.accuracy_results import results


@pytest.fixture(scope="module")
def graded():
    """Two classes of six images each; the grey value is the score times 100."""
    scores = [row / 11 for row in (3, 0, 5, 1, 4, 2, 9, 6, 11, 7, 10, 8)]
    pictures = [Pillow.new("L", (30, 20), round(100 * score)) for score in scores]
    features = Features({"image": Image(), "label": ClassLabel(names=["low", "high"]), "score": Value("float32")})
    return Dataset.from_dict({"image": pictures, "label": [0] * 6 + [1] * 6, "score": scores}, features=features)


def draw(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return canvas.get_renderer()


def shown(ax):
    """(line, place) → grey value of the image there."""
    found = {}
    for image in ax.images:
        left, right, bottom, top = image.get_extent()
        found[round((bottom + top) / 2), (left + right) / 2] = int(np.asarray(image.get_array())[0, 0, 0])
    return found


def test_images_stand_in_the_order_of_their_scores(graded):
    ax = plot_extremes(graded, "score", num_images=2)
    grey = {row: round(100 * row / 11) for row in range(12)}
    assert shown(ax) == {
        (0, 0): grey[0],
        (0, 1): grey[1],
        (0, 2.5): grey[4],
        (0, 3.5): grey[5],
        (1, 0): grey[6],
        (1, 1): grey[7],
        (1, 2.5): grey[10],
        (1, 3.5): grey[11],
    }
    assert [label.get_text() for label in ax.get_yticklabels()] == ["low", "high"]
    left, right, bottom, top = ax.images[0].get_extent()
    assert (right - left) / abs(bottom - top) == pytest.approx(30 / 20), "the image is distorted"


def test_no_image_stands_at_both_ends_and_rows_without_a_score_at_none(graded):
    scores = [None, *graded["score"][1:3]]
    three = graded.select(range(3)).remove_columns("score").add_column("score", scores)
    assert len(shown(plot_extremes(three, "score"))) == 2
    one = plot_extremes(graded.select([0]), "score")
    assert len(shown(one)) == 1


def test_without_classes_there_is_one_line(graded):
    ax = plot_extremes(graded.remove_columns("label"), "score", num_images=3)
    assert len(shown(ax)) == 6
    assert [label.get_text() for label in ax.get_yticklabels()] == [""]


def test_of_many_classes_the_largest_are_shown(graded):
    ax = plot_extremes(graded.select(range(1, 12)), "score", max_classes=1)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["high"]
    assert ax.get_title() == "score (1 of 2 classes)"


def test_nothing_is_cut_off_at_the_border(graded):
    for figure in (
        accuracy_figure(results()),
        extremes_figure(graded.add_column("other", graded["score"]), ["score", "other"]),
    ):
        renderer = draw(figure)
        whole = figure.bbox
        for ax in figure.axes:
            for text in (ax.title, ax.xaxis.label, *ax.get_xticklabels(), *ax.get_yticklabels()):
                if text.get_text() and text.get_visible():
                    box = text.get_window_extent(renderer)
                    assert box.x0 >= 0, text
                    assert box.y0 >= 0, text
                    assert box.x1 <= whole.x1, text
                    assert box.y1 <= whole.y1, text


def test_the_input_may_have_a_transform(graded):
    ax = plot_extremes(graded.with_transform(lambda rows: {"nothing": [0] * len(rows["label"])}), "score")
    assert len(shown(ax)) == 12


def test_pyplot_is_left_alone():
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
