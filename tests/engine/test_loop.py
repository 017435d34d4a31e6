import io
import os
import pickle
import shutil
from pathlib import Path

import datasets
import numpy as np
import PIL.Image
import pytest
import torch
from datasets import concatenate_datasets

from hf_prune.data.images import EncodedImages
from hf_prune.engine import image_keys, loop
from hf_prune.runtime.files import array_shape
from tests.helpers.tiny_sets import (
    WEIGHTS,
    expected,
    make_model,
    make_set,
    noise,
    run,
    set_of_files,
    to_tensor,
    untouchable,
)


def test_every_row_gets_its_own_value_and_equal_images_are_computed_once():
    encoded = noise(11)
    encoded = [encoded[index] for index in (3, 0, 3, 1, 2, 4, 5, 3, 6, 7, 8, 9, 10, 0)]
    seen = []
    result = run(make_set(encoded), make_model(lambda batch: seen.append(len(batch)) or batch @ WEIGHTS))
    assert result.rows.tolist() == list(range(14))
    assert result.values.dtype == np.float32
    np.testing.assert_allclose(result.values, expected(encoded), atol=1e-6)
    assert seen == [4, 4, 3]
    assert (result.computed, result.reused, result.unreadable) == (11, 3, {})


def test_a_second_call_opens_no_model_and_starts_no_worker(tmp_path, monkeypatch):
    ds = make_set(noise(10))
    first = run(ds, store_root=tmp_path)
    monkeypatch.setattr(torch.utils.data, "DataLoader", untouchable)
    second = run(ds, make_model(load=untouchable), store_root=tmp_path, num_workers=2)
    assert (second.computed, second.reused) == (0, 10)
    assert second.values.tobytes() == first.values.tobytes()
    assert run(ds, make_model(load=untouchable), store_root=tmp_path, batch_size=3).computed == 0


def test_other_views_of_the_same_images_reuse_rows(tmp_path):
    ds = make_set(noise(9))
    values = run(ds, store_root=tmp_path).values
    reuse = make_model(load=untouchable)
    views = {
        "filtered": (ds.filter(lambda _, row: row % 2 == 0, with_indices=True), [0, 2, 4, 6, 8]),
        "shuffled": (ds.select([8, 1, 5]), [8, 1, 5]),
        "concatenated": (concatenate_datasets([ds, ds.select([2])]), [*range(9), 2]),
        "with a column": (ds.add_column("score", np.arange(9)), list(range(9))),
        "formatted": (ds.with_format("numpy", columns=[]), list(range(9))),
        "transformed": (ds.with_transform(lambda _: 1 / 0), list(range(9))),
    }
    for name, (view, rows) in views.items():
        assert np.array_equal(run(view, reuse, store_root=tmp_path).values, values[rows]), name
    renamed = run(ds.rename_column("image", "x"), reuse, store_root=tmp_path, image_column="x")
    assert np.array_equal(renamed.values, values)
    assert run(ds, make_model(name="another"), store_root=tmp_path).computed == 9


def test_only_images_not_seen_before_are_computed(tmp_path):
    encoded = noise(8)
    run(make_set(encoded[:5]), store_root=tmp_path)
    changed = [*encoded[:3], noise(1, seed=9)[0], *encoded[4:]]
    result = run(make_set(changed), store_root=tmp_path)
    assert (result.computed, result.reused) == (4, 4)
    np.testing.assert_allclose(result.values, expected(changed), atol=1e-6)


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_no_value_is_filed_under_the_key_of_other_bytes(tmp_path, monkeypatch, on_error):
    encoded = noise(6)
    with monkeypatch.context() as patch:  # processes that took each other's keys for those of their own rows
        wrong = image_keys.image_keys(EncodedImages(make_set(encoded[::-1]), "image"))
        patch.setattr(loop, "content_keys", lambda *_: wrong)
        if on_error == "raise":
            with pytest.raises(ValueError, match=r"^row 0: .* its bytes changed during this run; "):
                run(make_set(encoded), store_root=tmp_path)
        else:
            result = run(make_set(encoded), store_root=tmp_path, on_error="skip")
            assert list(result.unreadable) == list(range(6))
    np.testing.assert_allclose(run(make_set(encoded), store_root=tmp_path).values, expected(encoded), atol=1e-6)


def test_a_value_that_depends_on_a_class_is_filed_with_that_class(tmp_path):
    encoded, targets = noise(4), np.array([2, 0, 1, 1])

    def forward(batch):
        images, classes = batch
        return images @ WEIGHTS + classes[:, None]

    model = make_model(forward)
    first = run(make_set(encoded), model, store_root=tmp_path, targets=targets)
    np.testing.assert_allclose(first.values, expected(encoded) + targets[:, None], atol=1e-6)
    targets = np.array([1, 1, 2, 2])
    moved = run(make_set(encoded[::-1]), model, store_root=tmp_path, targets=targets)
    assert (moved.computed, moved.reused) == (1, 3)
    np.testing.assert_allclose(moved.values, expected(encoded[::-1]) + targets[:, None], atol=1e-6)


def test_a_file_overwritten_behind_its_path_never_hits(tmp_path, monkeypatch):
    monkeypatch.setattr(image_keys, "SETTLED_SECONDS", -3600.0)  # so that the keys of fresh files are kept as well
    encoded = noise(5)
    ds = set_of_files(tmp_path, encoded)
    first = run(ds, store_root=tmp_path / "store")
    assert len(list((tmp_path / "store" / "keys").iterdir())) == 1
    with monkeypatch.context() as patch:
        patch.setattr(image_keys, "image_keys", untouchable)  # the kept keys are used, nothing is hashed
        again = run(ds, make_model(load=untouchable), store_root=tmp_path / "store")
    assert np.array_equal(first.values, again.values)
    other = noise(1, seed=5)[0]
    file = tmp_path / "2.png"
    before = file.stat()
    assert len(other) == before.st_size
    file.write_bytes(other)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    result = run(ds, store_root=tmp_path / "store")
    assert result.computed == 1
    np.testing.assert_allclose(result.values, expected([*encoded[:2], other, *encoded[3:]]), atol=1e-6)


def test_an_empty_set_is_no_error_here():
    assert run(make_set(noise(1)).select([])).values.shape == (0, 0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_names_the_row_and_the_rest_is_kept(tmp_path, bad):
    encoded = noise(10)
    target = to_tensor([PIL.Image.open(io.BytesIO(encoded[6]))])

    def forward(batch):
        return torch.where((batch == target).all(1, keepdim=True), bad, batch @ WEIGHTS)

    with pytest.raises(ValueError, match=r"^row 6: the model gave NaN or infinity .*dtype=") as caught:
        run(make_set(encoded), make_model(forward), store_root=tmp_path)
    assert "\n" not in str(caught.value)
    assert run(make_set(encoded), store_root=tmp_path).computed == 1


@pytest.mark.parametrize(
    "wrong", [lambda y: y[:-1], lambda y: y[:, 0], lambda y: y[:, :, None, None], lambda y: y[:1]]
)
def test_anything_but_one_vector_per_image_is_an_error(wrong):
    with pytest.raises(ValueError, match=r"shape .* for 4 images; it must give one vector per image"):
        run(make_set(noise(8)), make_model(lambda batch: wrong(batch @ WEIGHTS)))


def test_workers_change_nothing(tmp_path):
    encoded = noise(23)
    encoded[7] = b"broken"
    ds = make_set(encoded)
    alone = run(ds, on_error="skip")
    helped = run(ds, on_error="skip", num_workers=2)
    assert helped.values.tobytes() == alone.values.tobytes()
    assert helped.unreadable == alone.unreadable
    with pytest.raises(ValueError, match=r"^row 7: "):
        run(ds, num_workers=2)


def test_a_run_draws_nothing_from_the_generators_of_a_training():
    def load(device):
        torch.rand(3)  # as a checkpoint with a missing layer does
        return (lambda batch: batch @ WEIGHTS), lambda: None

    states = torch.get_rng_state(), pickle.dumps(np.random.get_state())  # noqa: NPY002 - it is the global one
    for workers in (0, 1):
        run(make_set(noise(5)), make_model(load=load), num_workers=workers)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert pickle.dumps(np.random.get_state()) == states[1]  # noqa: NPY002 - as above


def test_models_run_in_inference_mode_but_are_opened_outside_it():
    modes = []

    def load(device):
        modes.append(torch.is_inference_mode_enabled())
        return (lambda batch: modes.append(torch.is_inference_mode_enabled()) or batch @ WEIGHTS), lambda: None

    run(make_set(noise(3)), make_model(load=load))
    assert modes == [False, True]


def test_the_model_is_closed_after_an_error_too():
    closed = []

    def broken(batch):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        run(make_set(noise(3)), make_model(load=lambda _: (broken, lambda: closed.append(True))))
    assert closed == [True]


def test_outputs_written_into_one_buffer_are_kept_apart():
    buffer = torch.empty(4, 5)
    result = run(make_set(noise(8)), make_model(lambda batch: torch.matmul(batch, WEIGHTS, out=buffer)))
    np.testing.assert_allclose(result.values, expected(noise(8)), atol=1e-6)


def test_bf16_results_are_the_same_cold_and_warm(tmp_path):
    model = make_model(lambda batch: batch.bfloat16() @ WEIGHTS.bfloat16())
    ds = make_set(noise(12))
    cold, warm = run(ds, model, store_root=tmp_path), run(ds, model, store_root=tmp_path)
    assert warm.computed == 0
    assert warm.values.tobytes() == cold.values.tobytes()
    assert not (cold.values.view(np.uint32) & 0xFFFF).any()


@pytest.mark.parametrize(
    ("options", "chunks"),
    [
        ({}, [20]),
        ({"chunk_rows": 8}, [4, 8, 8]),
        ({"chunk_rows": 10}, [4, 8, 8]),
        ({"chunk_rows": 3}, [1, 1, 1, 1, 1, 3, 3, 3, 3, 3]),
        ({"chunk_seconds": 0.0}, [4, 4, 4, 4, 4]),
    ],
)
def test_chunks_are_bounded_by_rows_and_seconds(tmp_path, options, chunks):
    run(make_set(noise(20)), store_root=tmp_path, **options)
    assert sorted(array_shape(path, "keys")[0] for path in tmp_path.glob("rows/*/*.safetensors")) == chunks


def files_under(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_nothing_is_left_behind_without_a_store(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    ds = make_set(noise(6))
    assert [run(ds).computed for _ in range(2)] == [6, 6]
    assert [run(ds, make_model(cacheable=False), store_root=tmp_path).computed for _ in range(2)] == [6, 6]
    assert files_under(tmp_path) == []


def test_a_row_that_was_never_written_raises(tmp_path, monkeypatch):
    from hf_prune.engine import loop

    whole = loop.Collate.__call__
    monkeypatch.setattr(loop.Collate, "__call__", lambda self, items: whole(self, items[1:]))
    with pytest.raises(RuntimeError, match="row 0 was never written"):
        run(make_set(noise(6)), store_root=tmp_path)


@pytest.mark.parametrize("lost", ["chunks", "folder", "disk"])
def test_a_disk_that_loses_what_it_held_ends_in_one_line_and_the_next_run_computes_what_is_lost(tmp_path, lost):
    ds, root, batches = make_set(noise(40)), tmp_path / "cache", []

    def losing(batch):
        batches.append(len(batch))
        if len(batches) == 4 and lost == "chunks":
            next(root.rglob("*.safetensors")).unlink()
        elif len(batches) == 4:
            shutil.rmtree(root)
            if lost == "disk":
                root.write_bytes(b"")  # nothing can be written there any more
        return batch @ WEIGHTS

    with pytest.raises(OSError, match=r"was removed or damaged during|cannot keep results in") as caught:
        _ = run(ds, make_model(losing), store_root=root, chunk_rows=4).values
    assert "\n" not in str(caught.value)
    assert str(caught.value).count("cannot keep") == (lost == "disk")
    if lost == "disk":
        root.unlink()
    again = run(ds, store_root=root)
    assert again.reused == {"chunks": 36, "folder": 28, "disk": 0}[lost]
    np.testing.assert_allclose(again.values, expected(noise(40)), atol=1e-6)


def test_the_progress_bar_obeys_datasets(capfd):
    assert datasets.are_progress_bars_disabled() is False
    run(make_set(noise(6)), desc="Embedding")
    assert "Embedding: 100%" in capfd.readouterr().err
    datasets.disable_progress_bars()
    try:
        run(make_set(noise(6)), desc="Embedding")
    finally:
        datasets.enable_progress_bars()
    assert capfd.readouterr().err == ""
