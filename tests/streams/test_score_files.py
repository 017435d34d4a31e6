"""Files of scores are complete or made again, and nobody waits for ever for those of others."""

import numpy as np
import pytest

import hf_prune
from hf_prune.streams import score_files
from hf_prune.streams.score_files import END, KEYS, SCORES, ScoreFiles
from tests.helpers.stream_jobs import pixels
from tests.helpers.stream_sets import column, parquet_stream, small_blocks  # noqa: F401  # a fixture for every test here


def test_a_file_that_was_damaged_is_made_again(tmp_path):
    stream = parquet_stream(tmp_path / "rows", 1, 20)
    options = pixels(tmp_path / "cache")
    scored = stream.score_with("prototypes", **options)
    expected = column(scored)
    (damaged,) = (tmp_path / "cache").rglob("scores-00000-000001.safetensors")
    damaged.write_bytes(damaged.read_bytes()[:-4])
    with pytest.raises(
        hf_prune.StateError, match=r"was removed or damaged since the stream was scored: score it again"
    ):
        list(scored)
    assert column(stream.score_with("prototypes", **options)) == expected


def test_who_waits_in_vain_is_told_where_and_for_what(tmp_path, monkeypatch):
    monkeypatch.setattr(score_files, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(score_files, "_POLL_S", 0.01)
    files = ScoreFiles(tmp_path, {"stream": "x"}, 1)
    files.wait(lambda: True, "nothing")
    with pytest.raises(
        hf_prune.StateError, match=r"waited an hour for the scores by the other processes in .*streams"
    ):
        files.wait(lambda: files.is_complete(SCORES), "the scores")


def test_a_file_that_goes_while_it_is_listed_ends_no_wait(tmp_path):
    """Another process takes embeddings away once it has scored them."""
    files = ScoreFiles(tmp_path, {"stream": "x"}, 1)
    (files.folder / "embeddings-00000-000007.safetensors").symlink_to(files.folder / "gone")
    asked = []
    files.wait(lambda: len(asked) > 1 or asked.append(1), "the scores")
    assert len(asked) == 2


def test_another_identity_has_files_of_its_own(tmp_path):
    first, other, same = (ScoreFiles(tmp_path, {"stream": name}, 1) for name in "xyx")
    assert first.folder == same.folder != other.folder
    assert (first.end(0), first.has(KEYS, 0), first.has(END, 0)) == (None, False, False)


def test_a_block_is_there_once_its_keys_are(tmp_path):
    """Another process that shares the shard writes them last."""
    files = ScoreFiles(tmp_path, {"stream": "x"}, 1)
    files.write(END, 0, 0, {"rows_and_blocks": np.array([3, 1])})
    files.write(SCORES, 0, 0, {"missing of s": np.zeros(3, np.uint8)})
    assert not files.is_complete(SCORES)
    files.write(KEYS, 0, 0, {KEYS: np.zeros((3, 32), np.uint8)})
    assert files.is_complete(SCORES)
