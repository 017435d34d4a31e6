import csv

import numpy as np
import pytest

from hf_prune.runtime.figures import new_figure
from hf_prune.scaling.runs import ScalingRun, contrast, sentences, write_report
from hf_prune.scaling.runs.plots import plot_scaling, scaling_figure

SIZES, DRAWS = (500, 1000, 2000, 4000), 5
SCATTER = (-10, -5, 0, 5, 10)  # test rows of 10,000, by draw, the same for every cut


def cut(size, keep, order, draw, extra):
    wrong = round(10_000 * (3 * size**-0.5)) + extra + SCATTER[draw]
    groups = {"class cat": (wrong, 8000), "class dog": (wrong // 20, 2000), "group night": (wrong // 4, 4000)}
    return ScalingRun(
        "s", "el2n", "all rows", "linear student", size, keep, order, draw, round(size * keep), wrong, 10_000, groups
    )


def runs(extras):
    """Wrong rows beyond those of no pruning, by order and size; each draw of a cut differs by one more row."""
    found = []
    for size in SIZES:
        for draw in range(DRAWS):
            found.append(cut(size, 1.0, "full", draw, 0))
            found += [cut(size, 0.5, order, draw, extra(size) + draw) for order, extra in extras.items()]
    return found


FLIPS = runs({"hard": lambda size: 400 if size < 1500 else 0, "easy": lambda _: 200, "random": lambda _: 300})
STAYS = runs({"hard": lambda _: 400, "easy": lambda _: 200, "random": lambda _: 300})


def test_contrast_by_hand():
    # Less no pruning the five draws have 200 … 204 more wrong of 10,000: mean 0.0202, standard deviation sqrt(2.5) rows,
    # standard error sqrt(0.5) rows, and Student's quantile at four degrees of freedom is 2.776.
    found = contrast(STAYS, 500, 0.5, "easy", "full")
    assert found.mean == pytest.approx(0.0202)
    assert found.high - found.mean == pytest.approx(2.7764 * np.sqrt(0.5) / 10_000, rel=1e-4)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)
    assert found.num_draws == 5
    assert str(found) == "+2.02 points [+2.00, +2.04]"
    same = contrast(STAYS, 500, 0.5, "hard", "easy")  # paired: the scatter of the draws drops out
    assert (same.low, same.mean, same.high) == pytest.approx((0.02, 0.02, 0.02))


def test_a_flip_is_told_with_its_sizes():
    found = sentences(FLIPS)
    flip = [line for line in found if "flips" in line]
    assert flip == [
        "The better end flips from easy to hard as the data grow: at 50% from easy with 500 (hard less easy +2.00 points "
        "[+2.00, +2.00]) to hard with 4,000 (-2.00 points [-2.00, -2.00])."
    ]
    assert found[0].startswith(
        "At 4,000 examples keeping 50% hard loses nothing (+0.02 points [+0.00, +0.04] of error"
    )
    assert found[-3].startswith(
        "At 500 examples no fraction is shown to lose nothing (limit 0.5). There keep easy at 50%"
    )
    assert found[-1].startswith("Without pruning error = a * n^-nu + c: nu 0.5 [")


def test_no_flip_is_told_as_such():
    found = sentences(STAYS)
    assert any(
        line.startswith("No flip from easy to hard is shown as the data grow; hard less easy is at 50%")
        for line in found
    )
    assert not any("flips" in line for line in found)


def test_other_measures(tmp_path):
    # The worst class is the cat, with all wrong rows among its 8,000.
    assert contrast(STAYS, 500, 0.5, "hard", "easy", measure="worst class").mean == pytest.approx(200 / 8000)
    assert contrast(STAYS, 500, 0.5, "hard", "easy", measure="group night").mean == pytest.approx(50 / 4000, rel=0.02)
    with pytest.raises(ValueError, match="no 'class owl'"):
        sentences(STAYS, "class owl")


def test_report(tmp_path):
    files = write_report(FLIPS, tmp_path)
    assert [file.name for file in files] == ["summary.csv", "sentences.txt", "scaling.png"]
    assert files[2].read_bytes().startswith(b"\x89PNG")
    with files[0].open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["measure"] for line in lines} == {"all", "worst class", "worst group", "group night"}
    first = next(line for line in lines if (line["size"], line["order"]) == ("500", "hard"))
    assert float(first["hard_less_easy"]) == pytest.approx(0.02)
    assert float(first["against_full_low"]) == pytest.approx(contrast(FLIPS, 500, 0.5, "hard", "full").low, abs=1e-6)
    assert "[worst class]" in files[1].read_text()
    with pytest.raises(ValueError, match="no trainings"):
        write_report([], tmp_path)


def test_picture_shows_a_line_per_fraction_and_the_frontier():
    ax = plot_scaling(FLIPS, order="easy")
    assert ax.get_legend_handles_labels()[1] == ["frontier", "keep 50%", "keep all"]
    assert (ax.get_xscale(), ax.get_yscale(), ax.get_xlabel()) == ("log", "log", "rows trained on")
    frontier = next(line for line in ax.lines if line.get_label() == "frontier")
    assert frontier.get_xdata()[0] == 250
    assert frontier.get_linestyle() == "--"
    markers = {line.get_marker() for line in ax.lines if line.get_marker() not in ("None", "", "_")}
    assert {"o", "s"} <= markers  # told apart without colour
    own = new_figure(3, 3).subplots()
    assert plot_scaling(FLIPS, own) is own
    with pytest.raises(ValueError, match="no results of order 'middle'"):
        plot_scaling(FLIPS, order="middle")


def test_figure_has_a_panel_per_order():
    titles = [ax.get_title() for ax in scaling_figure(FLIPS, "worst class").axes]
    assert titles == ["hard, worst class", "easy, worst class", "random, worst class"]
