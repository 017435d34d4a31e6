"""Galleries: images of the rows that tell most of scores and cuts, with row numbers and marks, at a size at which one sees something."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset
from markupsafe import Markup

from hf_prune.cleaning.duplicates import Duplicates
from hf_prune.cleaning.label_noise import LabelNoise
from hf_prune.data.columns import find_image_column
from hf_prune.data.thumbnails import thumbnail
from hf_prune.reports.choice import Group, choose_groups
from hf_prune.reports.rows import Rows, read_rows
from hf_prune.runtime.arguments import check_count
from hf_prune.runtime.figures import DROPPED, KEPT, SUSPECT, new_figure
from hf_prune.runtime.html import fragment, plain, shown
from hf_prune.runtime.messages import shortened
from hf_prune.scoring.plots import draw_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIDE = 128  # pixels of an image in a notebook
_SHOWN = 22  # characters of a line below an image of a picture
_PER_IMAGE = 16  # characters of a heading above each image
_HEIGHT = 1.62  # of a line in a picture, in widths of an image: below each are three lines of text


@dataclass(frozen=True)
class Gallery:
    """Groups of rows with their images; a notebook shows it, and `plot` draws it.

    A frame says what became of a row: blue and whole, kept; grey and dashed, dropped; vermilion, its label looks wrong.

    Attributes:
        rows: All rows, with what is known of each.
        groups: Those that are shown.
    """

    rows: Rows
    groups: tuple[Group, ...]

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(group.rows)} {group.name.lower()}" for group in self.groups)
        return f"Gallery({plain(self.rows.column)!r} of {len(self.rows):,} rows: {sizes})"

    def _repr_html_(self) -> str:
        heading = Markup('<div style="margin:12px 0 4px"><b>{}</b> {}</div>')
        line = Markup('<div style="display:flex;flex-wrap:wrap;gap:10px">{}</div>')
        parts: list[Any] = [_legend()]
        for group in self.groups:
            tiles = Markup("").join(self._tile(group, row) for row in group.rows)
            parts += [heading.format(group.name, group.text), line.format(tiles)]
        return fragment(*parts)

    def _tile(self, group: Group, row: int) -> Markup:
        colour, style = self.frame(row)
        image = Markup("")
        if self.rows.images is not None:
            small = thumbnail(self.rows.images, row, _SIDE)
            image = small.tag(" ".join(self.caption(group, row)), _SIDE)
        lines = Markup("<br>").join(shown(text, 40) for text in self.caption(group, row))
        tile = Markup(
            '<div style="width:{width}px;font-size:11px;overflow-wrap:anywhere">'
            '<div style="border:3px {style} {colour};display:inline-block;line-height:0;image-rendering:{how}">{image}</div>'
            "<br>{lines}</div>"
        )
        how = Markup("pixelated" if self._is_tiny() else "auto")
        return tile.format(width=_SIDE + 8, style=style, colour=colour, how=how, image=image, lines=lines)

    def _is_tiny(self) -> bool:
        first = next((group.rows[0] for group in self.groups), None)
        if first is None or self.rows.images is None:
            return False
        small = thumbnail(self.rows.images, first, _SIDE)
        return 0 < max(small.width, small.height) <= _SIDE // 2

    def caption(self, group: Group, row: int) -> list[str]:
        """Return what stands below an image: row and score, class, what became of the row and what is said of it."""
        score, label = self.rows.score(row), self.rows.label(row)
        first = f"row {row}" + ("" if score is None else f" · {score:.3g}")
        verdict = ": ".join(filter(None, [self.rows.verdict(row), self.rows.reason(row)]))
        return [text for text in (first, label, group.notes.get(row, ""), verdict) if text]

    def frame(self, row: int) -> tuple[str, str]:
        """Return colour and style of the frame of a row."""
        verdict = self.rows.verdict(row)
        style = "dashed" if verdict == "dropped" else "solid"
        return SUSPECT if self.rows.is_suspect(row) else KEPT if verdict == "kept" else DROPPED, style

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the images, a line per group.

        Args:
            ax: Where to draw; None makes a figure of its own, ``ax.figure``.

        Returns:
            The axes. Below each image its row and score, its class, and what is said of it.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        width, lines = max((len(group.rows) for group in self.groups), default=1), max(len(self.groups), 1)
        if ax is None:
            ax = new_figure(1.15 * width + 0.4, 1.15 * _HEIGHT * lines + 0.6).subplots()
        for number, group in enumerate(self.groups):
            words = shortened(f"{group.name}: {group.text}", _PER_IMAGE * width)
            heading = ax.text(-0.46, _HEIGHT * number - 0.56, words, fontsize=8, weight="bold", parse_math=False)
            heading.set_in_layout(False)  # it may be wider than few images, whose size it must not change
            for place, row in enumerate(group.rows):
                self._draw(group, row, ax, place, _HEIGHT * number)
        limits = {"xlim": (-0.55, width - 0.45), "ylim": (_HEIGHT * lines - 0.55, -0.75)}
        ax.set(**limits, aspect="equal", xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        return ax

    def _draw(self, group: Group, row: int, ax: "Axes", place: float, line: float) -> None:
        """Draw the image of a row into its unit square, its frame around it and its caption below."""
        from matplotlib.patches import Rectangle

        image = None if self.rows.images is None else self.rows.images.decoded(row)
        if image is not None:
            draw_image(ax, image, place, line)
        colour, style = self.frame(row)
        corner, width = (place - 0.475, line - 0.475), 1.6  # points
        frame = Rectangle(corner, 0.95, 0.95, fill=False, edgecolor=colour, linestyle=style, linewidth=width)
        ax.add_patch(frame)
        words = "\n".join(plain(text, _SHOWN) for text in self.caption(group, row))
        ax.text(place, line + 0.52, words, ha="center", va="top", fontsize=6, parse_math=False)

    def save(self, path: str | Path) -> Path:
        """Write the gallery as a picture, or as a page where the path ends in ``.html``; return the path."""
        if str(path).endswith((".html", ".htm")):
            page = f'<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8"><title>Gallery</title>\n{self._repr_html_()}\n</html>\n'
            Path(path).write_text(page, encoding="utf-8")
        else:
            self.plot().figure.figure.savefig(path, dpi=150)
        return Path(path)


def _legend() -> Markup:
    words = ((KEPT, "solid", "kept"), (DROPPED, "dashed", "dropped"), (SUSPECT, "solid", "label looks wrong"))
    mark = Markup('<span style="border:2px {} {};padding:0 6px;margin-right:8px">{}</span>')
    return Markup("").join(mark.format(style, colour, text) for colour, style, text in words)


def gallery(
    ds: Dataset,
    kept: Dataset | None = None,
    *,
    metric: str | None = None,
    noise: LabelNoise | None = None,
    duplicates: Duplicates | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    num_images: int = 8,
) -> Gallery:
    """Show the images that tell most of scores and a cut: both ends, both sides of the cut, suspects and duplicates.

    Nothing is computed but thumbnails: scores are read, reasons are in the history of what was kept, and wrong labels and
    duplicates are shown where somebody has looked for them.

    Args:
        ds: A scored data set, n rows.
        kept: What `prune` made of it; None shows the scores alone.
        metric: The score column; None takes that of the cut, else the one that was made last.
        noise: What `label_noise` found in ``ds``.
        duplicates: What `duplicates` found in ``ds``.
        image_column: Column with the images; None takes the only ``Image`` column.
        label_column: Column with the classes; None takes that of the cut, else the only ``ClassLabel`` column.
        num_images: Images of each group at most.

    Returns:
        A `Gallery`: a notebook shows it, ``gallery(...).save("gallery.png")`` or ``"gallery.html"`` writes it.

    Raises:
        ValueError: If there are no images or scores, or ``kept`` was not cut from ``ds``.
        TypeError: If one of them is no single ``Dataset``.

    Example:
        >>> from datasets import Features, Image, Value
        >>> rows = {"image": [None] * 4, "difficulty": [0.1, 0.9, 0.5, 0.7]}
        >>> ds = Dataset.from_dict(rows, features=Features({"image": Image(), "difficulty": Value("float32")}))
        >>> gallery(ds, ds.prune("difficulty", keep=0.5, order="hard"), num_images=1)
        Gallery('difficulty' of 4 rows: 1 lowest scores, 1 just dropped, 1 just kept, 1 highest scores)
    """
    check_count("num_images", num_images, 1)
    find_image_column(ds, image_column)
    rows = read_rows(
        ds,
        kept,
        metric=metric,
        image_column=image_column,
        label_column=label_column,
        noise=noise,
        duplicates=duplicates,
    )
    return Gallery(rows, tuple(choose_groups(rows, num_images)))
