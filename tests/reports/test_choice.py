import dataclasses

import numpy as np

from hf_prune.reports.choice import choose_groups, compare_cuts, largest_classes
from hf_prune.reports.rows import read_rows
from tests.helpers.report_sets import ROWS, cut, duplicates_of, noise_of, scored_set


def test_groups_are_the_ends_the_sides_suspects_and_duplicates():
    ds = scored_set()
    rows = read_rows(ds, cut(ds, class_balance=0), noise=noise_of(ds), duplicates=duplicates_of(ds))
    found = {group.name: group for group in choose_groups(rows, 3)}
    ranked = np.argsort(np.array(ds["el2n"][:]), kind="stable").tolist()
    half = ROWS // 2
    assert list(found) == ["Easiest", "Just dropped", "Just kept", "Hardest", "Suspects", "Duplicates"]
    assert found["Easiest"].rows == tuple(ranked[:3])
    assert found["Just dropped"].rows == tuple(ranked[half - 3 : half][::-1])
    assert found["Just kept"].rows == tuple(ranked[half : half + 3])
    assert found["Hardest"].rows == tuple(ranked[::-1][:3])
    assert found["Suspects"].rows == (ROWS - 1, ROWS - 2)
    assert found["Suspects"].notes[ROWS - 1] == "looks like dog"  # row 59 is a ship, and dogs come before
    assert found["Duplicates"].notes == {4: "stands for 1 more", 9: "repeats row 4, cosine 0.950"}
    by_pixels = read_rows(ds, duplicates=dataclasses.replace(duplicates_of(ds), by="pixels"))
    assert choose_groups(by_pixels, 3)[-1].notes[9] == "repeats row 4, similarity 0.950"


def test_sides_of_the_easy_end_are_turned_around():
    ds = scored_set()
    rows = read_rows(ds, cut(ds, "el2n two", order="easy", class_balance=0))
    found = {group.name: group.rows for group in choose_groups(rows, 1)}
    ranked = np.argsort(np.array(ds["el2n two"][:]), kind="stable").tolist()
    assert (found["Just kept"], found["Just dropped"]) == ((ranked[29],), (ranked[30],))


def test_rows_that_are_not_cut_at_one_score_are_drawn():
    ds = scored_set()
    rows = read_rows(ds, cut(ds, order="random"))
    found = {group.name: group.rows for group in choose_groups(rows, 4)}
    assert list(found) == ["Easiest", "Dropped", "Kept", "Hardest"]
    assert rows.is_kept[list(found["Kept"])].all()
    assert not rows.is_kept[list(found["Dropped"])].any()
    assert found == {group.name: group.rows for group in choose_groups(rows, 4)}


def test_every_large_class_has_rows_of_its_own():
    ds = scored_set()
    rows = read_rows(ds, cut(ds))
    easiest = choose_groups(rows, 2, per_class=2)[0]
    shown = [*easiest.rows, *easiest.of_classes]
    assert len(set(shown)) == len(shown)
    assert [sum(rows.labels.codes[row] == code for row in shown) for code in range(3)] == [2, 2, 2]
    assert largest_classes(rows) == [0, 1, 2]
    assert largest_classes(rows, 1) == [0]


def test_two_cuts_show_what_one_kept_and_the_other_dropped():
    ds = scored_set()
    first, second = (read_rows(ds, cut(ds, "el2n two", order=order, class_balance=0)) for order in ("hard", "easy"))
    b, a = compare_cuts(first, second, 5)
    assert (a.name, b.name) == ("Kept by cut A alone", "Kept by cut B alone")
    assert first.is_kept[list(a.rows)].all()
    assert second.is_kept[list(b.rows)].all()
    assert a.text.startswith("30 rows")
