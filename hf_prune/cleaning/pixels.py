"""Copies of images by their pixels, without a model: encoded anew, resized, grey, mirrored or slightly cropped.

Each image becomes a small grey picture. Candidates are pairs whose perceptual hashes, the signs of the lowest cosine
coefficients, nearly agree: of one picture, as it is or mirrored, whole or with an edge cut off, and of the other. They are looked
up by parts of the hash, so that not all pairs are compared. Of each candidate the cut that fits best is found, and the edges
in both pictures are compared.
"""

import os
from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from itertools import pairwise, product
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset
from datasets.utils import tqdm
from numpy.typing import NDArray

from hf_prune.data.images import EncodedImages, to_rgb
from hf_prune.engine.image_keys import NO_IMAGE
from hf_prune.runtime.messages import error_line
from hf_prune.runtime.processes import gather_objects, is_main_process, num_processes, process_index
from hf_prune.runtime.row_arrays import gather_rows
from hf_prune.runtime.slices import slices
from hf_prune.runtime.threads import Workers

Array = NDArray[Any]
Rows = NDArray[np.int64]
Pictures = NDArray[np.uint8]
Box = tuple[float, float]  # where along a side a cut picture begins and ends, in [0, 1]

LEAST_SIMILARITY = 0.94  # of a copy
SIDE, GRID = 48, 24  # pixels of a side of the small picture, 2.3 kB, and of what is compared in the end
_SAMPLES, _LOW = 32, 8  # points of the cosine transform along a side, and how many of its lowest coefficients count
_PARTS, _MOST_BITS = 4, 7  # parts of a hash, and bits that may differ: then one part differs in a bit at most
_CUT = 0.05  # share of a side that is cut off where candidates are looked for
_MOST_CUT, _STEP = 0.1, 0.0125  # share that may be cut off, and in what steps
_PROMISING = 0.7  # similarity before the best cut is found
_FLAT = 0.5  # grey levels between neighbours, root mean square, up to which a picture has nothing to compare
# Images of a thread, pictures, candidates, and pairs at once.
_DECODED, _HASHED, _LOOKED_UP, _FITTED = 16, 4096, 1 << 21, 64
_ROUNDS = 3  # of finding the best cut along one side, then along the other
_BICUBIC = 3  # of PIL.Image.Resampling
WHOLE: Box = (0.0, 1.0)


class Pairs(NamedTuple):
    """Pairs of rows, the lower one left, shape (p,) each, and how similar they are, up to 1."""

    left: Rows
    right: Rows
    similarity: NDArray[np.float64]


def small_pictures(ds: Dataset, column: str) -> tuple[Pictures, dict[int, str]]:
    """Decode all images, in each process its share, in threads.

    Returns:
        Small grey pictures, shape (n, 48, 48), zero where an image cannot be read; and these rows with the reason.
    """
    images = EncodedImages(ds, column)
    own = np.array_split(np.arange(len(ds), dtype=np.int64), num_processes())[process_index()]
    found = np.zeros((len(own), SIDE, SIDE), dtype=np.uint8)
    unreadable: dict[int, str] = {}

    def make(place: int) -> None:
        row = int(own[place])
        try:
            image = images.decoded(row)
            if image is None:
                unreadable[row] = NO_IMAGE
                return
            grey = to_rgb(image).convert("L").resize((SIDE, SIDE), resample=_BICUBIC, reducing_gap=3.0)
            found[place] = np.asarray(grey)
        except Exception as error:  # decoders raise errors of many types
            unreadable[row] = error_line(error)

    def make_some(part: slice) -> None:
        for place in range(part.start, part.stop):
            make(place)

    with (
        Workers(os.cpu_count() or 1) as workers,
        tqdm(total=len(own), desc="Pictures", unit="image", leave=False, disable=not is_main_process()) as bar,
    ):
        for part, _ in workers.ahead(make_some, slices(len(own), _DECODED)):
            bar.update(part.stop - part.start)
    reasons = {row: why for rows in gather_objects([unreadable]) for row, why in rows.items()}
    return gather_rows(own, found, len(ds)), reasons


def pixel_copies(pictures: Pictures, parts: Rows | None = None, least: float = LEAST_SIMILARITY) -> Pairs:
    """Find the pairs of pictures that show the same image.

    Pictures without edges, which are all alike, are copies of nothing. Of equal pictures of one part the first alone is
    compared with others, and the rest are paired with it and with what it is paired with.

    Args:
        pictures: As `small_pictures` makes them, shape (n, 48, 48).
        parts: Part of each, such as the split that it is in, shape (n,); then only pairs of two parts count.
        least: Similarity of a copy.

    Returns:
        The pairs, none twice.

    References:
        Zauner (2010), Implementation and benchmarking of perceptual image hash functions, has the hash. Norouzi, Punjani &
        Fleet (2012), Fast search in Hamming space with multi-index hashing, the search. Deviation: a hash that nearly agrees
        makes a candidate only.
    """
    rough = np.flatnonzero(_have_edges(pictures))
    first, same = _distinct(pictures[rough], None if parts is None else parts[rough])
    rows = rough[first]
    found = _copies_of_distinct(pictures[rows], None if parts is None else parts[rows], least)
    pairs = Pairs(rows[found.left], rows[found.right], found.similarity)
    copies = np.setdiff1d(np.arange(len(rough)), first)  # of pictures that are equal
    originals, copies = rough[same[copies]], rough[copies]
    pairs = _for_each_equal(pairs, originals, copies)
    if parts is not None:
        return pairs
    return _once([pairs, Pairs(originals, copies, np.ones(len(copies)))])


def _for_each_equal(pairs: Pairs, originals: Rows, copies: Rows) -> Pairs:
    """Add the pairs of pictures that equal one of a pair, each with the other one of it."""
    left, right, similarity = (list(part) for part in pairs)
    for side, other in ((pairs.left, pairs.right), (pairs.right, pairs.left)):
        order = np.argsort(side, kind="stable")
        starts, stops = (np.searchsorted(side[order], originals, end) for end in ("left", "right"))
        for copy, start, stop in zip(copies.tolist(), starts.tolist(), stops.tolist(), strict=True):
            for place in order[start:stop].tolist():
                left.append(min(copy, int(other[place])))
                right.append(max(copy, int(other[place])))
                similarity.append(pairs.similarity[place])
    return Pairs(np.array(left, np.int64), np.array(right, np.int64), np.array(similarity, np.float64))


def _have_edges(pictures: Pictures) -> NDArray[np.bool_]:
    found = np.zeros(len(pictures), dtype=bool)
    for part in slices(len(pictures), _HASHED):
        edges = _edges(_cut(pictures[part], WHOLE, WHOLE, GRID))
        found[part] = np.square(edges).mean(axis=1) > _FLAT**2
    return found


def _distinct(pictures: Pictures, parts: Rows | None) -> tuple[Rows, Rows]:
    """Return the first of each kind of equal pictures of a part, ascending, and for all pictures the first of their kind."""
    own = np.zeros(len(pictures), np.int64) if parts is None else parts
    digests = [
        blake2b(picture.tobytes() + bytes(part), digest_size=16).digest()
        for picture, part in zip(pictures, own, strict=True)
    ]
    if not digests:
        return own, own
    _, first, kind = np.unique(np.frombuffer(b"".join(digests), "V16"), return_index=True, return_inverse=True)
    return np.sort(first), first[kind.ravel()]


def _copies_of_distinct(pictures: Pictures, parts: Rows | None, least: float) -> Pairs:
    edges = [(0.0, 1 - _CUT), (_CUT / 2, 1 - _CUT / 2), (_CUT, 1.0)]
    ways = [*product((False, True), [(WHOLE, WHOLE), *product(edges, edges)])]
    table = _Table(_hashes(pictures, (WHOLE, WHOLE), mirrored=False))
    looked_at = nothing = np.empty(0, np.int64)
    found = [Pairs(nothing, nothing, np.empty(0))]
    for mirrored, sides in tqdm(ways, desc="Copies", unit="cut", leave=False, disable=not is_main_process()):
        for cut, whole in table.near(_hashes(pictures, sides, mirrored)):
            wanted = (cut < whole) if sides == (WHOLE, WHOLE) else (cut != whole)
            if parts is not None:
                wanted &= parts[cut] != parts[whole]
            cut, whole = cut[wanted], whole[wanted]
            names = (np.minimum(cut, whole) * len(pictures) + np.maximum(cut, whole)) * 2 + mirrored
            names, first = np.unique(names, return_index=True)
            new = ~np.isin(names, looked_at, assume_unique=True)
            names, cut, whole = names[new], cut[first[new]], whole[first[new]]
            similarity = _similarity_at(pictures, cut, whole, sides, mirrored)
            looked_at = np.union1d(looked_at, names[similarity >= _PROMISING])
            likely = (similarity >= _PROMISING) & (similarity < least)
            similarity[likely] = _best_similarity(pictures, cut[likely], whole[likely], mirrored)
            pairs = Pairs(np.minimum(cut, whole), np.maximum(cut, whole), similarity)
            is_copy = similarity >= least
            found.append(Pairs(pairs.left[is_copy], pairs.right[is_copy], similarity[is_copy]))
    return _once(found)


def _once(found: list[Pairs]) -> Pairs:
    """Join pairs; of those that were found as they are and mirrored the more similar stay."""
    left, right, similarity = (np.concatenate([pairs[place] for pairs in found]) for place in range(3))
    order = np.lexsort((-similarity, right, left))
    left, right, similarity = left[order], right[order], similarity[order]
    new = np.ones(len(left), dtype=bool)
    new[1:] = (left[1:] != left[:-1]) | (right[1:] != right[:-1])
    return Pairs(left[new], right[new], np.minimum(similarity[new], 1.0))


class _Table:
    """Hashes by their parts of 16 bits."""

    def __init__(self, hashes: NDArray[np.uint64]) -> None:
        self.hashes = hashes
        values = _parts_of(hashes)
        self.orders = [np.argsort(part, kind="stable") for part in values]
        self.starts = [np.concatenate([[0], np.cumsum(np.bincount(part, minlength=1 << 16))]) for part in values]

    def near(self, hashes: NDArray[np.uint64]) -> Iterator[tuple[Rows, Rows]]:
        """Yield the pairs of a given hash and one of the table that differ in at most 7 bits, some of them up to four times."""
        flips = np.concatenate([[0], 1 << np.arange(16)])
        for part, values in enumerate(_parts_of(hashes)):
            keys = values[:, None] ^ flips
            firsts, lasts = self.starts[part][keys], self.starts[part][keys + 1]
            ends = np.cumsum((lasts - firsts).sum(axis=1))
            edges = np.searchsorted(ends, np.arange(_LOOKED_UP, ends[-1] if len(ends) else 0, _LOOKED_UP))
            for start, stop in pairwise(np.unique([0, *edges.tolist(), len(hashes)]).tolist()):
                sizes = (lasts - firsts)[start:stop].ravel()
                places = np.arange(sizes.sum()) + np.repeat(
                    firsts[start:stop].ravel() - np.cumsum(sizes) + sizes, sizes
                )
                given = start + np.repeat(np.arange(stop - start), sizes.reshape(-1, len(flips)).sum(axis=1))
                known = self.orders[part][places]
                near = np.bitwise_count(hashes[given] ^ self.hashes[known]) <= _MOST_BITS
                yield given[near], known[near]


def _parts_of(hashes: NDArray[np.uint64]) -> list[Rows]:
    return [((hashes >> np.uint64(16 * part)) & np.uint64(0xFFFF)).astype(np.int64) for part in range(_PARTS)]


def _hashes(pictures: Pictures, sides: tuple[Box, Box], mirrored: bool) -> NDArray[np.uint64]:
    """Return the signs, against their median, of the 64 lowest cosine coefficients of cut pictures, shape (n,)."""
    rows, columns = (_cosines() @ _cutter(side, _SAMPLES) for side in sides)
    found = np.empty(len(pictures), dtype=np.uint64)
    for part in slices(len(pictures), _HASHED):
        low = (rows @ _turned(pictures[part], mirrored) @ columns.T).reshape(-1, _LOW * _LOW)
        bits = low > np.median(low, axis=1, keepdims=True)
        found[part] = np.packbits(bits, axis=1).view(np.uint64)[:, 0]
    return found


def _similarity_at(
    pictures: Pictures, cut: Rows, whole: Rows, sides: tuple[Box, Box], mirrored: bool
) -> NDArray[np.float64]:
    """Compare cut pictures with whole ones, shape (p,)."""
    found = np.empty(len(cut))
    for part in slices(len(cut), _HASHED):
        one = _unit(_edges(_cut(_turned(pictures[cut[part]], mirrored), *sides, GRID)))
        found[part] = (one * _unit(_edges(_cut(pictures[whole[part]], WHOLE, WHOLE, GRID)))).sum(axis=1)
    return found


def _best_similarity(pictures: Pictures, left: Rows, right: Rows, mirrored: bool) -> NDArray[np.float64]:
    """Compare pairs at the cut of either picture that fits the other best, shape (p,)."""
    found = np.empty(len(left))
    for part in slices(len(left), _FITTED):
        one, other = _turned(pictures[left[part]], mirrored), pictures[right[part]].astype(np.float32)
        found[part] = np.maximum(_fitted(one, other), _fitted(other, one))
    return found


def _fitted(cut: Array, whole: Array) -> Array:
    """Return the similarity at the best cut of each picture, found along one side and then the other, shape (p,)."""
    target = _unit(_edges(_cut(whole, WHOLE, WHOLE, GRID)))
    cutters = np.stack([_cutter(box, GRID) for box in _boxes()])  # (boxes, GRID, SIDE)
    best = [np.zeros(len(cut), dtype=np.int64)] * 2  # the box along rows, and along columns
    for _ in range(_ROUNDS):
        for side in (1, 0):
            lines = cutters[best[1 - side]] @ (cut if side else cut.transpose(0, 2, 1))  # (p, GRID, SIDE)
            tried = (lines @ cutters.reshape(-1, SIDE).T).reshape(len(cut), GRID, -1, GRID).transpose(0, 2, 1, 3)
            tried = tried if side else tried.swapaxes(2, 3)
            shape = tried.shape[:2]
            edges = _unit(_edges(tried.reshape(-1, GRID, GRID))).reshape(*shape, -1)
            similar = np.einsum("pbe,pe->pb", edges, target)
            best[side] = similar.argmax(axis=1)
    return similar.max(axis=1)


@cache
def _boxes() -> tuple[Box, ...]:
    """Return all cuts of a side of which at most a tenth is gone, the whole one first."""
    steps = range(round(_MOST_CUT / _STEP) + 1)
    return tuple((low * _STEP, 1 - high * _STEP) for low in steps for high in steps if low + high < len(steps))


@cache
def _cutter(box: Box, size: int) -> NDArray[np.float32]:
    """Return the matrix that averages a side of a picture, from one end of a box to the other, into pixels, (size, 48)."""
    ends = np.linspace(box[0] * SIDE, box[1] * SIDE, size + 1)
    pixels = np.arange(SIDE)
    weights = np.minimum(ends[1:, None], pixels + 1) - np.maximum(ends[:-1, None], pixels)
    weights = np.maximum(weights, 0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


@cache
def _cosines() -> NDArray[np.float32]:
    """Return the lowest waves of the cosine transform, (8, 32)."""
    waves = np.cos(np.pi / _SAMPLES * (np.arange(_SAMPLES) + 0.5) * np.arange(_LOW)[:, None])
    waves[0] /= np.sqrt(2)
    return waves.astype(np.float32)


def _cut(pictures: Array, rows: Box, columns: Box, size: int) -> Array:
    return _cutter(rows, size) @ pictures.astype(np.float32, copy=False) @ _cutter(columns, size).T


def _turned(pictures: Array, mirrored: bool) -> Array:
    return (pictures[:, :, ::-1] if mirrored else pictures).astype(np.float32)


def _edges(pictures: Array) -> Array:
    """Return how much each pixel differs from its neighbours above and at its left, shape (n, 2 * (s - 1)²)."""
    inner = pictures[:, 1:, 1:]
    return np.stack([inner - pictures[:, :-1, 1:], inner - pictures[:, 1:, :-1]], axis=1).reshape(len(pictures), -1)


def _unit(vectors: Array) -> Array:
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    return vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
