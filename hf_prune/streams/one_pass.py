"""Prune a stream while it is read for the first time, by a sketch of the scores that have come so far."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hf_prune.scoring.scores import read_scores
from hf_prune.selection.cut import Keys, sortable
from hf_prune.selection.in_blocks import cannot_rank, find_unranked
from hf_prune.streams.source import StreamSource

# Of the rows with a score that have come so far, the share that is kept is never farther from what was asked than this, as
# a part of it; half a row more or less where there are few.
SHARE_WITHIN = 0.01
_SAMPLE = 4096  # scores held of a shard; the quantile of so many is off by 0.8 points at most, two times in three


@dataclass(frozen=True)
class KeptShare:
    """Reads a stream and keeps a share of each shard, by the scores in a column.

    The cut is the quantile of a uniform sample of the scores of the shard so far. It is moved where the share kept would
    leave its bounds, as it would in a shard that is sorted by score. Shards know nothing of each other, so that they can
    be read in any order, by any process, and again from any state.

    Args:
        source: The stream.
        column: The score column.
        keep: The share, in (0, 1].
        order: ``"hard"``, ``"easy"`` or ``"random"``.
        seed: Seed of the sample, and of the draw for ``"random"``.
    """

    source: StreamSource
    column: str
    keep: float
    order: str
    seed: int

    def tables(self, shard: int) -> Iterator[tuple[str, pa.Table]]:
        """Read a shard: tables of the rows that are kept, images as bytes.

        Raises:
            ValueError: If a score is NaN or -inf.
        """
        generator = np.random.default_rng([self.seed, shard])
        sample, seen, kept = np.empty(0, np.uint64), 0, 0
        for block in self.source.blocks(shard):
            scores = read_scores(block.rows, self.column)
            scored = np.flatnonzero(~np.ma.getmaskarray(scores))
            values = np.ma.getdata(scores)[scored]
            if len(bad := find_unranked(values)):
                row = block.start + int(scored[bad[0]])
                raise cannot_rank(f"{row} of shard {shard} of the stream", values[bad[0]], len(bad))
            keys = self._keys(values, generator)
            sample = _add(sample, keys, seen, generator)
            seen += len(keys)
            count = self._count(keys, sample, seen, kept)
            kept += count
            best = np.sort(np.argsort(keys, kind="stable")[len(keys) - count :])
            if count:
                yield f"{shard}_{block.number}", block.rows.data.table.take(pa.array(scored[best]))

    def _keys(self, values: NDArray[np.generic], generator: np.random.Generator) -> Keys:
        """Return keys, the higher the better."""
        if self.order == "random":
            return generator.integers(0, 2**64, len(values), dtype=np.uint64)
        return sortable(values) if self.order == "hard" else ~sortable(values)

    def _count(self, keys: Keys, sample: NDArray[np.uint64], seen: int, kept: int) -> int:
        """Count the rows of a block that are kept: those above the cut, within the bounds of the share."""
        if not len(keys):
            return 0
        cut = np.sort(sample)[min(int((1 - self.keep) * len(sample)), len(sample) - 1)]
        wanted = self.keep * seen
        slack = max(SHARE_WITHIN / 2 * wanted, 0.5)
        lowest, highest = ceil(wanted - slack) - kept, floor(wanted + slack) - kept
        return int(np.clip((keys >= cut).sum(), max(min(lowest, len(keys)), 0), max(min(highest, len(keys)), 0)))


def _add(sample: NDArray[np.uint64], keys: Keys, seen: int, generator: np.random.Generator) -> NDArray[np.uint64]:
    """Draw a uniform sample of all keys so far from that of the first ones and the new ones (Vitter's reservoir)."""
    room = _SAMPLE - len(sample)
    sample, rest = np.concatenate([sample, keys[:room]]), keys[room:]
    places = generator.integers(0, np.arange(seen + len(keys) - len(rest), seen + len(keys)) + 1)
    for place in np.flatnonzero(places < _SAMPLE):
        sample[places[place]] = rest[place]
    return sample
