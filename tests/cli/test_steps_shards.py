"""``score --shard`` and ``merge``: the words of Python, where the marker and the column go, and what is refused."""

from pathlib import Path

import pytest
from datasets import load_from_disk

import hf_prune
from tests.helpers.tiny_publications import images

pytest_plugins = ["tests.helpers.command_line"]

ASKED = "data prototypes --encoder pixels --image-size 2 --batch-size 4 --num-prototypes 2"


def test_shards_are_scored_and_merged(hf, refusal, place):
    for number in (2, 0):
        assert hf(f"score {ASKED} --shard {number}/3 --out shards") == f"shards/{number}-of-3/done.json\n"
    assert "shard 1 of 3 is not done in 'shards': run again, such as with --shard 1/3" in refusal(
        f"merge {ASKED} --folder shards --out scored-in-shards"
    )
    hf(f"score {ASKED} --shard 1/3 --out shards")
    assert hf(f"merge {ASKED} --folder shards --column typical --out merged") == "merged\n"
    merged = load_from_disk("merged")
    run = hf_prune.Run(image_size=2, batch_size=4)
    expected = images().score_with("prototypes", encoder="pixels", num_prototypes=2, run=run)
    assert merged["typical"][:] == expected["prototypes"][:]
    assert hf_prune.provenance(merged).steps[-1].options == hf_prune.provenance(expected).steps[-1].options


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"score {ASKED} --shard 3/3 --out shards", "shards are numbered from 0: give one from 0/3 to 2/3"),
        (f"score {ASKED} --shard 0/4 --out shards", "the images make only 3 of the batches"),
        (
            f"score {ASKED} --shard 0/3 --cache-dir x --out shards",
            "cache_dir is given, but a shard keeps its results in its folder alone",
        ),
        ("score data random --shard 0/3 --out shards", "metric 'random' runs no model over these rows"),
        (f"score {ASKED} --shard 0/3 --out data", "'data' holds files but no shards: name a new folder"),
        (f"merge {ASKED} --folder data --out merged", "'data' holds no shards"),
        (f"merge {ASKED} --folder shards --out scored", "--out 'scored' holds a data set"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(refusal, place, line, message):
    assert message in refusal(line)
    assert not Path("shards").exists() or not list(Path("shards").rglob("*.json"))
