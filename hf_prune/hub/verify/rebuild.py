"""Published cuts made again from their source, and compared with what was published."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, Features, load_dataset
from datasets.exceptions import DatasetsError
from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES
from numpy.typing import NDArray

from hf_prune.data.digests import images_sha256
from hf_prune.data.images import EncodedImages
from hf_prune.data.row_keys import row_keys
from hf_prune.data.source import Source, check_source, hub_name
from hf_prune.hub.layout import SCORES
from hf_prune.hub.publish.export import export, read_folder
from hf_prune.hub.read.apply import is_source
from hf_prune.hub.read.cut import choose_cut, read_cut
from hf_prune.hub.read.place import DamagedError, open_published
from hf_prune.hub.read.scores import named_rows, own_names, read_scores_of
from hf_prune.hub.record_fields import read_features
from hf_prune.hub.verify.recorded import CannotTellError
from hf_prune.hub.verify.repeat import Reconstruction, repeat
from hf_prune.hub.verify.report import Report
from hf_prune.hub.verify.rescore import Models, compare_kept
from hf_prune.hub.verify.rows import Batches
from hf_prune.hub.verify.verify import verify_records
from hf_prune.pruning.reproduction import changed_at_start
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.messages import one_line, shortened
from hf_prune.scoring.scores import without_scores


def rebuild(
    name: str | Path,
    out: str | Path,
    *,
    config: str | None = None,
    revision: str | None = None,
    source: Dataset | DatasetDict | None = None,
    rescore: bool = False,
    exact: bool = False,
    tolerance: float | None = None,
    encoder: Any = None,
    teachers: Any = None,
    student: Any = None,
    dynamics: Any = None,
    prototypes: Any = None,
    inputs: Mapping[str, Any] | None = None,
    batch_size: int = 64,
    device: str | None = None,
    token: str | None = None,
) -> Report:
    """Make a published cut again from its source and compare it with what was published.

    The source is loaded at its commit, the selection is made again from the published scores, and the rows are
    compared one by one. Where a selection needs more than scores, or none were published, the row numbers of the
    record are taken, which the report says.

    Args:
        name: A repository of the Hub (``id@revision`` is one with its ``revision``) or a folder that `export` or
            `push_to_hub` filled.
        out: Folder for the result; new, empty, or one that was exported to before.
        config: Name of the cut; None takes the one that ``load_dataset`` opens.
        revision: Branch, tag or commit of the repository.
        source: The source itself, where it is local or has been loaded before.
        rescore: Whether the scores are made again, too. On other hardware they differ a little: at least 99.9 % of the
            rows must be kept or dropped as published, and the others lie within the tolerance of the cut.
        exact: Whether scores made again must give exactly the same rows.
        tolerance: Distance from the cut, in units of the score; None is a hundredth of the standard deviation of the
            published scores.
        encoder: The encoder, where the published one is no model of the Hub; as for `score_with`.
        teachers: The same for teachers.
        student: The same for students.
        dynamics: The record of a training that scores were made from.
        prototypes: Prototypes that scores were made by, where the record names none of the Hub.
        inputs: Arrays that scores were made from.
        batch_size: Images per batch.
        device: Such as ``"cuda:1"`` or ``"cpu"``; None leaves it to Accelerate.
        token: Token for a private repository or source.

    Returns:
        A report; its ``exit_code`` is 0 where all agrees, 1 where something differs, 2 where that cannot be checked.

    Raises:
        ValueError: If hf_prune published nothing there, or ``out`` holds something else.
        OSError: If there is no such place, or it cannot be read or written.

    Example:
        >>> import tempfile, hf_prune
        >>> ds = Dataset.from_dict({"hardness": [0.1, 0.9, 0.5, 0.7]})
        >>> with tempfile.TemporaryDirectory() as place:
        ...     _ = hf_prune.export(ds.prune("hardness", keep=0.5, order="hard"), place + "/a", source="local")
        ...     rebuild(place + "/a", place + "/b", source=ds).exit_code
        0
    """
    read_folder(Path(out))  # a folder that cannot be written to is refused before the work
    try:
        place = open_published(name, revision, token)
    except DamagedError as error:
        report = Report(str(name))
        report.differs("provenance.json", str(error))
        return report
    config = choose_cut(place, config)
    report = Report(f"{place.shown} {config}")
    verify_records(place, report)
    given = Models(encoder, teachers, student, dynamics, prototypes, inputs, batch_size, device) if rescore else None
    made = {}
    for split in place.splits(config):
        task = Reconstruction(read_cut(place, config, split), report, given, exact, tolerance)
        rows = _load_source(task, source, token)
        if rows is not None and (rows := _make(task, rows)) is not None and rows.column_names:
            made[split] = rows
    if made:
        first = read_cut(place, config, next(iter(made))).entry["source"]
        origin = f"{first['repo_id']}@{first['commit']}" if first.get("repo_id") else "local"
        export(DatasetDict(made), out, source=origin, config_name=config)
        report.note(
            str(out), f"what was made: {', '.join(f'{len(rows):,} rows of {name!r}' for name, rows in made.items())}"
        )
    return report


def _load_source(task: Reconstruction, given: Dataset | DatasetDict | None, token: str | None) -> Dataset | None:
    """Load the source of a split at its commit, or say why not."""
    found, report, subject = task.cut.entry.get("source") or {}, task.report, task.subject
    split = found.get("split") or task.cut.split
    if given is not None:
        rows = given.get(split) if isinstance(given, DatasetDict) else given
        if rows is None:
            report.unknown(subject, f"the source that was given has no split {split!r}")
        return rows
    if not found.get("repo_id"):
        report.unknown(subject, "the source is local to its publisher: give it with source=")
        return None
    shown = f"{found['repo_id']}@{found.get('commit')}"
    if changed_at_start(task.cut.entry):
        report.unknown(
            subject,
            f"the {task.cut.num_source_rows:,} rows that it was made of were chosen from {shown}, reordered or changed "
            "outside hf_prune: give them with source=",
        )
        return None
    try:
        repo_id = hub_name(found["repo_id"], found.get("commit"))
        if repo_id in _PACKAGED_DATASETS_MODULES:
            raise InputError(f"{repo_id!r} is no repository but a reader of files of this machine")
        check_source(Source(repo_id, found["commit"], "recorded"), token)
    except ValueError as error:
        report.differs(f"source {shown}", str(error).partition(";")[0])
        return None
    try:
        return load_dataset(repo_id, found.get("config_name"), split=split, revision=found["commit"], token=token)
    except (OSError, ValueError, DatasetsError) as error:
        report.unknown(f"source {shown}", f"it cannot be loaded ({shortened(one_line(error), 300)})")
        return None


def _make(task: Reconstruction, ds: Dataset) -> Dataset | None:
    """Make one split from its source and compare it with the published one."""
    report, subject, cut = task.report, task.subject, task.cut
    try:
        cut.check_known()
        if not _compare_source(task, ds):
            return None
        expected = cut.source_rows()
    except ValueError as error:
        report.unknown(subject, one_line(error))
        return None
    try:
        ds, rows = repeat(task, ds)
    except CannotTellError as error:
        report.unknown(subject, str(error))
        return None
    if task.models is None or task.exact:
        if np.array_equal(rows, expected):
            report.same(subject, f"the same {len(rows):,} rows of {cut.num_source_rows:,}")
        else:
            odd = np.setxor1d(rows, expected)
            report.differs(
                subject, f"{named_rows(odd, cut.num_source_rows)} are kept here and not there, or there and not here"
            )
    else:
        compare_kept(expected, rows, task.near, task.tolerance, cut.num_source_rows, subject, report)
    features = read_features(cut.place.record(cut.config)["features"])
    ds = _with_columns(task, ds, features) if cut.place.has_rows(cut.config) else without_scores(ds)
    if np.array_equal(rows, expected):
        try:
            _compare_rows(task, ds, rows, features)
        except ValueError as error:  # the published files may be anything
            report.differs(subject, f"what was published cannot be compared ({one_line(error)})")
    return ds


def _compare_source(task: Reconstruction, ds: Dataset) -> bool:
    """Check whether the source is the one that the cut was made from, and return it."""
    report, cut, place = task.report, task.cut, task.cut.place
    subject = f"source of {task.subject}"
    if len(ds) != cut.num_source_rows:
        report.differs(subject, f"it has {len(ds):,} rows, the cut was made of {cut.num_source_rows:,}")
        return False
    if cut.split in place.splits(SCORES):
        try:
            scores = read_scores_of(place, None, cut.split)
        except ValueError as error:
            report.differs(f"{SCORES}/{cut.split}", str(error))
            return False
        if cut.is_numbered_as(scores):
            keys = row_keys(ds, own_names(ds, scores.key_columns))[0]
            odd = np.flatnonzero(keys != np.array(scores.keys))
            if len(odd):
                report.differs(subject, f"{named_rows(odd, len(ds))} have other content than when they were scored")
                return False
            report.same(subject, f"{len(ds):,} rows with the published content keys")
            task.scores = scores
            return True
    if not cut.history.steps or is_source(ds, cut):
        report.same(subject, f"{len(ds):,} rows" + (" with the recorded digest" if cut.history.steps else ""))
        return True
    report.differs(subject, "its rows are not those that the cut was made of, or in another order")
    return False


def _with_columns(task: Reconstruction, ds: Dataset, features: Features) -> Dataset:
    """Select the published columns, in their order."""
    there = set(ds.column_names)
    missing = [name for name in features if name not in there]
    if missing:
        scored = task.models is None and task.cut.history.score_step(missing[0]) is not None
        hint = ": pass rescore=True to score again" if scored else ""
        task.report.unknown(
            task.subject, f"column {missing[0]!r} is published and cannot be made from the source{hint}"
        )
    return ds.select_columns([name for name in features if name in there])


def _compare_rows(task: Reconstruction, ds: Dataset, rows: NDArray[np.int64], features: Features) -> None:
    """Compare digests, features and every value with what was published."""
    cut, report, subject = task.cut, task.report, task.subject
    column, expected = cut.entry.get("image_column"), cut.entry.get("images_sha256")
    if column is not None and expected is not None and column in ds.column_names:
        found = images_sha256(EncodedImages(ds, column), rows)
        report.compare(subject, "digest of the images in their order", expected, found)
    if not cut.place.has_rows(cut.config):
        return
    made = {step.column for step in cut.history.steps if step.makes_scores} if task.models is not None else set()
    own_features = ds.features
    columns = [name for name in features if name in own_features and name not in made]
    odd = [name for name in columns if own_features[name] != features[name]]
    if odd:
        report.differs(
            subject, f"column {odd[0]!r} is {own_features[odd[0]]} in the source, published as {features[odd[0]]}"
        )
        return
    batches = Batches(cut.place, cut.place.data_files(cut.config, cut.split), features)
    published = [key for part in batches.read(columns) for key in row_keys(part, columns)[0].tolist()]
    own = row_keys(ds, columns)[0].tolist()
    wrong = [row for row, (there, here) in enumerate(zip(published, own, strict=False)) if there != here]
    if wrong or len(published) != len(own):
        report.differs(
            subject, f"{len(wrong):,} of {len(published):,} published rows are not those made here ({wrong[:5]})"
        )
    else:
        report.same(subject, f"every value of {len(columns)} columns of {len(own):,} published rows")
