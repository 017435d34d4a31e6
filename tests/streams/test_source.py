"""A shard is read on from any block as it is read from its start, whatever the stream is made of."""

import pytest
from datasets import Dataset, IterableDataset, interleave_datasets
from datasets.distributed import split_dataset_by_node

from hf_prune import Run
from hf_prune.streams.source import Position, StreamSource
from tests.helpers.stream_sets import FEATURES, folder_stream, parquet_stream, rows, tar_stream


def generated(numbers):
    for number in numbers:
        yield from rows(20, seed=number)


def keep_most(row):
    return row["label"] < 2


def longer(batch):
    return {"text": [f"{text}!" for text in batch["text"]]}


STREAMS = {
    "parquet": parquet_stream,
    "webdataset": tar_stream,
    "image folder": folder_stream,
    "generator": lambda _: IterableDataset.from_generator(generated, FEATURES, gen_kwargs={"numbers": [0, 1, 2]}),
    "filtered": lambda folder: parquet_stream(folder).decode(False).filter(keep_most).cast(FEATURES),
    "mapped in batches": lambda folder: parquet_stream(folder).map(
        longer, batched=True, batch_size=5, features=FEATURES
    ),
    "tables mapped in batches": lambda folder: (
        parquet_stream(folder)
        .with_format("arrow")
        .map(lambda table: table, batched=True, batch_size=5, features=FEATURES)
    ),
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr("hf_prune.streams.source.BLOCK_ROWS", 6)
    monkeypatch.setattr("hf_prune.streams.source._PIECE_ROWS", 3)


def content(blocks):
    return [(block.number, block.start, block.rows.data.table.to_pylist()) for block in blocks]


@pytest.mark.parametrize("name", STREAMS)
def test_reading_on_from_a_block(name, tmp_path):
    source = StreamSource(STREAMS[name](tmp_path))
    for shard in range(source.num_shards):
        blocks = list(source.blocks(shard))
        assert sum(len(block.rows) for block in blocks) > 0
        for block in blocks:
            after = Position(block.number + 1, block.start + len(block.rows), block.state)
            assert content(source.blocks(shard, after)) == content(blocks[block.number + 1 :])
    assert (block.state is None) == (name == "tables mapped in batches")


def test_all_rows_are_those_of_the_stream(tmp_path):
    for stream in (parquet_stream(tmp_path / "parquet"), tar_stream(tmp_path / "tar")):
        source = StreamSource(stream)
        read = [
            row
            for shard in range(source.num_shards)
            for block in source.blocks(shard)
            for row in block.rows.data.table.to_pylist()
        ]
        assert read == list(stream.decode(False))


def test_the_identity_does_not_change_while_the_stream_is_read(tmp_path):
    stream = parquet_stream(tmp_path)
    first = StreamSource(stream).identity
    next(iter(stream))
    assert StreamSource(stream).identity == first
    assert StreamSource(parquet_stream(tmp_path)).identity == first
    assert StreamSource(stream.take(5)).identity != first


def test_a_block_ends_by_its_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("hf_prune.streams.source.BLOCK_BYTES", 1)
    blocks = list(StreamSource(parquet_stream(tmp_path, 1, 20)).blocks(0))
    assert [len(block.rows) for block in blocks] == [3] * 6 + [2]


def nothing():
    yield from []


def test_a_stream_without_rows_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the stream has no rows and no features: there is nothing to read"):
        StreamSource(IterableDataset.from_generator(nothing))
    empty = IterableDataset.from_generator(nothing, FEATURES)
    with pytest.raises(ValueError, match="the stream is empty: there is nothing to score"):
        empty.score_with("prototypes", encoder="pixels", run=Run(cache_dir=tmp_path))
    with pytest.raises(ValueError, match="no rows with a score to choose from"):
        empty.prune("score", keep=0.5, order="hard", run=Run(cache_dir=tmp_path))
    assert list(empty.prune("score", keep=0.5, order="hard", passes=1)) == []


def test_a_datasets_that_is_too_old_is_refused(monkeypatch):
    stream = generated([3])
    monkeypatch.setattr("datasets.__version__", "5.0.1")
    with pytest.raises(
        ImportError, match=r"^streams need datasets 5\.1 or newer, this is 5\.0\.1: pip install -U datasets$"
    ):
        StreamSource(stream)


def numbers(first=0, stop=20):
    return Dataset.from_dict({"row": range(first, stop)}).to_iterable_dataset(num_shards=3)


def is_even_place(_, place):
    return place % 2 == 0


# What these give depends on which row of all comes, and a shard does not know.
BY_PLACE = {
    "interleaved": lambda: interleave_datasets([numbers(0, 8), numbers(8, 30)]),
    "drawn": lambda: interleave_datasets([numbers(), numbers(20, 30)], probabilities=[0.3, 0.7], seed=1),
    "take": lambda: numbers().take(7),
    "skip": lambda: numbers().skip(7).filter(lambda row: row["row"] < 19),
    "repeat": lambda: numbers().repeat(2),
    "a column": lambda: numbers().add_column("score", list(range(100, 120))),
    "filter by place": lambda: numbers(0, 20).filter(is_even_place, with_indices=True),
    "whole batches": lambda: numbers().map(dict, batched=True, batch_size=4, drop_last_batch=True),
}


@pytest.mark.parametrize("name", BY_PLACE)
def test_rows_that_go_by_their_place_are_those_of_the_stream(name):
    source = StreamSource(BY_PLACE[name]())
    read = [row for block in source.blocks(0) for row in block.rows.data.table.to_pylist()]
    assert source.num_shards == 1
    assert read == list(BY_PLACE[name]())
    blocks = list(source.blocks(0))
    after = Position(1, len(blocks[0].rows), blocks[0].state)
    assert content(source.blocks(0, after)) == content(blocks[1:])


def test_a_share_that_was_cut_is_refused():
    share = split_dataset_by_node(numbers(), 0, 3).take(2)
    with pytest.raises(ValueError, match=r"^the stream was cut with take\(\) or skip\(\) after split_dataset_by_node"):
        share.prune("row", keep=0.5, order="hard", passes=1)


def test_features_that_cannot_be_told_are_asked_for(tmp_path):
    mapped = parquet_stream(tmp_path).map(lambda row: {"text": row["text"]})
    with pytest.raises(
        ValueError, match=r"^the features of the stream cannot be told .*: pass features= to the map"
    ) as e:
        StreamSource(mapped)
    assert "\n" not in str(e.value)
