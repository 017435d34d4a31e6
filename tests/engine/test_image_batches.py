import io
import itertools
import threading

import numpy as np
import PIL.Image
import pytest
import torch
from datasets import Image

from hf_prune.data.images import EncodedImages
from hf_prune.engine import image_batches
from hf_prune.engine.image_batches import Collate, ImageRows, choose_workers, load_batches
from hf_prune.engine.image_keys import content_key, image_keys
from hf_prune.models.preprocessing import PixelsCollate
from tests.helpers.tiny_sets import (
    WEIGHTS,
    encode,
    expected,
    make_model,
    make_set,
    noise,
    run,
    set_of_files,
    to_tensor,
    untouchable,
)

BAD = {"cut short": noise(1, seed=3)[0][:60], "random": bytes(range(200)), "null": None, "empty": b""}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_an_unreadable_image_is_named_or_skipped(tmp_path, bad):
    encoded = noise(7)
    encoded[2] = encoded[5] = bad
    ds = make_set(encoded)
    with pytest.raises(ValueError, match=r"^row 2: .*on_error=\"skip\"") as caught:
        run(ds, store_root=tmp_path)
    assert "\n" not in str(caught.value)
    assert "0x" not in str(caught.value)  # no address: the text is the same in every run
    for _ in range(2):
        result = run(ds, store_root=tmp_path, on_error="skip")
        assert list(result.unreadable) == [2, 5]
        assert result.rows.tolist() == [0, 1, 3, 4, 6]
        np.testing.assert_allclose(result.values, expected([encoded[row] for row in result.rows]), atol=1e-6)
    assert (result.computed, result.reused) == (0, 5)


def test_images_come_with_the_keys_of_the_bytes_that_were_decoded():
    encoded = noise(3)
    images = EncodedImages(make_set([*encoded[:2], b"broken"]), "image")
    rows = ImageRows(images, image_keys(images)[0])
    batch = Collate(to_tensor)([rows[place] for place in (1, 2, 0)])
    assert (batch.rows, batch.keys) == ([1, 0], [content_key(encoded[1]), content_key(encoded[0])])
    assert list(batch.unreadable) == [2]


def test_a_missing_file_is_named_or_skipped(tmp_path):
    ds = set_of_files(tmp_path, noise(3))
    (tmp_path / "1.png").unlink()
    with pytest.raises(ValueError, match=r"^row 1: .*1\.png"):
        run(ds)
    assert list(run(ds, on_error="skip").unreadable) == [1]


def test_images_that_cannot_be_read_at_all_leave_no_rows():
    result = run(make_set([b"x", None, b"y"]), make_model(load=untouchable), on_error="skip")
    assert list(result.unreadable) == [0, 1, 2]
    assert (len(result.rows), len(result.values), result.computed, result.reused) == (0, 0, 0, 0)


def test_an_image_that_the_preprocessing_refuses_is_named_or_skipped():
    encoded = noise(6)
    encoded[3] = encode(np.zeros((1, 300, 3), np.uint8))

    def picky(images):
        if any(image.width > 200 for image in images):
            raise TypeError("too wide")
        return to_tensor(images)

    with pytest.raises(ValueError, match=r"row 3: .*refused it .TypeError: too wide"):
        run(make_set(encoded), make_model(collate=picky))
    result = run(make_set(encoded), make_model(collate=picky), on_error="skip")
    assert result.rows.tolist() == [0, 1, 2, 4, 5]
    np.testing.assert_allclose(result.values, expected([encoded[row] for row in result.rows]), atol=1e-6)


def test_orientation_and_mode_are_those_of_the_feature():
    tall = np.zeros((8, 2, 3), np.uint8)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    buffer = io.BytesIO()
    PIL.Image.fromarray(tall).save(buffer, "JPEG", exif=exif)
    shapes = []

    def look(images):
        shapes.extend((image.size, image.mode) for image in images)
        return to_tensor(images)

    ds = make_set([buffer.getvalue()])
    run(ds, make_model(collate=look))
    run(ds.cast_column("image", Image(mode="L")), make_model(collate=look))
    assert shapes == [((8, 2), "RGB"), ((8, 2), "L")]


def test_a_file_that_changes_during_the_run_is_not_taken_for_what_it_was(tmp_path):
    encoded = noise(8)
    ds = set_of_files(tmp_path, encoded)

    def forward(batch):  # the fourth batch is not made before the first has been through the model
        (tmp_path / "other").write_bytes(encoded[0])
        (tmp_path / "other").replace(tmp_path / "7.png")  # at once, so that no half of it is ever read
        return batch @ WEIGHTS

    result = run(ds, make_model(forward), store_root=tmp_path / "store", on_error="skip", batch_size=2)
    assert list(result.unreadable) == [7]
    assert "changed" in result.unreadable[7]
    assert result.rows.tolist() == list(range(7))


def batches_of(ds, collate, **options):
    images = EncodedImages(ds, "image")
    rows = ImageRows(images, image_keys(images)[0])
    return load_batches(rows, [[row] for row in range(len(ds))], Collate(collate), torch.device("cpu"), **options)


def test_batches_come_in_their_order_and_a_bounded_number_is_made_ahead():
    made = []

    def look(images):
        made.append(1)
        return to_tensor(images)

    loaded = batches_of(make_set(noise(9)), look, num_workers=0)
    for row in range(9):
        assert next(loaded).rows == [row]
        assert len(made) <= row + 1 + image_batches.BATCHES_AHEAD
    assert next(loaded, None) is None


def test_of_large_batches_fewer_are_made_ahead(monkeypatch):
    monkeypatch.setattr(image_batches, "IMAGES_AHEAD", 1)
    made = []
    loaded = batches_of(make_set(noise(5)), lambda images: made.append(1) or to_tensor(images), num_workers=0)
    next(loaded)
    assert len(made) <= 2


def test_no_thread_is_left_when_nobody_reads_on():
    before = threading.active_count()
    loaded = batches_of(make_set(noise(5)), to_tensor, num_workers=0)
    next(loaded)
    assert threading.active_count() == before + 1
    loaded.close()
    assert threading.active_count() == before


def test_seconds_of_each_step_come_with_the_batch(monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(image_batches.time, "perf_counter", lambda: next(ticks))
    images = EncodedImages(make_set(noise(2)), "image")
    rows = ImageRows(images, image_keys(images)[0])
    batch = Collate(to_tensor)([rows[0], rows[1]])
    assert (batch.read, batch.decode, batch.preprocess) == (2, 2, 1)  # the clock moves by one whenever it is looked at


@pytest.mark.parametrize(
    ("num_workers", "collate", "device", "cores", "local", "workers"),
    [
        (None, PixelsCollate(4), "cuda", 16, "4", 3),
        (None, PixelsCollate(4), "cuda", 2, "4", 1),
        (None, PixelsCollate(4), "cuda", 128, None, 16),
        (None, to_tensor, "cuda", 16, None, 0),
        (None, PixelsCollate(4), "cpu", 16, None, 0),
        (5, to_tensor, "cpu", 2, None, 5),
        (0, PixelsCollate(4), "cuda", 16, None, 0),
    ],
)
def test_workers_are_the_cores_that_a_process_has_beside_an_accelerator(
    monkeypatch, num_workers, collate, device, cores, local, workers
):
    monkeypatch.setattr(image_batches, "cpu_count", lambda: cores)
    monkeypatch.setattr(image_batches.multiprocessing, "get_all_start_methods", lambda: ["fork"])
    monkeypatch.setattr(image_batches.multiprocessing, "get_start_method", lambda **_: None)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if local is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", local)
    assert choose_workers(num_workers, collate, torch.device(device)) == workers
    monkeypatch.setattr(image_batches.multiprocessing, "get_all_start_methods", lambda: ["spawn", "fork"])
    assert choose_workers(num_workers, collate, torch.device(device)) == (num_workers or 0)
