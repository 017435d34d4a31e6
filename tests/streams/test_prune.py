"""A stream keeps the rows that the same rows in memory keep, and its record says so in the same words."""

import pytest
from datasets import ClassLabel, Dataset, IterableDatasetDict, List

import hf_prune
from hf_prune import Run
from hf_prune.streams import first_pass
from tests.helpers.stream_jobs import IN_MEMORY, pixels
from tests.helpers.stream_sets import in_memory, parquet_stream, small_blocks, tar_stream  # noqa: F401  # a fixture for every test here

# Of the record of a pruning, what a stream and a data set have alike.
ALIKE = ("rows", "rows_sha256", "class_counts", "floor_rows", "rows_in", "rows_out", "scores_before", "keep", "order")
ALIKE += ("class_balance", "label_column", "options", "seed", "metric", "column")
ASKED = [
    {"keep": 0.3, "order": "hard"},
    {"keep": 0.3, "order": "easy", "class_balance": 1.0, "seed": 3},
    {"keep": 20, "order": "random", "class_balance": 0},
    {"keep": 0.5, "order": "hard", "hardest_cutoff": 0.3, "class_balance": 1.0},
    {"keep": 1.0, "order": "easy", "label_column": "label"},
]


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    stream = parquet_stream(folder / "rows")
    return stream, in_memory(stream), folder / "cache"


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_a_column_that_the_stream_has(given, asked):
    stream, whole, cache = given
    kept, expected = stream.prune("score", run=Run(cache_dir=cache), **asked), whole.prune("score", **asked)
    assert [row["text"] for row in kept.decode(False)] == expected["text"][:]
    step, like = (hf_prune.provenance(ds).steps[-1] for ds in (kept, expected))
    assert [getattr(step, name) for name in ALIKE] == [getattr(like, name) for name in ALIKE]
    assert kept.features == stream.features


def test_the_files_of_the_scores_are_read_where_the_stream_was_scored(given, monkeypatch):
    stream, whole, cache = given
    scored = stream.score_with("prototypes", **pixels(cache))
    expected = whole.score_with("prototypes", **IN_MEMORY)
    monkeypatch.setattr(first_pass, "_scored", None)  # no row is read to find the cut
    for asked in ASKED:
        kept, like = (
            scored.prune("prototypes", run=Run(cache_dir=cache), **asked),
            expected.prune("prototypes", **asked),
        )
        assert [row["text"] for row in kept.decode(False)] == like["text"][:]
    names = [step.kind for step in hf_prune.provenance(kept).steps]
    assert names == ["score", "prune"]
    assert hf_prune.provenance(kept).is_chain


def test_a_stream_that_was_pruned_or_changed_is_read_anew(given):
    stream, whole, cache = given
    scored = stream.score_with("prototypes", **pixels(cache))
    expected = whole.score_with("prototypes", **IN_MEMORY)
    again = scored.prune("prototypes", keep=0.5, order="hard", run=Run(cache_dir=cache))
    again = again.prune("prototypes", keep=0.5, order="easy", run=Run(cache_dir=cache))
    like = expected.prune("prototypes", keep=0.5, order="hard").prune("prototypes", keep=0.5, order="easy")
    assert [row["text"] for row in again.decode(False)] == like["text"][:]
    few = scored.decode(False).filter(lambda row: row["label"] == 0).cast(scored.features)
    kept = few.prune("prototypes", keep=5, order="hard", run=Run(cache_dir=cache))
    like = expected.filter(lambda label: label == 0, input_columns="label").prune("prototypes", keep=5, order="hard")
    assert [row["text"] for row in kept.decode(False)] == like["text"][:]


def test_classes_without_names(tmp_path):
    stream = tar_stream(tmp_path / "rows")
    options = {"keep": 0.3, "order": "hard", "label_column": "cls", "class_balance": 1.0}
    scored = stream.score_with("prototypes", **pixels(tmp_path))
    kept = scored.prune("prototypes", run=Run(cache_dir=tmp_path), **options)
    expected = in_memory(stream).score_with("prototypes", **IN_MEMORY)
    like = expected.prune("prototypes", **options)
    assert [row["__key__"] for row in kept.decode(False)] == like["__key__"][:]
    assert hf_prune.provenance(kept).steps[-1].class_counts == hf_prune.provenance(like).steps[-1].class_counts


@pytest.mark.parametrize("name", ["labels", "embeddings", "keys", "kept"])
def test_a_column_may_be_called_as_arrays_of_the_files_are(given, name):
    stream, whole, cache = given
    named = stream.rename_column("score", name).prune(name, keep=0.3, order="hard", run=Run(cache_dir=cache))
    assert [row["text"] for row in named.decode(False)] == whole.prune("score", keep=0.3, order="hard")["text"][:]


def test_classes_may_be_numbers_of_any_size(tmp_path):
    ds = Dataset.from_dict({"score": range(20), "user": [2**40 + row % 3 for row in range(20)]})
    kept = ds.to_iterable_dataset().prune(
        "score", keep=0.3, order="hard", label_column="user", class_balance=1.0, run=Run(cache_dir=tmp_path)
    )
    same = ds.prune("score", keep=0.3, order="hard", label_column="user", class_balance=1.0)
    assert [row["score"] for row in kept] == same["score"][:]
    assert hf_prune.provenance(kept).steps[-1].class_counts == hf_prune.provenance(same).steps[-1].class_counts


def test_score_columns_go_where_that_is_asked_for(given):
    stream, _, cache = given
    scored = stream.score_with("prototypes", **pixels(cache))
    asked = {"keep": 0.3, "order": "hard", "run": Run(cache_dir=cache)}
    for kept in (
        scored.prune("prototypes", keep_scores=False, **asked),
        IterableDatasetDict({"train": scored}).prune("prototypes", **asked)["train"],
    ):
        assert set(kept.features) == set(stream.features)
        assert len(hf_prune.provenance(kept).steps) == 2
        assert "prototypes" not in next(iter(kept.decode(False)))


REFUSED = {
    "order='auto' compares all rows, which a stream does not hold: give one of 'hard', 'easy', 'random'": {
        "order": "auto"
    },
    "order='cluster' compares all rows": {"order": "cluster"},
    r"drop_duplicates=1.0 needs all rows at once, .*: leave it out": {"drop_duplicates": 1.0},
    "hardest_cutoff='noise' needs all rows": {"hardest_cutoff": "noise"},
    "class_balance={'a': 2} needs all rows": {"class_balance": {"a": 2}},
    "encoder=.* needs all rows": {"encoder": "pixels"},
    "return_selection=True gives a reason for every row": {"return_selection": True},
    "label column 'text' is string, and a stream is read before all classes are known": {"label_column": "text"},
    "column 'text' holds string": {"metric": "text"},
    "no column 'el2n': run": {"metric": "el2n"},
    "keep=61 of 55 rows": {"keep": 61},
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_a_stream_cannot_serve_is_said_in_one_line(given, message):
    stream, _, cache = given
    with pytest.raises(ValueError, match=message) as caught:
        stream.prune(
            **{"metric": "score", "keep": 0.5, "order": "hard", "run": Run(cache_dir=cache)} | REFUSED[message]
        )
    assert "\n" not in str(caught.value)


def test_columns_with_several_classes_per_row_are_said_to_have_no_floor():
    rows = Dataset.from_dict({"id": [0, 1, 2, 3], "s": [0.0, 1.0, 2.0, 3.0], "tags": [[0], [1], [0, 1], []]})
    stream = rows.cast_column("tags", List(ClassLabel(names=["a", "b"]))).to_iterable_dataset()
    with pytest.warns(UserWarning, match="no class keeps a floor: column 'tags' has several classes per row"):
        kept = stream.prune("s", keep=2, order="hard")
    assert [row["id"] for row in kept] == [2, 3]
