"""Predictions of a detector for each annotated box, of which a metric is asked one by one; a row gets the mean over its boxes."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from datasets.utils import tqdm
from numpy.typing import NDArray

from hf_prune.data.boxes import Boxes, choose_format, count_misfits, parts_of_images, read_boxes
from hf_prune.data.columns import Labels
from hf_prune.data.memberships import Membership
from hf_prune.metrics import box_matching
from hf_prune.metrics.rows import row_blocks
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.processes import gather_objects, is_main_process, together
from hf_prune.scoring.from_models import run, teachers_of
from hf_prune.scoring.labels import class_order, plain_name
from hf_prune.scoring.pool import InputPool
from hf_prune.scoring.request import BoxRows

if TYPE_CHECKING:
    from hf_prune.engine.loop import ModelRows
    from hf_prune.models.detectors import Detections
    from hf_prune.models.loaded_model import LoadedModel


def detectors(pool: InputPool) -> "list[LoadedModel]":
    """Return the teachers of a request, their weights not yet read, if they are detectors; else none of them."""
    if pool.request.teachers is None:
        return []
    found = teachers_of(pool.request, boxes=True)
    kinds = {model.is_detector for model in found}
    if len(kinds) > 1:
        raise InputError("some of the teachers are detectors and some are not: give one kind")
    return found if kinds == {True} else []


def make_box_probs(pool: InputPool, models: "list[LoadedModel]", column: str, made_from: dict[str, Any]) -> None:
    """Make ``probs`` (detectors, boxes, classes + 1) and ``labels`` (boxes,), no object behind the classes.

    A box has the probabilities of the query that it is assigned, see `hf_prune.metrics.box_matching`. A row without boxes has
    those of all queries, whose label is no object.

    Args:
        pool: Where they go.
        models: Detectors.
        column: The column of objects.
        made_from: How the history calls the labels.

    Raises:
        ValueError: If a detector does not know the classes, detectors differ in their classes or queries, boxes fit no format,
            or rows have objects none of which has a class and an area within the image.
    """
    boxes = read_boxes(pool.ds, column)
    chosen = [_Detector(model, boxes.labels, f"teacher {number}") for number, model in enumerate(models, start=1)]
    runs = [
        run(pool.ds, pool.request, model, f"Detector {number} of {len(models)}")
        for number, model in enumerate(models, start=1)
    ]
    for found in runs:
        pool.hold(found.rows, found.unreadable)
    if len({(one.classes, found.stored.shape[1]) for one, found in zip(chosen, runs, strict=True)}) > 1:
        raise InputError("the detectors differ in the number of their classes or queries: give some with the same")
    targets, box_format = _targets(pool, boxes, column, chosen[0], runs[0])
    parts = [_matched(one, found, targets) for one, found in zip(chosen, runs, strict=True)]
    how = {"class_cost": box_matching.CLASS_COST, "bbox_cost": box_matching.BBOX_COST}
    how |= {"giou_cost": box_matching.GIOU_COST}
    identities = [model.identity for model in models]
    pool.made_from["probs"] = {"teachers": identities, **made_from, "boxes": {"format": box_format, **how}}
    pool.made_from["labels"] = made_from
    labels = parts[0][1]  # those of all: which query a box is assigned does not change them
    pool.local["labels"] = labels
    pool.local["probs"] = BoxRows(np.stack([probs for probs, _ in parts]), labels.boxes)


class _Detector:
    """A detector and where it has the classes of the labels; it may know others, too, as many number theirs with gaps."""

    def __init__(self, model: "LoadedModel", labels: Labels, who: str) -> None:
        self.classes = model.num_classes or 0  # of a detector the config says how many
        known = {plain_name(name) for name in model.names or ()}
        named = labels.names is not None and {plain_name(name) for name in labels.names} <= known
        wanted = Labels(labels.codes, labels.names, complete=labels.complete and not named)
        order = class_order(wanted, model.names, self.classes, who) or list(range(wanted.num_classes))
        self._columns = [*order, *sorted(set(range(self.classes + 1)) - set(order))]

    def detections(self, found: "ModelRows") -> "Iterator[tuple[slice, Detections]]":
        """Yield blocks of rows: which, and what was found there, the logits in the order of the labels, no object last."""
        from hf_prune.models.detectors import split_boxes

        for rows in row_blocks(*found.stored.shape):
            block = split_boxes(found.stored[rows], self.classes)
            yield rows, block._replace(logits=block.logits[..., self._columns])


class _Targets(NamedTuple):
    """Boxes of the rows of this process with a class and an area: where those of each row begin, their classes, and themselves."""

    starts: NDArray[np.int64]
    codes: NDArray[np.int64]
    boxes: NDArray[np.float64]


def _targets(
    pool: InputPool, boxes: Boxes, column: str, detector: _Detector, found: "ModelRows"
) -> tuple[_Targets, str]:
    """Return the boxes of this process's rows, and what their numbers are; leave out rows whose objects are unknown."""
    sizes = np.concatenate([np.empty((0, 2)), *(block.sizes for _, block in detector.detections(found))])
    place = np.full(len(pool.ds), -1, dtype=np.int64)
    place[found.rows] = np.arange(len(found.rows))
    here = place[boxes.rows] >= 0
    at, numbers, codes = place[boxes.rows[here]], boxes.numbers[here], boxes.labels.codes[here]
    counts = np.sum(together(lambda: count_misfits(numbers, sizes[at])), axis=0)
    box_format = choose_format(counts, column)
    parts = parts_of_images(numbers, sizes[at], box_format)
    good = (codes >= 0) & (parts[:, 2:] > 0).all(axis=1)
    num_objects, num_good = (np.bincount(rows, minlength=len(found.rows)) for rows in (at, at[good]))
    unknown = boxes.missing[found.rows] | ((num_good == 0) & (num_objects > 0))
    what = "with a class and an area within the image"
    pool.leave_out(
        np.array(sorted(gather_objects(found.rows[unknown].tolist())), dtype=np.int64),
        f"no object {what}",
        f"have no object {what} in column {column!r}: give one, or an empty list where there is nothing to find",
    )
    return _Targets(np.concatenate([[0], np.cumsum(num_good)]), codes[good], parts[good]), box_format


def _matched(detector: _Detector, found: "ModelRows", targets: _Targets) -> tuple[NDArray[np.float32], BoxRows]:
    """Return the probabilities (boxes, classes + 1) of the boxes of each row by one detector, and their labels."""
    from scipy.special import softmax

    probs, labels, ends = [np.empty((0, detector.classes + 1), np.float32)], [targets.codes[:0]], [0]
    hidden = not is_main_process()
    with tqdm(total=len(found.rows), desc="Matching boxes", unit="row", leave=False, disable=hidden) as bar:
        for rows, block in detector.detections(found):
            predicted = softmax(block.logits, axis=2)
            for own, around, row in zip(predicted, block.boxes, range(rows.start, rows.stop), strict=True):
                mine = slice(targets.starts[row], targets.starts[row + 1])
                codes = targets.codes[mine]
                if len(codes):
                    own = own[box_matching.match_boxes(own, around, codes, targets.boxes[mine])]
                else:
                    codes = np.full(len(own), detector.classes)
                probs.append(own)
                labels.append(codes)
                ends.append(ends[-1] + len(codes))
            bar.update(rows.stop - rows.start)
    codes = np.concatenate(labels)
    return np.concatenate(probs), BoxRows(codes, Membership(np.array(ends), np.arange(len(codes))))
