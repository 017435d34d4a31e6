"""What was done to a data set, carried by the data set: one `Step` per call of `score_with` or `prune`.

Steps are marked lines of JSON in ``ds.info.description``, the one place that survives every transform inside
`datasets` and `save_to_disk`. What that place cannot know (a ``filter`` between two steps, a concatenation) is found
by comparing digests of the rows.
"""

import contextlib
import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from hf_prune.digests import column_digest, unpack_rows
from hf_prune.source import remember_source

MARK = "hf_prune step: "
# What a field of a step holds in JSON; those not listed hold text.
_NUMBER, _LIST = (int, float, np.number), (list, tuple)
_TYPES: dict[str, Any] = {
    **dict.fromkeys(("options", "inputs", "figures", "versions", "class_counts", "reasons", "evidence"), dict),
    **dict.fromkeys(("unscored", "columns", "parents"), _LIST),
    **dict.fromkeys(("seed", "rows_in", "rows_out", "floor_rows"), (int, np.integer)),
    **dict.fromkeys(("keep", "class_balance"), _NUMBER),
    "changed_before": bool,
}
_PACKAGES = ("hf-prune", "datasets", "transformers", "torch", "accelerate", "numpy", "pillow")


@dataclass(frozen=True)
class Step:
    """One call of ``score_with`` or ``prune``.

    Attributes:
        kind: ``"score"``, ``"combine"`` or ``"prune"``.
        metric: Name of the metric; ``"combine"`` for a combination of columns; for a pruning by a column that hf_prune did not make, the column's name.
        column: The score column that was made or read.
        options: Options of the metric as used, defaults included.
        inputs: How each input of the metric was made: encoder, teachers, record, label column, or the digest of a given
            array.
        figures: What is known of the score's quality: members of the ensemble, correlation between its halves, how
            well heads fit their training rows.
        evidence: What rules of pruning by this score gain over random rows, see `hf_prune.policy.Evidence`; of a pruning what it
            followed, where that was not recorded before.
        seed: The seed.
        rows_in: Rows before.
        rows_out: Rows after.
        unscored: Rows without a score: made null by a score step, dropped by a prune step (row numbers of its input).
        columns: Columns that ``digest`` covers: all but the scores.
        digest: `column_digest` of each of them after the step, joined by hyphens.
        changed_before: Whether the rows were changed by other means since the last step.
        parents: Ids of the steps that this one follows.
        versions: Versions of the packages that matter.
        keep: What was asked for, a fraction or a count (prune only, like all below).
        order: Which end was kept.
        class_balance: The floor, as a share of what equal pruning would leave each class.
        label_column: The column whose classes were balanced.
        class_counts: Class name → [rows before, rows after].
        floor_rows: Rows kept for the class floor alone.
        rows: The kept row numbers of the input, as written by `pack_rows`.
        rows_sha256: Digest of the same row numbers.
        reasons: Why each row was kept or dropped, as written by `pack_reasons`.
        decided: Why ``order="auto"`` chose this order, in words.
        id: First 16 hexadecimal digits of the SHA-256 of everything above.
    """

    kind: str
    metric: str
    column: str
    options: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, float] | None = None
    evidence: dict[str, Any] | None = None
    seed: int = 0
    rows_in: int = 0
    rows_out: int = 0
    unscored: tuple[int, ...] = ()
    columns: tuple[str, ...] = ()
    digest: str = ""
    changed_before: bool = False
    parents: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    keep: float | int | None = None
    order: str | None = None
    class_balance: float | None = None
    label_column: str | None = None
    class_counts: dict[str, list[int]] | None = None
    floor_rows: int | None = None
    rows: str | None = None
    rows_sha256: str | None = None
    reasons: dict[str, Any] | None = None
    decided: str | None = None
    id: str = ""

    @property
    def makes_scores(self) -> bool:
        """Whether the step made a score column."""
        return self.kind in ("score", "combine")

    def to_dict(self) -> dict[str, Any]:
        """The step as JSON-able data, without the fields that do not apply to its kind."""
        found = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in found.items() if value is not None}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Step":
        """Rebuild a step.

        Raises:
            ValueError: If a field is unknown or missing, or the id does not fit the content.
        """
        known = {item.name for item in fields(cls)}
        if not {"kind", "metric", "column", "id"} <= data.keys() <= known:
            raise ValueError(f"not a step of hf_prune: fields {sorted(data)}")
        wrong = [name for name, value in data.items() if not isinstance(value, _TYPES.get(name, str))]
        names = [*data.get("columns", ()), *data.get("parents", ())]
        if wrong or not all(isinstance(name, str) for name in names):
            raise ValueError(f"not a step of hf_prune: wrong type in {sorted(wrong) or ['columns', 'parents']}")
        lists: dict[str, Any] = {
            name: tuple(data[name]) for name in ("unscored", "columns", "parents") if name in data
        }
        step = cls(**(data | lists))
        if step.id != step.content_id():
            raise ValueError(f"step {step.id!r} was edited: its content has the id {step.content_id()!r}")
        return step

    def content_id(self) -> str:
        """The id that fits the content."""
        content = {name: value for name, value in self.to_dict().items() if name != "id"}
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=_plain).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class History:
    """The steps found on a data set.

    Attributes:
        steps: In the order they were made.
        damaged: Number of marked lines that could not be read.
    """

    steps: tuple[Step, ...]
    damaged: int = 0

    @property
    def heads(self) -> tuple[Step, ...]:
        """Steps that no other step follows; more than one after a concatenation of two histories."""
        followed = {parent for step in self.steps for parent in step.parents}
        return tuple(step for step in self.steps if step.id not in followed)

    def score_step(self, column: str) -> Step | None:
        """The last step that made a score column, or None."""
        made = [step for step in self.steps if step.makes_scores and step.column == column]
        return made[-1] if made else None

    def changed_since(self, ds: Dataset) -> bool:
        """Whether the rows at hand are other rows than the last step left behind."""
        if not self.steps:
            return False
        if len(self.heads) != 1 or self.damaged:
            return True
        last = self.heads[0]
        if len(ds) != last.rows_out:
            return True
        left = dict(zip(last.columns, last.digest.split("-"), strict=False))
        return not _same_rows(ds, left, {step.column for step in self.steps if step.makes_scores})

    def source_rows(self) -> NDArray[np.int64] | None:
        """Row numbers, in the data set of the first step, of the rows after the last one; None if not one chain."""
        if not self.steps or len(self.heads) != 1 or any(step.changed_before for step in self.steps):
            return None
        rows = np.arange(self.steps[0].rows_in, dtype=np.int64)
        for step in self.steps:
            if step.rows is not None:
                rows = rows[unpack_rows(step.rows, step.rows_in)]
        return rows


def _same_rows(ds: Dataset, left: dict[str, str], score_columns: set[str]) -> bool:
    """Whether the columns still are those that a step left behind; ``left`` is column → digest.

    A column that is gone was dropped or renamed. A renamed one is found again by its digest; where as many are gone
    as are new and some do not match, it was changed on the way.
    """
    names = ds.column_names  # made anew whenever it is read
    present = set(names)
    there = [column for column in left if column in present]
    if any(column_digest(ds, column) != left[column] for column in there):
        return False
    gone = {left[column] for column in left if column not in present}
    new: set[str] = set()
    if gone:
        added = [column for column in names if column not in left and column not in score_columns]
        new = {column_digest(ds, column) for column in added}
    return (gone <= new or new <= gone) and bool(there or gone & new)


def provenance(ds: Dataset) -> History:
    """Read the history that a data set carries.

    Args:
        ds: Any data set; one that hf_prune never touched has no steps.

    Returns:
        The `History`. Whether it still describes the rows at hand is answered by ``history.changed_since(ds)``.
    """
    return parse_history(ds.info.description or "")


def parse_history(description: str) -> History:
    """Read the marked lines of a description; a line that was edited counts as damaged and is not trusted."""
    steps: dict[str, Step] = {}
    damaged = 0
    for line in description.splitlines():
        if not line.startswith(MARK):
            continue
        try:
            step = Step.from_dict(json.loads(line.removeprefix(MARK)))
        except (ValueError, TypeError, AttributeError, RecursionError):
            damaged += 1
        else:
            steps[step.id] = step  # a concatenation of two copies of one history repeats its lines
    return History(tuple(steps.values()), damaged)


def plain_description(description: str) -> str:
    """The description without the marked lines."""
    return "\n".join(line for line in description.splitlines() if not line.startswith(MARK)).strip()


def record(before: Dataset, after: Dataset, step: Step) -> Dataset:
    """Write a step into the history of a data set.

    Args:
        before: The data set that the step was applied to.
        after: The result; its ``info`` must be its own, as after every transform of `datasets`.
        step: What was done; ids, row counts, digests and versions are filled in here.

    Returns:
        ``after``, whose description now holds one line more.
    """
    history = provenance(before)
    columns = _row_columns(after, {made.column for made in (*history.steps, step)})
    step = replace(
        step,
        rows_in=len(before),
        rows_out=len(after),
        columns=columns,
        digest="-".join(column_digest(after, column) for column in columns),
        changed_before=history.changed_since(before),
        parents=tuple(head.id for head in history.heads),
        versions=package_versions(),
    )
    step = replace(step, id=step.content_id())
    # Strict JSON: an infinity in an option must not make a line that no other reader takes.
    line = MARK + json.dumps(step.to_dict(), allow_nan=False, default=_plain)
    after.info.description = f"{(after.info.description or '').rstrip()}\n{line}".strip()
    return after if history.steps else remember_source(after)


def check_options(options: dict[str, Any]) -> None:
    """Raise a one-line ValueError if an option could not be written into the history; asked before the work is done."""
    for name, value in options.items():
        try:
            json.dumps(value, allow_nan=False, default=_plain)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"option {name}={value!r} cannot be recorded ({error}); give a finite number, a text or a list of these"
            ) from error


def _plain(value: Any) -> Any:
    """A NumPy number as Python's, which JSON knows."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not JSON")


def _row_columns(ds: Dataset, score_columns: Iterable[str]) -> tuple[str, ...]:
    """What identifies the rows: every column but the scores, or the scores where there is nothing else."""
    columns = set(ds.column_names) - set(score_columns)
    return tuple(sorted(columns or ds.column_names))


def package_versions(packages: Sequence[str] = _PACKAGES) -> dict[str, str]:
    """Versions of hf_prune and of installed packages, read without importing them."""
    from hf_prune import __version__  # not from the metadata, which a checkout on the path has none of

    found = {}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = __version__ if package == "hf-prune" else importlib.metadata.version(package)
    return found
