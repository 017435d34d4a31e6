"""Steps of a published cut, repeated on its source."""

from dataclasses import replace

import numpy as np
import pytest

import hf_prune
from hf_prune.data.history import History
from hf_prune.hub.read.cut import read_cut
from hf_prune.hub.read.place import open_published
from hf_prune.hub.read.scores import read_scores_of
from hf_prune.hub.verify.rebuild import rebuild
from hf_prune.hub.verify.recorded import CannotTellError
from hf_prune.hub.verify.repeat import Reconstruction, repeat
from hf_prune.hub.verify.report import Report
from hf_prune.hub.verify.rescore import Models
from tests.helpers.tampered import CUT
from tests.helpers.tiny_publications import images, publish_cut, scored

pytest_plugins = ["tests.helpers.tampered"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"order": "easy", "keep": 7, "class_balance": {"cat": 2}}, None),
        ({"order": "random", "keep": 0.3, "seed": 4, "class_balance": 0}, None),
        ({"order": "stratified", "num_strata": 5, "hardest_cutoff": 0.1}, None),
        ({"order": "mixed", "random_share": 0.25}, None),
        ({"order": "middle", "quotas": "error", "class_errors": {"cat": 0.1, "dog": 0.2, "ship": 0.3}}, None),
        ({"drop_duplicates": 1.0}, None),
        (
            {"order": "diverse", "encoder": "pixels", "run": hf_prune.Run(image_size=2)},
            "it needs embeddings or arrays",
        ),
    ],
)
def test_every_kind_of_cut(tmp_path, options, said):
    folder = publish_cut(scored(images(20)), tmp_path / "out", **options)
    report = rebuild(folder, tmp_path / "again", source=images(20))
    assert report.exit_code == 0, str(report)
    assert said is None or said in str(report)


@pytest.fixture
def task(original):
    """The cut on its way, with the published scores, none of which is on the source."""
    place = open_published(original)
    return Reconstruction(read_cut(place, CUT, "train"), Report("it"), None, False, None, read_scores_of(place))


def with_steps(task, **changes):
    """The same cut, whose pruning was recorded otherwise."""
    *before, last = task.cut.history.steps
    steps = (*before, replace(last, **changes))
    return replace(task, cut=replace(task.cut, history=History(steps)))


def said(task):
    return [(finding.outcome, finding.text) for finding in task.report]


def test_the_published_scores_make_the_same_cut(task):
    found, rows = repeat(task, images(20))
    assert rows.tolist() == task.cut.source_rows().tolist()
    assert found["label"][:] == [row % 3 for row in rows.tolist()]
    assert found["prototypes"][:] == [scored(images(20))["prototypes"][row] for row in rows.tolist()]
    assert said(task) == [("same", "pruned by 'prototypes' again with the recorded settings")]
    assert (task.subject, task.score_columns) == (f"{CUT}/train", ["prototypes"])


def test_two_prunings_give_rows_of_the_source(tmp_path):
    ds = images(20).add_column("s", np.arange(20.0)).add_column("t", [row % 10 for row in range(20)])
    twice = ds.prune("s", keep=10, order="hard", class_balance=0).prune("t", keep=3, order="easy", class_balance=0)
    folder = hf_prune.export(twice, tmp_path / "out", source="local")
    task = Reconstruction(read_cut(open_published(folder), "t-keep3", "train"), Report("it"), None, False, None)
    found, rows = repeat(task, ds)
    assert rows.tolist() == [10, 11, 12]  # of 10 … 19 those with the least rest
    assert found["s"][:] == [10.0, 11.0, 12.0]
    assert (task.score_columns, task.near) == ([], [])


def test_what_is_needed_to_tell_how_far_a_row_lies_from_the_cut(task):
    repeat(task, images(20))
    ((column, scores, kept, order, labels),) = task.near
    assert (column, order) == ("prototypes", "hard")
    assert scores.tolist() == scored(images(20))["prototypes"][:]
    assert np.flatnonzero(kept).tolist() == task.cut.source_rows().tolist()
    assert labels.tolist() == [row % 3 for row in range(20)]
    again = with_steps(replace(task, near=[]), label_column=None, class_balance=0.0)
    repeat(again, images(20))
    assert again.near[0][4] is None


def test_row_numbers_of_the_record_where_no_scores_are_published(task):
    alone = replace(task, scores=None)
    found, rows = repeat(alone, images(20))
    assert rows.tolist() == task.cut.source_rows().tolist()
    assert "prototypes" not in found.column_names
    text = (
        "the row numbers of the pruning by 'prototypes' are those of the record (the scores that it was made by are not "
        "published)"
    )
    assert said(task) == [("note", text)]


@pytest.mark.parametrize(
    ("changes", "outcome", "reason"),
    [
        (
            {"order": "of tomorrow"},
            "cannot tell",
            "the order 'of tomorrow' is not registered here: import what registers",
        ),
        ({"inputs": {"cut": {"published": {}}}}, "note", "they were taken over from another publication"),
        ({"inputs": {"embeddings": {"given_sha256": "f"}}}, "note", "it needs embeddings or arrays besides scores"),
    ],
)
def test_a_pruning_that_cannot_be_made_again_is_taken_from_the_record(task, changes, outcome, reason):
    task = with_steps(task, **changes)
    _, rows = repeat(task, images(20))
    assert rows.tolist() == task.cut.source_rows().tolist()
    ((found, text),) = said(task)
    assert (found, reason in text) == (outcome, True)


def test_neither_made_again_nor_of_these_rows(task):
    task = with_steps(replace(task, scores=None), order="of tomorrow")
    with pytest.raises(CannotTellError, match=r"^the pruning by 'prototypes' cannot be made again \(the scores that"):
        repeat(task, images(19))
    with pytest.raises(CannotTellError, match=r"^'prototypes' cannot be made again as it is recorded \(") as error:
        repeat(with_steps(task, order="hard", keep=30), scored(images(20)))
    assert "\n" not in str(error.value)


def test_scores_that_were_changed_are_not_made_again(task):
    task = with_steps(replace(task, models=Models()), changed_scores=("prototypes",))
    *_, last = task.cut.history.steps
    only = replace(task, cut=replace(task.cut, history=History((last,))))
    with pytest.raises(CannotTellError, match="'prototypes' were changed outside hf_prune after they were made"):
        repeat(only, scored(images(20)))
    _, rows = repeat(replace(only, models=None, scores=None), scored(images(20)))  # the record still has the rows
    assert rows.tolist() == task.cut.source_rows().tolist()
