"""History of a data set, which it carries itself: one `Step` per call of `score_with` or `prune`.

Steps are marked lines of JSON in ``ds.info.description``, the one place that survives every transform of `datasets` and
`save_to_disk`. What happens elsewhere (a ``filter`` between two steps, a concatenation, changed scores) is found by
comparing digests of the rows and of the score columns.
"""

import contextlib
import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from datasets import Dataset
from markupsafe import Markup
from numpy.typing import NDArray

from hf_prune import version
from hf_prune.data.digests import column_digest, content_digest, score_column_digest, unpack_rows
from hf_prune.data.loaded_rows import loaded_rows
from hf_prune.data.source import remember_source
from hf_prune.runtime import svg
from hf_prune.runtime.errors import InputError, InputTypeError
from hf_prune.runtime.html import fragment, plain, table
from hf_prune.runtime.untrusted import read_json

MARK = "hf_prune step: "
CLEAN = "clean"  # kind of a step that removed rows, by no score
# Fields of a record: whether rows, and which score columns, were changed by other means than steps.
CHANGED = "changed outside hf_prune"
CHANGED_SCORES = "scores changed outside hf_prune"
_LISTS = ("unscored", "columns", "parents", "changed_scores")
# Field of a step → its type in JSON; those not listed hold text.
_TYPES: dict[str, Any] = {
    **dict.fromkeys(("options", "inputs", "figures", "versions", "class_counts", "reasons", "evidence"), dict),
    **dict.fromkeys(("scores", "loaded", "label_space"), dict),
    **dict.fromkeys(_LISTS, (list, tuple)),
    **dict.fromkeys(("seed", "rows_in", "rows_out", "floor_rows"), (int, np.integer)),
    **dict.fromkeys(("keep", "class_balance"), (int, float, np.number)),
    "changed_before": bool,
}
_SHOWN_STEPS = 12  # of a history that is shown
_OLD_DIGEST = 32  # length of the digests that earlier versions recorded
_PACKAGES = ("hf-prune", "datasets", "transformers", "torch", "accelerate", "numpy", "pillow")


@dataclass(frozen=True)
class Step:
    """One call of ``score_with`` or ``prune``.

    Attributes:
        kind: ``"score"``, ``"combine"``, ``"prune"``, or ``"clean"`` where rows that another split has, too, were removed.
        metric: Name of the metric; ``"combine"`` for a combination of columns; the name of the column for a pruning by one
            that hf_prune did not make.
        column: The score column that was made or read; empty of a cleaning.
        options: Options of the metric as used, defaults included.
        inputs: Origin of each input of the metric: encoder, teachers, record, label column, or the digest of a given array.
        figures: Quality of the score: members of the ensemble, correlation between its halves, how well heads fit their
            training rows.
        evidence: Gain of rules of pruning by this score over random rows, see `hf_prune.policy.Evidence`; of a pruning the
            evidence that it followed, where that was not recorded before.
        seed: The seed.
        rows_in: Rows before.
        rows_out: Rows after.
        unscored: Rows without a score: made null by a score step, dropped by a prune step (row numbers of its input).
        columns: Columns that ``digest`` covers: all but the scores.
        digest: `content_digest` of each of them after the step, joined by hyphens; earlier versions wrote `column_digest`.
        scores: Score column → `score_column_digest` of it after the step: of all where there are other rows now, else of
            those that are new or were changed. None of steps of earlier versions.
        changed_before: Whether the rows were changed by other means since the last step, or since loading for the first
            one.
        changed_scores: Score columns that were changed by other means since the last step.
        loaded: Comparison of the rows before the first step with the loaded split, see `loaded_rows`.
        parents: Ids of the steps that this one follows.
        versions: Versions of the packages that matter.
        keep: The fraction or count asked for (prune only, like all below).
        order: Which end was kept.
        class_balance: The floor, as a share of what equal pruning would leave each class.
        label_column: The column whose classes were balanced.
        label_space: Kind of that column, and the edges of quantiles; None where each row has one class.
        class_counts: Class name → [rows before, rows after].
        floor_rows: Rows kept for the class floor alone.
        rows: The kept row numbers of the input, as written by `pack_rows`.
        rows_sha256: Digest of the same row numbers.
        digest_before: Like ``digest``, of the rows before the pruning.
        scores_before: `score_column_digest` of ``column`` before the pruning.
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
    scores: dict[str, str] | None = None
    changed_before: bool = False
    changed_scores: tuple[str, ...] | None = None
    loaded: dict[str, Any] | None = None
    parents: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    keep: float | int | None = None
    order: str | None = None
    class_balance: float | None = None
    label_column: str | None = None
    label_space: dict[str, Any] | None = None
    class_counts: dict[str, list[int]] | None = None
    floor_rows: int | None = None
    rows: str | None = None
    rows_sha256: str | None = None
    digest_before: str | None = None
    scores_before: str | None = None
    reasons: dict[str, Any] | None = None
    decided: str | None = None
    id: str = ""

    def __repr__(self) -> str:
        return f"Step({self.summary}, id={self.id!r})"

    @property
    def summary(self) -> str:
        """Say in a few words what was done."""
        if self.kind == CLEAN:
            return f"clean by {plain(self.metric)}: {self.rows_out:,} of {self.rows_in:,} rows"
        if self.kind != "prune":
            return f"{plain(self.kind)} {plain(self.metric)} → {plain(self.column)}"
        kept = f"{self.rows_out:,} of {self.rows_in:,} rows"
        return f"prune by {plain(self.column)}, order {plain(self.order)}, keep {self.keep}: {kept}"

    @property
    def makes_scores(self) -> bool:
        """Whether the step made a score column."""
        return self.kind in ("score", "combine")

    @property
    def removes_rows(self) -> bool:
        """Whether the step may have left fewer rows than it began with."""
        return self.kind in ("prune", CLEAN)

    def digests(self) -> dict[str, str]:
        """Return column → digest after the step."""
        return _by_column(self.columns, self.digest)

    def to_dict(self) -> dict[str, Any]:
        """Return the step as JSON-able data, without the fields that do not apply to its kind."""
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
            raise InputError(f"not a step of hf_prune: fields {sorted(data)}")
        wrong = [name for name, value in data.items() if not isinstance(value, _TYPES.get(name, str))]
        named = ("columns", "parents", "changed_scores", "scores")
        names = [] if wrong else [name for key in named for name in data.get(key, ())]
        if wrong or not all(isinstance(name, str) for name in (*names, *data.get("scores", {}).values())):
            raise InputError(f"not a step of hf_prune: wrong type in {sorted(wrong) or sorted(named)}")
        lists: dict[str, Any] = {name: tuple(data[name]) for name in _LISTS if name in data}
        step = cls(**(data | lists))
        if step.id != step.content_id():
            raise InputError(f"step {step.id!r} was edited: its content has the id {step.content_id()!r}")
        return step

    def content_id(self) -> str:
        """Return the id that fits the content."""
        content = {name: value for name, value in self.to_dict().items() if name != "id"}
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=_plain).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class History:
    """Steps found on a data set.

    Attributes:
        steps: In the order they were made.
        damaged: Marked lines that could not be read.
    """

    steps: tuple[Step, ...]
    damaged: int = 0

    def __repr__(self) -> str:
        shown = [step.summary for step in self.steps[:_SHOWN_STEPS]]
        more = [f"… ({len(self.steps)} steps)"] if len(self.steps) > _SHOWN_STEPS else []
        damaged = [f"{self.damaged} damaged"] if self.damaged else []
        return f"History({'; '.join([*shown, *more, *damaged])})"

    def _repr_html_(self) -> str:
        lines = [
            (step.summary, _made_with(step), Markup("").join(_drawn(step)), step.id)
            for step in self.steps[:_SHOWN_STEPS]
        ]
        more = f"{len(self.steps)} steps, {self.damaged} lines that cannot be read"
        return fragment(table(lines, ["step", "made with", "rows kept", "id"]), more)

    @property
    def heads(self) -> tuple[Step, ...]:
        """Steps that no other step follows; more than one after a concatenation of two histories."""
        followed = {parent for step in self.steps for parent in step.parents}
        return tuple(step for step in self.steps if step.id not in followed)

    @property
    def is_chain(self) -> bool:
        """Whether the steps account for the rows: each began with what the one before left."""
        changed = any(step.changed_before and step.parents for step in self.steps)
        return len(self.heads) == 1 and not changed

    @property
    def score_columns(self) -> tuple[str, ...]:
        """Columns of scores: those that a step made, and those that rows were pruned by."""
        return tuple(dict.fromkeys(step.column for step in self.steps if step.column))

    @property
    def altered(self) -> tuple[str, ...]:
        """Score columns that were changed by other means between the steps, since they were made last."""
        found: dict[str, None] = {}
        for step in self.steps:
            found |= dict.fromkeys(step.changed_scores or ())
            if step.makes_scores and step.column not in (step.changed_scores or ()):
                found.pop(step.column, None)
        return tuple(found)

    def score_step(self, column: str) -> Step | None:
        """Return the last step that made a score column, or None."""
        made = [step for step in self.steps if step.makes_scores and step.column == column]
        return made[-1] if made else None

    def made_by(self, ds: Dataset, column: str) -> Step | None:
        """Return the step that made the scores in a column; None where rows or scores were changed by other means since."""
        step = self.score_step(column)
        if step is None or column in self.altered or not self.is_chain:
            return None
        return None if self.rows_changed(ds) or column in self.changed_scores(ds) else step

    def changed_since(self, ds: Dataset) -> bool:
        """Whether rows or scores differ from those that the last step left."""
        return self.rows_changed(ds) or bool(self.changed_scores(ds))

    def rows_changed(self, ds: Dataset) -> bool:
        """Whether the rows differ from those that the last step left; scores do not count."""
        if not self.steps:
            return False
        if len(self.heads) != 1 or self.damaged:
            return True
        last = self.heads[0]
        if len(ds) != last.rows_out:
            return True
        return not same_rows(ds, last.digests(), self.score_columns)

    def changed_scores(self, ds: Dataset) -> tuple[str, ...]:
        """Find the score columns that do not hold what the last step left in them.

        Columns of which an earlier version recorded no digest are left out, and all where there are other rows, which have
        other scores.
        """
        if len(self.heads) != 1 or len(ds) != self.heads[0].rows_out:
            return ()
        there = [column for column in self.score_columns if column in ds.column_names]
        found = tuple(column for column in there if not self._holds(ds, column))
        return () if found and self.rows_changed(ds) else found

    def _holds(self, ds: Dataset, column: str) -> bool:
        """Whether a score column has its last recorded digest, or none was recorded."""
        for step in reversed(self.steps):
            if step.scores is None:
                return True
            if column in step.scores:
                return score_column_digest(ds, column) == step.scores[column]
            if step.removes_rows:
                break  # its digest before covers other rows
        return False

    def whole_scores_digest(self, column: str) -> str | None:
        """Return the `score_column_digest` of a column of all rows before the first pruning; None if not known."""
        digest = None
        for step in self.steps:
            if step.removes_rows:
                return step.scores_before if step.column == column else digest
            digest = (step.scores or {}).get(column, digest)
        return digest

    def first_digests(self) -> dict[str, str]:
        """Return column → digest of the rows before the first step; empty if not known."""
        first = self.steps[0] if self.steps else None
        digest = None if first is None else first.digest_before if first.removes_rows else first.digest
        return {} if first is None or not digest else _by_column(first.columns, digest)

    def source_rows(self) -> NDArray[np.int64] | None:
        """Return the numbers, before the first step, of the rows after the last one; None if the steps are no chain.

        Raises:
            ValueError: If the steps do not fit each other, as in a record that was edited.
        """
        if not self.steps or not self.is_chain:
            return None
        rows: NDArray[np.int64] | None = None  # all rows: a step may claim any number, which must take no memory
        left = self.steps[0].rows_in
        for step in self.steps:
            if step.rows_in != left:
                raise InputError(f"a step began with {step.rows_in:,} rows, the one before it left {left:,}")
            left = step.rows_out
            if step.rows is not None:
                kept = unpack_rows(step.rows, step.rows_in, step.rows_out)
                rows = kept if rows is None else rows[kept]
            elif step.rows_out != step.rows_in:
                raise InputError(f"a step left {left:,} of {step.rows_in:,} rows and does not say which")
        return np.arange(left, dtype=np.int64) if rows is None else rows


def _made_with(step: Step) -> str:
    """Name the models and options of a step."""
    inputs = [made for made in step.inputs.values() if isinstance(made, dict)]
    models = [made["encoder"] for made in inputs if isinstance(made.get("encoder"), dict)]
    names = dict.fromkeys(plain(model.get("id", "")) for model in models)
    if step.label_space is not None:
        names[f"{plain(step.label_column)} as {plain(step.label_space.get('kind'))}"] = None
    return ", ".join(
        [*names, *(f"{plain(name)}={plain(value, 20)}" for name, value in list(step.options.items())[:8])]
    )


def _drawn(step: Step) -> Iterator[Markup]:
    """Draw the share of the rows that a pruning kept."""
    if step.removes_rows:
        yield svg.share(step.rows_out, step.rows_in, step.summary, width=120)


def not_the_input(step: Step, ds: Dataset, history: History) -> str | None:
    """Return how a data set with a history differs from the input of a pruning; None if in nothing that is recorded."""
    if len(ds) != step.rows_in:
        return f"it has {len(ds)} rows, the pruning began with {step.rows_in}"
    if step.column not in ds.column_names:
        return f"it has no column {step.column!r}. Columns: {ds.column_names}"
    rows, digest = ds, step.digest_before
    if digest is None:  # an earlier version recorded what was left alone
        rows = ds if step.rows is None else ds.select(unpack_rows(step.rows, step.rows_in))
        digest = step.digest
    if digest and not same_rows(rows, _by_column(step.columns, digest), (*history.score_columns, step.column)):
        return "its rows are others than those that were pruned, or in another order"
    if step.scores_before is not None and score_column_digest(ds, step.column) != step.scores_before:
        return f"its column {step.column!r} holds other scores than those that the rows were pruned by"
    return None


def same_rows(ds: Dataset, left: dict[str, str], score_columns: Iterable[str]) -> bool:
    """Whether the columns are those that a step left (column → digest), whatever the columns of scores are.

    A column that is gone was dropped or renamed. A renamed one is found again by its digest; where as many are gone
    as are new and some do not match, the rows were changed.
    """
    names = ds.column_names  # computed whenever it is read
    present = set(names)
    there = [column for column in left if column in present]
    if any(_digest_like(ds, column, left[column]) != left[column] for column in there):
        return False
    gone = {left[column] for column in left if column not in present}
    new: set[str] = set()
    if gone:
        skipped = {*left, *score_columns}
        like = next(iter(gone))
        new = {_digest_like(ds, column, like) for column in names if column not in skipped}
    return (gone <= new or new <= gone) and bool(there or gone & new)


def _digest_like(ds: Dataset, column: str, digest: str) -> str:
    """Return the digest of a column, of the same kind as another digest."""
    return (column_digest if len(digest) == _OLD_DIGEST else content_digest)(ds, column)


def _by_column(columns: Iterable[str], digest: str) -> dict[str, str]:
    return dict(zip(columns, digest.split("-"), strict=False))


def provenance(ds: Dataset) -> History:
    """Read the history that a data set carries.

    Args:
        ds: Any data set; one that hf_prune never touched has no steps.

    Returns:
        The `History`; ``history.changed_since(ds)`` returns whether it still describes these rows.
    """
    return parse_history(ds.info.description or "")


def parse_history(description: str) -> History:
    """Read the marked lines of a description; an edited line counts as damaged."""
    steps: dict[str, Step] = {}
    damaged = 0
    for line in description.splitlines():
        if not line.startswith(MARK):
            continue
        try:
            step = Step.from_dict(read_json(line.removeprefix(MARK)))
        except (ValueError, TypeError, AttributeError):
            damaged += 1
        else:
            steps[step.id] = step  # a concatenation of two copies of one history repeats its lines
    return History(tuple(steps.values()), damaged)


def record(before: Dataset, after: Dataset, step: Step) -> Dataset:
    """Write the step that made ``after`` of ``before`` into the history of ``after``, which is returned.

    Ids, row counts, digests and versions are filled in here. The ``info`` of ``after`` must be its own, as after every
    transform of `datasets`.
    """
    history = provenance(before)
    score_columns = tuple(dict.fromkeys((*history.score_columns, *[step.column] * bool(step.column))))
    # Those that identify rows: all but the scores, or these where there are no others.
    columns = tuple(sorted(set(after.column_names).difference(score_columns) or after.column_names))
    is_first, removes_rows = not history.heads, step.removes_rows
    has_scores = step.column in before.column_names  # a published cut does not need them
    loaded = loaded_rows(before) if is_first else None
    changed = history.rows_changed(before)
    altered = () if changed else _changed_scores(history, before, step)
    digested = score_columns if changed or removes_rows else (*altered, step.column)
    step = replace(
        step,
        rows_in=len(before),
        rows_out=len(after),
        columns=columns,
        digest=_joint_digest(after, columns),
        scores={name: score_column_digest(after, name) for name in digested if name in after.column_names},
        changed_before=changed or (loaded is not None and loaded["same"] is False),
        changed_scores=altered or None,
        loaded=loaded,
        parents=tuple(head.id for head in history.heads),
        versions=package_versions(),
        digest_before=_joint_digest(before, columns) if removes_rows else None,
        scores_before=score_column_digest(before, step.column) if removes_rows and has_scores else None,
    )
    after.info.description = with_step(after.info.description, step)
    return after if history.steps else remember_source(after)


def with_step(description: str | None, step: Step) -> str:
    """The description with one line more, for a step whose id is filled in here."""
    step = replace(step, id=step.content_id())
    # Strict JSON: an infinity in an option would make a line that other readers refuse.
    line = MARK + json.dumps(step.to_dict(), allow_nan=False, default=_plain)
    return f"{(description or '').rstrip()}\n{line}".strip()


def _changed_scores(history: History, before: Dataset, step: Step) -> tuple[str, ...]:
    """Return score columns that were changed by other means and not replaced by the step, and those that it names itself."""
    found = [name for name in history.changed_scores(before) if step.kind != "score" or name != step.column]
    return tuple(dict.fromkeys((*found, *(step.changed_scores or ()))))


def _joint_digest(ds: Dataset, columns: Iterable[str]) -> str:
    return "-".join(content_digest(ds, column) for column in columns)


def check_options(options: dict[str, Any]) -> None:
    """Raise a one-line ValueError if an option cannot be written into the history, before work is done for it."""
    for name, value in options.items():
        try:
            json.dumps(value, allow_nan=False, default=_plain)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"option {name}={value!r} cannot be recorded ({error}); give a finite number, a text or a list of these"
            ) from error


def _plain(value: Any) -> Any:
    """Return a NumPy number as one of Python, for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise InputTypeError(f"{type(value).__name__} is not JSON")


def package_versions(packages: Sequence[str] = _PACKAGES) -> dict[str, str]:
    """Return versions of hf_prune and of installed packages, without importing them."""
    found = {}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            # A checkout on the path has no metadata.
            found[package] = version.__version__ if package == "hf-prune" else importlib.metadata.version(package)
    return found
