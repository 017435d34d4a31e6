"""A first pass that was cut off goes on where its files end."""

import signal

import hf_prune
from tests.helpers import stream_jobs
from tests.helpers.process_parent import call_in_forks
from tests.helpers.stream_jobs import IN_MEMORY, pixels
from tests.helpers.stream_sets import column, in_memory, parquet_stream, small_blocks  # noqa: F401  # a fixture for every test here


def test_a_run_that_was_killed_goes_on(tmp_path, monkeypatch):
    assert call_in_forks([(stream_jobs.killed, (tmp_path, 5))], tmp_path, {}) == [-signal.SIGKILL]
    stream = parquet_stream(tmp_path / "rows")
    (folder,) = (tmp_path / "cache/streams").iterdir()
    there = {path.name for path in folder.glob("embeddings-*")}
    assert there
    seen = []
    monkeypatch.setattr(
        "hf_prune.streams.first_pass._scored",
        lambda block, scorer, scored=hf_prune.streams.first_pass._scored: seen.append(block) or scored(block, scorer),
    )
    scored = stream.score_with("prototypes", **pixels(tmp_path / "cache"))
    assert not {f"embeddings-{block.shard:05d}-{block.number:06d}.safetensors" for block in seen} & (
        there - {max(there)}
    )
    assert sum(len(block.rows) for block in seen) + 8 * (len(there) - 1) <= 60
    expected = in_memory(stream).score_with("prototypes", **IN_MEMORY)
    assert column(scored) == expected["prototypes"][:]
