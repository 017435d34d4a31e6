"""Shards, each computed apart and then merged, give the column and the history of one run, or one line that says why not."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hf_prune import Heads, Run, merge_shards, provenance, score_shard
from hf_prune.engine import loop
from hf_prune.engine.shards import Shard
from hf_prune.metrics import get_metric
from hf_prune.runtime.integrity import read_sealed, write_sealed
from hf_prune.scoring import Request
from hf_prune.scoring.score import score_dataset
from hf_prune.scoring.shards import ShardRun, whole
from tests.helpers.metric_inputs import NAMES, TEACHER, Classifier, images, mean_colour, pixels
from tests.helpers.tiny_sets import files_under, noise

COUNT = 3
RUN = Run(device="cpu", batch_size=2)
ROWS = [*range(9), 4, 9, 9, 0, *range(10, 16)]  # 16 images, some of them twice: eight batches
BY_PIXELS = {"metric": "prototypes", "encoder": pixels, "num_prototypes": 3}


def rows():
    encoded = noise(16)
    return images([image % len(NAMES) for image in ROWS], [encoded[image] for image in ROWS])


def broken():
    """Rows with an image that cannot be read in the first shard, and none in the last."""
    encoded = noise(16)
    encoded[1], encoded[14] = b"broken", None
    return images([image % len(NAMES) for image in ROWS], [encoded[image] for image in ROWS])


def alone(ds, **asked):
    return ds.score_with(**asked, evidence=False, run=replace(RUN, load_from_cache_file=False))


def shard(ds, folder: Path, number: int, **asked) -> Path:
    return score_shard(ds, shard=(number, COUNT), folder=folder, evidence=False, **{"run": RUN} | asked)


def merge(ds, folder: Path, cache: Path, **asked):
    run = replace(asked.pop("run", RUN), cache_dir=cache)
    return merge_shards(ds, folder=folder, evidence=False, run=run, **asked)


def by_batch(batch):
    """An encoder that gives an image something else in other company."""
    return pixels(batch) + np.arange(len(batch))[:, None] + pixels(batch).mean(axis=0)


SECOND = (Classifier([2, 1, 0]), mean_colour)
ASKED = {
    "an encoder": BY_PIXELS,
    "an encoder that depends on the batch": BY_PIXELS | {"encoder": by_batch},
    "two metrics by one encoder": {
        "metric": ["prototypes", "supervised_prototypes"],
        "encoder": "pixels",
        "num_prototypes": 2,
    },
    "teachers": {"metric": "el2n", "teachers": [TEACHER, SECOND]},
    "a teacher and a student": {"metric": "reducible_loss", "teachers": TEACHER, "student": SECOND},
    "gradients": {
        "metric": "grand",
        "teachers": (torch.nn.Sequential(torch.nn.Linear(3, 3)).requires_grad_(True), mean_colour),
    },
    "heads": {"metric": "el2n", "teachers": Heads(num_heads=2, num_epochs=1), "encoder": pixels},
    "heads and a test set": {
        "metric": "influence_max",
        "teachers": Heads(num_heads=8, num_epochs=1),
        "encoder": pixels,
        "test_dataset": images([0, 1, 2], noise(3, seed=1)),
    },
}


@pytest.mark.filterwarnings("ignore:the two halves")
@pytest.mark.parametrize("name", ASKED)
def test_shards_give_the_column_and_the_history_of_one_run(name, tmp_path):
    asked, ds = ASKED[name], rows()
    markers = [shard(ds, tmp_path / "shards", number, **asked) for number in reversed(range(COUNT))]
    assert markers[0] == tmp_path / "shards" / "2-of-3" / "done.json"
    merged, expected = merge(ds, tmp_path / "shards", tmp_path / "cache", **asked), alone(ds, **asked)
    for column in set(expected.column_names) - set(ds.column_names):
        assert merged[column][:] == expected[column][:]
    assert provenance(merged).steps == provenance(expected).steps


def test_a_merge_fills_the_cache_and_the_marker_says_what_was_run(tmp_path):
    ds = rows()
    for number in range(COUNT):
        marker = read_sealed(shard(ds, tmp_path / "shards", number, **BY_PIXELS))
        assert marker["request"]["options"] == "[{'num_prototypes': 3, 'seed': 0}]"
        (title, ran), *_ = marker["passes"].items()
        assert (title, ran["images"], ran["computed"]) == ("Embedding", (5, 8, 6)[number], (4, 6, 6)[number])
        assert marker["versions"]["torch"] == torch.__version__
    merge(ds, tmp_path / "shards", tmp_path / "cache", **BY_PIXELS)
    shutil.rmtree(tmp_path / "shards")
    again = ds.score_with(**BY_PIXELS, evidence=False, run=replace(RUN, cache_dir=tmp_path / "cache"))
    assert again["prototypes"][:] == alone(ds, **BY_PIXELS)["prototypes"][:]


def test_without_a_cache_results_stay_in_the_folder_of_the_shards(tmp_path):
    folder, run = tmp_path / "shards", replace(RUN, load_from_cache_file=False)
    for number in range(COUNT):
        shard(rows(), folder, number, **BY_PIXELS)
    merged = merge_shards(rows(), folder=folder, run=run, evidence=False, **BY_PIXELS)
    assert merged["prototypes"][:] == alone(rows(), **BY_PIXELS)["prototypes"][:]
    assert len(files_under(folder / "rows")) > COUNT


def test_rows_that_cannot_be_read_are_left_out_of_both(tmp_path):
    asked = BY_PIXELS | {"on_error": "skip"}
    for number in range(COUNT):
        shard(broken(), tmp_path / "shards", number, **asked)
    merged = merge(broken(), tmp_path / "shards", tmp_path / "cache", **asked)
    expected = alone(broken(), **asked)
    assert merged["prototypes"][:] == expected["prototypes"][:]
    assert expected["prototypes"][1] is None
    with pytest.raises(ValueError, match=r"^row 17: the image in column 'image' cannot be read: there is no image"):
        shard(broken(), tmp_path / "others", 2, **BY_PIXELS)


class AsJudge:
    """A judge that wants features, as `score_with` has for two hundred rows."""

    def wants_features(self, *_):
        return True

    def begin(self, *_):
        """Nothing is judged before there is a column."""

    def evidence(self, *given):
        return {"features": given[-1].embeddings()[:].tolist()}


def test_features_for_the_evidence_come_from_the_shards_too(tmp_path):
    ds, steps = rows(), []
    head = (torch.nn.Sequential(torch.nn.Linear(3, 3)), mean_colour)
    runs = [ShardRun.made_of(RUN, tmp_path / "shards", None)]
    runs = [
        ShardRun.made_of(RUN, tmp_path / "shards", given) for given in map(Shard, [COUNT] * COUNT, range(COUNT))
    ] + runs
    for run in (*runs, replace(RUN, load_from_cache_file=False)):
        request = Request(teachers=[head], run=run)
        scored = score_dataset(ds, [get_metric("el2n")], request, {}, ["el2n"], False, AsJudge())
        steps.append(provenance(scored).steps)
    assert steps[:COUNT] == [()] * COUNT
    assert steps[COUNT] == steps[COUNT + 1] != ()
    assert np.shape(steps[COUNT][0].evidence["features"]) == (len(ROWS), 3)


@pytest.fixture
def batches(monkeypatch) -> list[int]:
    """Sizes of the batches that go through a model; -1 in it is where the next one is interrupted."""
    seen: list[int] = []
    output = loop._Loop._output

    def counted(self, batch):
        if seen.count(-1) == 1 and len(seen) > 2:
            raise KeyboardInterrupt
        seen.append(len(batch.rows))
        return output(self, batch)

    monkeypatch.setattr(loop._Loop, "_output", counted)
    return seen


def test_a_shard_that_was_stopped_goes_on_and_one_that_is_done_ends_at_once(tmp_path, batches):
    batches.append(-1)
    with pytest.raises(KeyboardInterrupt):
        shard(rows(), tmp_path, 1, **BY_PIXELS)
    assert batches == [-1, 2, 2]
    with pytest.raises(
        RuntimeError, match=r"^shards 0, 1, 2 of 3 are not done in .*: run again, such as with --shard 0/3"
    ):
        merge(rows(), tmp_path, tmp_path / "cache", **BY_PIXELS)
    batches.clear()
    marker = shard(rows(), tmp_path, 1, **BY_PIXELS)
    assert batches == [2]
    assert read_sealed(marker)["passes"]["Embedding"]["computed"] == 2
    batches.clear()
    shard(rows(), tmp_path, 1, **BY_PIXELS)
    assert batches == []


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    for number in range(COUNT):
        shard(rows(), folder, number, **BY_PIXELS)
    return folder


def one_label_less():
    ds = rows()
    return ds.remove_columns("label")


@pytest.mark.parametrize(
    ("ds", "asked", "message"),
    [
        (
            rows(),
            {"metric": ["prototypes", "random"]},
            r"with metrics=\['prototypes'\], this call with metrics=\['prototypes', 'random'\]: give",
        ),
        (
            rows(),
            {"num_prototypes": 4},
            r"with options=.* 3, .*, this call with options=.* 4, .*: give the same, or score",
        ),
        (rows(), {"seed": 1}, "this call with options="),
        (rows(), {"encoder": "pixels"}, "with encoder='function', this call with encoder='pixels'"),
        (rows(), {"on_error": "skip"}, "with on_error='raise', this call with on_error='skip'"),
        (rows(), {"run": replace(RUN, batch_size=3)}, "with batch_size=2, this call with batch_size=3"),
        (rows(), {"run": replace(RUN, revision="v2")}, "with revision=None, this call with revision='v2'"),
        (rows().select(range(9)), {}, "with other rows than this call"),
        (one_label_less(), {}, "with other (rows|features|labels) than this call"),
        (
            rows(),
            {"encoder": lambda batch: pixels(batch)},
            r"the shards ran 'Embedding' with id='pixels', this call with id='<lambda>': give",
        ),
    ],
)
def test_what_was_asked_otherwise_is_refused_in_one_line(finished, tmp_path, ds, asked, message):
    with pytest.raises(ValueError, match=message) as caught:
        merge(ds, finished, tmp_path, **BY_PIXELS | asked)
    assert "\n" not in str(caught.value)
    assert not files_under(tmp_path / "cache")


def test_a_shard_that_asks_otherwise_than_those_that_are_done_is_refused_before_it_runs(finished, batches):
    with pytest.raises(
        ValueError, match=r"^shard 0/3 was scored with batch_size=2, this call with batch_size=1: give"
    ):
        shard(rows(), finished, 1, **BY_PIXELS, run=replace(RUN, batch_size=1))
    with pytest.raises(ValueError, match=r"^shard='1/4', but '.*' holds shards of 3: name another folder"):
        score_shard(rows(), shard=(1, 4), folder=finished, run=RUN, **BY_PIXELS)
    assert batches == []


def edited(folder: Path, finished: Path, change) -> Path:
    """A copy of finished shards of which the marker of the last was written by another run."""
    shutil.copytree(finished, folder)
    path = folder / "2-of-3" / "done.json"
    marker = read_sealed(path)
    change(marker)
    write_sealed(path, marker)
    return folder


def test_shards_of_another_commit_or_of_other_rows_are_named(finished, tmp_path):
    def commit(marker):
        marker["passes"]["Embedding"]["model"]["commit"] = "'abc'"

    def others(marker):
        marker["passes"]["Embedding"]["rows"]["rows"] = "sha256:0"

    for name, change, message in (
        ("commit", commit, "^shard 2/3 ran 'Embedding' with commit='abc', shard 0/3 with commit=None: give the same"),
        ("rows", others, "^shard 2/3 ran 'Embedding' with other rows than shard 0/3: give the same"),
    ):
        folder = edited(tmp_path / name, finished, change)
        with pytest.raises(ValueError, match=message):
            merge(rows(), folder, tmp_path / "cache", **BY_PIXELS)


def test_other_versions_of_packages_are_a_warning(finished, tmp_path):
    folder = edited(tmp_path / "s", finished, lambda marker: marker["versions"].update(torch="1.0"))
    with pytest.warns(UserWarning, match="several versions of packages"):
        merged = merge(rows(), folder, tmp_path / "cache", **BY_PIXELS)
    assert merged["prototypes"][:] == alone(rows(), **BY_PIXELS)["prototypes"][:]


def test_missing_shards_are_named_and_nothing_is_scored_without_them(finished, tmp_path):
    with pytest.raises(RuntimeError, match=r"^'.*nowhere' holds no shards: make them first, such as with --shard 0/4"):
        merge(rows(), tmp_path / "nowhere", tmp_path, **BY_PIXELS)
    folder = shutil.copytree(finished, tmp_path / "shards")
    (folder / "1-of-3" / "done.json").write_text(json.dumps({"format": 1}))  # cut short: not done
    with pytest.raises(RuntimeError, match=r"^shard 1 of 3 is not done in '.*': run again, such as with --shard 1/3"):
        merge(rows(), folder, tmp_path / "cache", **BY_PIXELS)
    for number in range(1, 12):
        (folder / f"{number}-of-12").mkdir()
    for number in range(COUNT):
        shutil.rmtree(folder / f"{number}-of-3")
    with pytest.raises(RuntimeError, match=r"^shards 0, 1, 2, 3, 4, 5, 6, 7 … \(12\) of 12 are not done"):
        merge(rows(), folder, tmp_path / "cache", **BY_PIXELS)


@pytest.mark.filterwarnings("ignore:.*damaged file")
@pytest.mark.parametrize("damage", ["removed", "cut short"])
def test_results_that_were_lost_are_noticed_and_made_again(finished, tmp_path, damage, batches):
    folder = shutil.copytree(finished, tmp_path / "shards")
    (path,) = (folder / "2-of-3").rglob("*/*.safetensors")
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(
        RuntimeError, match=r"^Embedding: images have no result in '.*' though all shards are done"
    ) as said:
        merge(rows(), folder, tmp_path / "cache", **BY_PIXELS)
    assert "\n" not in str(said.value)
    batches.clear()
    shard(rows(), folder, 2, **BY_PIXELS)
    assert batches == [2, 2, 2]
    merged = merge(rows(), folder, tmp_path / "cache", **BY_PIXELS)
    assert merged["prototypes"][:] == alone(rows(), **BY_PIXELS)["prototypes"][:]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"metric": "random"},
            "^metric 'random' runs no model over these rows: score them as a whole, without shards",
        ),
        (
            {"metric": "prototypes", "inputs": {"embeddings": np.eye(len(ROWS))}},
            "^metric 'prototypes' runs no model over these rows",
        ),
        (
            BY_PIXELS | {"run": Run(cache_dir="x")},
            "^cache_dir is given, but a shard keeps its results in its folder alone: leave it out",
        ),
        (
            BY_PIXELS | {"run": Run(load_from_cache_file=False)},
            "^load_from_cache_file is given, but a shard keeps",
        ),
        (
            BY_PIXELS | {"run": Run(batch_size=64)},
            r"^shard='0/3', but the images make only 1 of the batches",
        ),
        (BY_PIXELS | {"splits": "train"}, "^splits='train' is for a DatasetDict"),
        (BY_PIXELS | {"encoder": torch.nn.Identity}, "."),
        ({"metric": "el2n"}, "^metric 'el2n' needs 'labels'|teachers="),
    ],
)
def test_what_makes_no_shard_is_refused_in_one_line(tmp_path, asked, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        shard(rows(), tmp_path / "shards", 0, **asked)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("done.json"))


def test_a_model_that_cannot_be_told_from_another_is_refused(tmp_path):
    def encoder(batch):
        return pixels(batch) + opaque.value

    class Opaque:
        __slots__ = ("value",)
        __reduce__ = None

    opaque = Opaque()
    opaque.value = iter([1])
    with pytest.raises(
        ValueError, match=r"^Embedding: results of this model cannot be kept \(.*\), so shards cannot be"
    ):
        shard(rows(), tmp_path, 0, metric="prototypes", encoder=encoder)


@pytest.mark.parametrize("call", [shard, merge])
def test_one_data_set_is_taken(call, tmp_path):
    with pytest.raises(TypeError, match=r"takes one Dataset, not IterableDataset"):
        call(
            rows().to_iterable_dataset(),
            tmp_path,
            **{shard: {"number": 0}, merge: {"cache": tmp_path}}[call],
            **BY_PIXELS,
        )


def test_rows_apart_from_shards_use_the_same_cache_as_a_whole(tmp_path):
    assert whole(RUN) is RUN
    run = whole(ShardRun.made_of(replace(RUN, cache_dir=tmp_path), "shards", None))
    assert run == replace(RUN, cache_dir=tmp_path, load_from_cache_file=True)
    assert type(run) is Run
