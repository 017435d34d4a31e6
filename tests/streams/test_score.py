"""A stream has the scores that the same rows have in memory, whatever files it comes from and whatever ends a run."""

import pickle

import numpy as np
import pytest
from datasets import IterableDatasetDict

import hf_prune
from hf_prune import Run
from tests.helpers import stream_jobs
from tests.helpers.process_parent import call_in_forks
from tests.helpers.rank_jobs import free_port
from tests.helpers.stream_jobs import IN_MEMORY, pixels
from tests.helpers.stream_sets import (  # noqa: F401  # a fixture for every test here
    FEATURES,
    column,
    folder_stream,
    in_memory,
    parquet_stream,
    small_blocks,
    tar_stream,
)
from tests.helpers.tiny_sets import to_tensor

STREAMS = {"parquet": parquet_stream, "webdataset": tar_stream, "image folder": folder_stream}


def classifier(scale: float):
    def predict(images):
        return to_tensor(images)[:, :3].numpy() * scale

    return predict


def flat(images):
    return to_tensor(images).numpy()


@pytest.mark.parametrize("name", STREAMS)
def test_prototypes_are_those_of_the_rows_in_memory(name, tmp_path):
    stream = STREAMS[name](tmp_path / "rows")
    whole = in_memory(stream)
    scored = stream.score_with("prototypes", **pixels(tmp_path / "cache"))
    expected = whole.score_with("prototypes", **IN_MEMORY)
    assert column(scored) == expected["prototypes"][:]
    assert scored.features == expected.features
    # Nothing of the images stays but keys and scores.
    assert not [*(tmp_path / "cache").rglob("embeddings*")]


def test_metrics_of_teachers_and_given_prototypes(tmp_path):
    stream = parquet_stream(tmp_path / "rows")
    whole = in_memory(stream)
    fitted = hf_prune.Prototypes.fit(whole, flat, num_prototypes=4)
    teachers = [classifier(1.0), classifier(3.0)]
    metrics = ["el2n", "active_learning", "prototypes"]
    given = {"teachers": teachers, "prototypes": fitted}
    scored = stream.score_with(metrics, run=Run(cache_dir=tmp_path / "cache"), **given)
    expected = whole.score_with(metrics, run=Run(load_from_cache_file=False), evidence=False, **given)
    for metric in metrics:
        np.testing.assert_allclose(column(scored, metric), expected[metric][:], atol=1e-6)
    steps, known = (hf_prune.provenance(ds).steps for ds in (scored, expected))
    for step, like in zip(steps, known, strict=True):
        assert (step.metric, step.options, step.inputs, step.rows_out) == (like.metric, like.options, like.inputs, 60)


def test_the_record_says_what_was_done_and_what_the_scores_are(tmp_path):
    stream = parquet_stream(tmp_path / "rows")
    scored = stream.score_with("prototypes", **pixels(tmp_path / "cache"))
    (step,) = hf_prune.provenance(scored).steps
    expected = in_memory(stream).score_with("prototypes", **IN_MEMORY)
    (like,) = hf_prune.provenance(expected).steps
    assert (step.scores, step.inputs, step.options) == (like.scores, like.inputs, like.options)
    assert step.figures == {"sample_rows": 60.0}
    assert not step.digest
    assert hf_prune.provenance(scored.take(3)).steps == (step,)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What two ranks found, each in a process of its own."""
    folder = tmp_path_factory.mktemp("ranks")
    for shards in (3, 1):
        parquet_stream(folder / f"rows {shards}", shards)
    return folder, in_two_processes(stream_jobs.rank, folder)


def in_two_processes(job, folder, *arguments) -> list:
    calls = [(job, (folder, rank, 2, *arguments)) for rank in range(2)]
    assert call_in_forks(calls, folder, {}) == [0, 0], (folder / "said").read_text()
    return [pickle.loads((folder / f"rank {rank}.pickle").read_bytes()) for rank in range(2)]


def test_processes_of_a_launcher_share_a_stream_that_nobody_split(tmp_path):
    stream = parquet_stream(tmp_path / "rows")
    expected = in_memory(stream).score_with("prototypes", **IN_MEMORY)
    for said, *scores in in_two_processes(stream_jobs.launched, tmp_path, free_port()):
        assert "process 1 holds other stream, models and settings than process 0" in said
        assert scores == expected["prototypes"][:]


@pytest.mark.parametrize("shards", [3, 1])
def test_two_ranks_share_the_work_and_the_rows(ranks, shards):
    folder, found = ranks
    whole = in_memory(parquet_stream(folder / f"rows {shards}", shards))
    expected = whole.score_with("prototypes", **IN_MEMORY)
    shares = [part[shards] for part in found]
    assert all(part["scored"] for part in shares)
    assert sorted(row for part in shares for row in part["scored"]) == sorted(
        zip(expected["text"], expected["prototypes"], strict=True)
    )
    for name, kept in {
        "kept": expected.prune("prototypes", keep=0.4, order="hard"),
        "by column": whole.prune("score", keep=0.4, order="easy"),
    }.items():
        assert sorted(text for part in shares for text in part[name]) == sorted(kept["text"])


def test_a_dict_of_streams(tmp_path):
    stream = parquet_stream(tmp_path / "rows")
    splits = IterableDatasetDict({"train": stream, "test": stream})
    scored = splits.score_with("prototypes", **pixels(tmp_path / "cache"))
    assert "prototypes" in scored["train"].features
    assert scored["test"] is stream


def test_rows_that_cannot_be_read_are_named_or_left_out(tmp_path):
    stream = parquet_stream(tmp_path / "rows").decode(False)

    def broken(row):
        return {"image": {"bytes": b"no image", "path": None}} if row["text"] == "row 50" else {}

    damaged = stream.map(broken, features=stream.features).cast(FEATURES)
    options = pixels(tmp_path / "cache")
    place = r"^rows from \d+ of shard \d of the stream, counted from there: row \d: the image in column 'image' cannot be read"
    with pytest.raises(ValueError, match=place):
        damaged.score_with("prototypes", **options)
    scored = damaged.score_with("prototypes", on_error="skip", **options)
    assert [row["text"] for row in scored.decode(False) if row["prototypes"] is None] == ["row 50"]
    assert hf_prune.provenance(scored).steps[0].figures["unscored_rows"] == 1


REFUSED = {
    "'random' needs all rows at once": {"metric": "random"},
    "'supervised_prototypes' needs all rows at once": {"metric": "supervised_prototypes", "encoder": "pixels"},
    "inputs= goes by row numbers": {"metric": "prototypes", "inputs": {"embeddings": np.eye(2)}},
    "dynamics= goes by row numbers": {"metric": "el2n", "dynamics": "folder"},
    "teachers='heads' trains on all rows": {"metric": "el2n", "teachers": "heads", "encoder": "pixels"},
    "column 'score' is there already": {"metric": "prototypes", "encoder": "pixels", "column": "score"},
    "kept in files, as it is not held": {
        "metric": "prototypes",
        "encoder": "pixels",
        "run": Run(load_from_cache_file=False),
    },
    "this metric needs embeddings: pass encoder=": {"metric": "prototypes"},
    "this metric needs predictions of teachers": {"metric": "el2n"},
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_a_stream_cannot_serve_is_said_in_one_line(message, tmp_path):
    stream = parquet_stream(tmp_path / "rows", 1, 20)
    with pytest.raises(ValueError, match=message) as caught:
        stream.score_with(**REFUSED[message])
    assert "\n" not in str(caught.value)


def test_a_shuffled_stream_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"the stream is shuffled, .*: score and prune it first"):
        parquet_stream(tmp_path / "rows", 1, 20).shuffle(seed=0).score_with("prototypes", encoder="pixels")
