"""Picture of duplicate images, a line per group, to judge a threshold by eye."""

from typing import TYPE_CHECKING

import numpy as np
from datasets import Dataset

from hf_prune.cleaning.duplicates import Duplicates
from hf_prune.data.columns import find_image_column
from hf_prune.data.images import EncodedImages
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.figures import new_figure
from hf_prune.scoring.plots import draw_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_duplicates(
    ds: Dataset,
    found: Duplicates,
    ax: "Axes | None" = None,
    *,
    conflicts: bool = False,
    image_column: str | None = None,
    num_groups: int = 8,
    num_images: int = 6,
) -> "Axes":
    """Show the images of the groups that hold together least, the row that stands for the others at the left.

    Args:
        ds: The data set in which the duplicates were found.
        found: What `hf_prune.duplicates` returned.
        ax: Where to draw; None makes a figure of its own, ``ax.figure``.
        conflicts: Show only groups that hold more than one class.
        image_column: Column with the images; None takes the only ``Image`` column.
        num_groups: Groups shown at most, the least similar first: they show whether the threshold is too low.
        num_images: Images of each group shown at most, the least similar ones.

    Returns:
        The axes. Below each image its row, how similar it is to the first one, and its class where there are some.

    Raises:
        ValueError: If the data set has other rows than the one searched, no such groups, or no images.
        ImportError: If matplotlib is not installed.
    """
    if len(ds) != len(found.duplicate_of):
        raise InputError(
            f"the data set has {len(ds)} rows, the duplicates are of {len(found.duplicate_of)}: give that one"
        )
    groups = found.label_conflicts if conflicts else found.groups
    if not groups:
        raise InputError(
            f"there are no groups of duplicates{' with more than one class' if conflicts else ''} to show"
        )
    images = EncodedImages(ds, find_image_column(ds, image_column))
    shown = sorted(groups, key=lambda group: (found.similarity[group[1:]].min(), group))[:num_groups]
    lines = [
        [group[0], *sorted(group[1:], key=lambda row: found.similarity[row])[: num_images - 1]] for group in shown
    ]
    width = max(map(len, lines))
    ax = ax if ax is not None else new_figure(1.1 * width + 0.3, 1.35 * len(lines) + 0.4).subplots()
    for place, line in enumerate(lines):
        for column, row in enumerate(line):
            draw_image(ax, images.decoded(row), column, 1.35 * place)
            ax.text(column, 1.35 * place + 0.52, _caption(found, row), ha="center", va="top", fontsize=6)
    ax.set(xlim=(-0.55, width - 0.45), ylim=(1.35 * len(lines) - 0.5, -0.5), aspect="equal", xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.set_title(f"{len(lines)} of {len(groups)} groups, least similar first")
    return ax


def _caption(found: Duplicates, row: int) -> str:
    similar = found.similarity[row]
    first = f"row {row}" if np.isnan(similar) else f"row {row}: {similar:.3f}"
    return first if found.labels is None else f"{first}\n{found.labels.name(int(found.labels.codes[row]))}"
