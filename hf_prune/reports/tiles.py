"""Tiles of a report: a thumbnail of each row that is shown, no more bytes in all than a page may have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from hf_prune.data.thumbnails import Thumbnail, thumbnail
from hf_prune.reports.choice import Group
from hf_prune.reports.rows import Rows

SIDES = (160, 128, 96, 64, 48)  # pixels of a thumbnail; the largest at which all fit is taken
MAX_BYTES = 3_800_000  # of all thumbnails, of a page of 5 MB
_TRIED = 24  # images that the size of all is judged by
_TINY = 80  # pixels: images up to there are enlarged with sharp pixels


@dataclass(frozen=True)
class Tile:
    """One row as the page shows it.

    Attributes:
        row: Its number.
        image: Its thumbnail.
        lines: What stands below.
        alternative: The same for a screen reader.
        code: Code of its class.
        reason_number: Number of its reason, as the filter names it.
        verdict: ``"kept"``, ``"dropped"`` or empty.
        is_suspect: Whether its label looks wrong.
        is_extra: Whether it is shown only where its class is asked for.
        is_tiny: Whether its pixels are to be seen.
    """

    row: int
    image: Markup
    lines: Sequence[str]
    alternative: str
    code: int
    reason_number: int
    verdict: str
    is_suspect: bool
    is_extra: bool
    is_tiny: bool


@dataclass(frozen=True)
class TiledGroup:
    """A group of a gallery with its tiles."""

    name: str
    text: str
    tiles: list[Tile]


@dataclass
class Tiles:
    """Maker of tiles, which makes each thumbnail once.

    Attributes:
        rows: The rows.
        caption: From a group and a row to the lines below its image.
        reasons: Reason, without the row that a duplicate repeats → its number in the filter.
    """

    rows: Rows
    caption: Callable[[Group, int], list[str]]
    reasons: dict[str, int] = field(default_factory=dict)
    _made: dict[int, Thumbnail] = field(default_factory=dict)

    def make(self, groups: Sequence[Sequence[Group]]) -> list[list[TiledGroup]]:
        """Make the tiles of several lists of groups, in one budget."""
        uses = [row for found in groups for group in found for row in (*group.rows, *group.of_classes)]
        self._shrink(uses)
        return [[TiledGroup(group.name, group.text, self._tiles(group)) for group in found] for found in groups]

    def _shrink(self, uses: Sequence[int]) -> None:
        """Make the thumbnails of all rows that are used as large as the budget allows."""
        if self.rows.images is None:
            return
        tried = uses[:: max(1, len(uses) // _TRIED)]
        for side in SIDES:
            sizes = [len(thumbnail(self.rows.images, row, side).data) for row in tried]
            if sum(sizes) / max(len(sizes), 1) * len(uses) > MAX_BYTES and side != SIDES[-1]:
                continue
            self._made = {row: thumbnail(self.rows.images, row, side) for row in dict.fromkeys(uses)}
            if sum(len(self._made[row].data) for row in uses) <= MAX_BYTES:
                return
        self._drop_last(uses)

    def _drop_last(self, uses: Sequence[int]) -> None:
        """Leave out the last images where even the smallest thumbnails are too large."""
        total = 0
        for row in uses:
            total += len(self._made[row].data)
            if total > MAX_BYTES:
                self._made[row] = Thumbnail("", 0, 0, "the page is full")

    def _tiles(self, group: Group) -> list[Tile]:
        shown = [(row, False) for row in group.rows] + [(row, True) for row in group.of_classes]
        return [self._tile(group, row, is_extra) for row, is_extra in shown]

    def _tile(self, group: Group, row: int, is_extra: bool) -> Tile:
        rows, small = self.rows, self._made.get(row, Thumbnail("", 0, 0, "there is none"))
        reason = rows.reason(row).partition(" of row ")[0]
        lines = self.caption(group, row)
        file_name = rows.file_name(row)
        return Tile(
            row=row,
            image=small.tag(""),
            lines=[*lines, *([file_name] if file_name else [])],
            alternative=", ".join(lines[1:] or lines),
            code=-1 if rows.labels is None else int(rows.labels.codes[row]),
            reason_number=self.reasons.setdefault(reason, len(self.reasons) + 1),
            verdict=rows.verdict(row),
            is_suspect=rows.is_suspect(row),
            is_extra=is_extra,
            is_tiny=0 < max(small.width, small.height) <= _TINY,
        )
