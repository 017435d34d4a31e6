import io
from itertools import combinations, pairwise

import numpy as np
import pytest
from datasets import Dataset, Features, Image
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pictures
from PIL import ImageOps
from scipy.fft import dctn

from hf_prune.cleaning import pixels
from hf_prune.cleaning.pixels import pixel_copies, small_pictures

WHOLE = (pixels.WHOLE, pixels.WHOLE)


def drawing(seed, side=160):
    """A smooth random picture with edges, unlike that of another seed."""
    draws = np.random.default_rng(seed)
    coarse = Pictures.fromarray(draws.integers(0, 256, (7, 7, 3), dtype=np.uint8))
    picture = coarse.resize((side, side), Pictures.Resampling.BICUBIC)
    picture.paste(tuple(draws.integers(0, 256, 3).tolist()), (*draws.integers(10, 60, 2).tolist(), 110, 120))
    return picture


def saved(picture, quality=90):
    file = io.BytesIO()
    picture.save(file, "jpeg", quality=quality)
    return {"bytes": file.getvalue(), "path": None}


def set_of(images):
    return Dataset.from_dict({"image": images}, features=Features({"image": Image()}))


def pairs_of(found):
    return set(zip(found.left.tolist(), found.right.tolist(), strict=True))


COPIES = {
    "encoded anew": lambda picture: saved(picture, 50),
    "half the size": lambda picture: saved(picture.resize((80, 80))),
    "another shape": lambda picture: saved(picture.resize((160, 120))),
    "grey": lambda picture: saved(picture.convert("L")),
    "mirrored": lambda picture: saved(ImageOps.mirror(picture)),
    "cropped at the right and below": lambda picture: saved(picture.crop((0, 0, 152, 152))),
    "cropped all round": lambda picture: saved(picture.crop((4, 4, 156, 156))),
    "transparent": lambda picture: picture.convert("RGBA"),
}


def test_copies_are_found_and_nothing_else():
    originals = [drawing(seed) for seed in range(len(COPIES))]
    copies = [copy(picture) for copy, picture in zip(COPIES.values(), originals, strict=True)]
    ds = set_of([*map(saved, originals), *copies, *(saved(drawing(seed)) for seed in range(50, 90))])
    pictures, unreadable = small_pictures(ds, "image")
    assert unreadable == {}
    found = pixel_copies(pictures)
    assert pairs_of(found) == {(row, row + len(COPIES)) for row in range(len(COPIES))}
    assert (found.similarity > 0.95).all()
    assert (found.similarity <= 1).all()


def test_pairs_of_one_part_do_not_count():
    pictures, _ = small_pictures(set_of([saved(drawing(1)), saved(drawing(1), 60), saved(drawing(1), 70)]), "image")
    assert pairs_of(pixel_copies(pictures)) == {(0, 1), (0, 2), (1, 2)}
    assert pairs_of(pixel_copies(pictures, np.array([0, 0, 1]))) == {(0, 2), (1, 2)}


def test_equal_pictures_are_paired_with_what_the_first_is_paired_with():
    a, b = (np.asarray(drawing(1).convert("L").resize((48, 48))) for _ in range(2))
    near = np.clip(a.astype(int) + np.random.default_rng(0).integers(-3, 4, a.shape), 0, 255).astype(np.uint8)
    assert pairs_of(pixel_copies(np.stack([near, a, b]))) == {(0, 1), (0, 2), (1, 2)}
    assert pairs_of(pixel_copies(np.stack([a, b, near, near]), np.array([0, 0, 1, 1]))) == {(0, 2), (1, 2), (0, 3)}


def test_flat_pictures_are_copies_of_nothing():
    assert not len(pixel_copies(np.full((3, 48, 48), 200, np.uint8)).left)
    assert not len(pixel_copies(np.zeros((0, 48, 48), np.uint8)).left)


def test_rows_that_cannot_be_read_are_named():
    ds = set_of([saved(drawing(0)), {"bytes": b"no image", "path": None}, None])
    pictures, unreadable = small_pictures(ds, "image")
    assert sorted(unreadable) == [1, 2]
    assert not pictures[1:].any()


def test_the_hash_is_that_of_the_cosine_transform_of_scipy():
    pictures = np.random.default_rng(0).integers(0, 256, (3, 48, 48)).astype(np.uint8)
    cutter = pixels._cutter(pixels.WHOLE, 32)
    for picture, found in zip(pictures, pixels._hashes(pictures, WHOLE, mirrored=False), strict=True):
        low = dctn(cutter @ picture @ cutter.T, norm="ortho")[:8, :8].ravel()
        assert np.packbits(low > np.median(low)).view(np.uint64)[0] == found


@pytest.mark.parametrize(("box", "size"), [((0.0, 1.0), 24), ((0.05, 0.9625), 24), ((0.0, 0.95), 32)])
def test_a_cut_averages_what_lies_under_each_pixel(box, size):
    fine = 48 * 960  # each pixel many times
    side = np.repeat(np.random.default_rng(1).random(48), 960)
    ends = np.linspace(box[0] * fine, box[1] * fine, size + 1)
    expected = [side[round(start) : round(stop)].mean() for start, stop in pairwise(ends)]
    assert np.allclose(pixels._cutter(box, size) @ side[::960], expected, atol=1e-3)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=8), st.data())
def test_hashes_that_differ_in_few_bits_are_all_found(hashes, data):
    flips = data.draw(st.lists(st.sets(st.integers(0, 63), max_size=10), min_size=1, max_size=8))
    known = np.array(hashes, dtype=np.uint64)
    asked = [hashes[place % len(hashes)] ^ sum(1 << bit for bit in bits) for place, bits in enumerate(flips)]
    expected = {
        (row, other)
        for row, one in enumerate(asked)
        for other, hash_ in enumerate(hashes)
        if (one ^ hash_).bit_count() <= pixels._MOST_BITS
    }
    found = set()
    for rows, others in pixels._Table(known).near(np.array(asked, dtype=np.uint64)):
        found |= set(zip(rows.tolist(), others.tolist(), strict=True))
    assert found == expected


def test_many_equal_hashes_are_looked_up_in_blocks(monkeypatch):
    monkeypatch.setattr(pixels, "_LOOKED_UP", 5)
    hashes = np.zeros(6, np.uint64)
    parts = list(pixels._Table(hashes).near(hashes))
    assert len(parts) > 4
    found = {pair for rows, others in parts for pair in zip(rows.tolist(), others.tolist(), strict=True)}
    assert found == {(row, other) for row in range(6) for other in range(6)}


def test_the_best_cut_is_that_of_all_pairs_of_cuts():
    """Found along one side after the other, it is as good as the best of all."""
    pictures = np.stack([np.asarray(drawing(seed).convert("L").resize((48, 48))) for seed in (1, 2)])
    cut = pixels._cut(pictures[:1], (0.025, 0.95), (0.0, 0.9625), 48)
    whole = pictures[:1].astype(np.float32)
    found = pixels._fitted(whole, cut)[0]
    target = pixels._unit(pixels._edges(pixels._cut(cut, *WHOLE, 24)))
    every = [
        (pixels._unit(pixels._edges(pixels._cut(whole, rows, columns, 24))) * target).sum()
        for rows in pixels._boxes()
        for columns in pixels._boxes()
    ]
    assert found == pytest.approx(max(every), abs=1e-5)
    assert found > 0.98
    assert len(pixels._boxes()) == len(list(combinations(range(10), 2)))
