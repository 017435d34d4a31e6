"""What comes back is a stream like any other: it resumes, is split and shuffled, and notices that its source has changed."""

import json

import pytest
import torch
from datasets import Dataset
from datasets.distributed import split_dataset_by_node

from hf_prune import Run
from hf_prune.runtime.errors import StateError
from tests.helpers.stream_jobs import pixels
from tests.helpers.stream_sets import FEATURES, in_memory, parquet_stream, rows


@pytest.fixture(autouse=True, scope="module")
def small_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hf_prune.streams.source.BLOCK_ROWS", 8)
        patch.setattr("hf_prune.streams.source._PIECE_ROWS", 4)
        yield


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    scored = parquet_stream(folder / "rows").score_with("prototypes", **pixels(folder / "cache"))
    return scored.prune("prototypes", keep=0.6, order="hard", run=Run(cache_dir=folder / "cache"))


def texts(stream):
    return [row["text"] for row in stream]


def test_it_goes_on_from_its_state(kept):
    whole = texts(kept)
    assert len(whole) == 36
    for count in (1, 8, 20, 35):
        stream = iter(kept)
        seen = [next(stream)["text"] for _ in range(count)]
        resumed = kept.with_format(None)
        resumed.load_state_dict(json.loads(json.dumps(kept.state_dict())))
        assert seen + texts(resumed) == whole


@pytest.mark.parametrize("world", [2, 3])
def test_it_is_split_by_node(kept, world):
    shares = [texts(split_dataset_by_node(kept, rank, world)) for rank in range(world)]
    assert all(shares)
    assert sorted(text for share in shares for text in share) == sorted(texts(kept))


def test_workers_share_its_shards(kept):
    loader = torch.utils.data.DataLoader(kept.select_columns(["text", "prototypes"]), batch_size=None, num_workers=2)
    assert sorted(row["text"] for row in loader) == sorted(texts(kept))


def test_it_is_shuffled_and_shown_in_a_format(kept):
    shuffled = kept.shuffle(seed=1, buffer_size=5)
    assert texts(shuffled) != texts(kept)
    assert sorted(texts(shuffled)) == sorted(texts(kept))
    batches = list(kept.with_format("arrow").iter(batch_size=10))
    assert [len(batch) for batch in batches] == [10, 10, 10, 6]


@pytest.mark.parametrize("change", ["other rows", "fewer rows", "more rows", "other labels"])
def test_another_source_under_the_same_name_is_noticed(tmp_path, change):
    stream = parquet_stream(tmp_path / "rows", 1, 20)
    scored = stream.score_with("prototypes", **pixels(tmp_path / "cache"))
    by_column = stream.prune("score", keep=0.5, order="hard", run=Run(cache_dir=tmp_path / "cache"))
    changed = {"other rows": rows(20, seed=1), "fewer rows": rows(19), "more rows": rows(30)}.get(change, rows(20))
    changed = [row | {"label": 2} for row in changed] if change == "other labels" else changed  # of the same images
    Dataset.from_list(changed, features=FEATURES).to_parquet(tmp_path / "rows/0.parquet")
    for reading in (scored, by_column):
        with pytest.raises(StateError, match=r"the stream changed since it was scored; remove .* and score it again"):
            list(reading)


def test_other_scores_under_the_same_name_are_noticed(tmp_path):
    stream = parquet_stream(tmp_path / "rows", 1, 20)
    kept = stream.prune("score", keep=0.5, order="hard", run=Run(cache_dir=tmp_path / "cache"))
    changed = in_memory(stream).map(lambda row: {"score": 1.0 if row["score"] is None else row["score"]})
    changed.cast(FEATURES).to_parquet(tmp_path / "rows/0.parquet")
    with pytest.raises(StateError, match="rows from 0 of shard 0 are others than those that were scored"):
        list(kept)
