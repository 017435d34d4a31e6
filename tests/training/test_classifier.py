import os
import random
import shutil

import numpy as np
import pytest
import torch
import transformers
from accelerate import PartialState
from datasets import ClassLabel, Dataset, Features, Image, disable_progress_bars, enable_progress_bars

import hf_prune
from hf_prune.dynamics.training_folder import COMPLETE
from hf_prune.models.load import load_teacher
from hf_prune.models.small_resnet import SmallResNetConfig, SmallResNetForImageClassification
from hf_prune.training.classifier import train_classifier
from hf_prune.training.images import TrainingImages
from tests.helpers.tiny_models import images

CONFIG = transformers.ResNetConfig(embedding_size=4, hidden_sizes=[8], depths=[1], layer_type="basic")
NAMES = ["dark", "light"]


def processor(size=16):
    return transformers.ViTImageProcessorPil(size={"height": size, "width": size})


@pytest.fixture(scope="module")
def ds():
    pictures = [
        picture.point(lambda value, shift=row % 2: value // 2 + 127 * shift) for row, picture in enumerate(images(24))
    ]
    features = Features({"image": Image(), "label": ClassLabel(names=NAMES)})
    return Dataset.from_dict({"image": pictures, "label": [row % 2 for row in range(24)]}, features=features)


@pytest.fixture(scope="module")
def prepared(ds):
    return TrainingImages(ds, processor())


def train(prepared, **changes):
    return train_classifier(prepared, CONFIG, **{"num_epochs": 2, "seed": 0, "batch_size": 8, **changes})


def weights(trained):
    return torch.cat([value.flatten().float() for value in trained.model.state_dict().values()])


def test_the_seed_alone_decides_the_weights(prepared):
    torch.manual_seed(5)
    first = train(prepared)
    torch.manual_seed(6)
    assert torch.equal(weights(first), weights(train(prepared)))
    assert not torch.equal(weights(first), weights(train(prepared, seed=1)))
    assert first.num_steps == 6
    assert first.train_loss > 0
    assert not first.model.training


@pytest.mark.parametrize(("norm", "sizes"), [("batch", [9, 9, 6]), ("group", [11, 11, 2])])
def test_a_network_with_batch_norm_ends_no_pass_on_a_small_batch(prepared, norm, sizes):
    seen = []

    def build():
        model = SmallResNetForImageClassification(SmallResNetConfig(num_blocks=1, widths=[8], norm=norm, num_labels=2))
        model.register_forward_pre_hook(lambda *given: seen.append(len(given[2]["pixel_values"])), with_kwargs=True)
        return model

    train_classifier(prepared, build, num_epochs=2, seed=0, batch_size=11)
    assert seen == 2 * sizes


def test_it_learns(prepared):
    trained = train(prepared, num_epochs=15, learning_rate=1e-2)
    pixels = torch.stack([row["pixel_values"] for row in prepared.__getitems__(range(24))])
    with torch.inference_mode():
        guesses = trained.model(pixels).logits.argmax(-1).numpy()
    assert (guesses == prepared.labels).mean() > 0.9


def test_nothing_around_a_training_changes(prepared, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    environment = dict(os.environ)
    state = random.getstate(), np.random.get_state(), torch.random.get_rng_state()  # noqa: NPY002  # what must not change
    disable_progress_bars()
    try:
        train(prepared)
    finally:
        enable_progress_bars()
    assert random.getstate() == state[0]
    assert np.array_equal(np.random.get_state()[1], state[1][1])  # noqa: NPY002  # as above
    assert torch.equal(torch.random.get_rng_state(), state[2])
    assert dict(os.environ) == environment
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_saved_folder_opens_as_teacher(ds, prepared, tmp_path):
    trained = train(prepared, folder=tmp_path / "teacher")
    assert trained.folder == tmp_path / "teacher"
    files = {path.name for path in trained.folder.iterdir()}
    assert files == {"config.json", "digests.json", "model.safetensors", "preprocessor_config.json"}
    teacher = load_teacher(str(trained.folder), dtype="float32")
    assert teacher.names == tuple(NAMES)
    with teacher, torch.inference_mode():
        logits = teacher.open(torch.device("cpu"))(teacher.collate(ds["image"][:3]))
        expected = trained.model(torch.stack([prepared[row]["pixel_values"] for row in range(3)])).logits
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


def test_the_engine_goes_on_with_the_same_processes(ds, prepared, tmp_path):
    before = PartialState()
    trained = train(prepared, folder=tmp_path)
    assert PartialState().__dict__ is before.__dict__
    scored = hf_prune.score_with(
        ds, "el2n", teachers=[str(trained.folder)], run=hf_prune.Run(load_from_cache_file=False)
    )
    assert len(set(scored["el2n"])) > 1


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "preprocessor_config.json"])
def test_a_byte_that_changed_in_a_trained_model_is_noticed(ds, prepared, tmp_path, name):
    folder = train(prepared, folder=tmp_path / "teacher").folder
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    for use in (
        lambda: load_teacher(str(folder)),
        lambda: hf_prune.train_teachers(ds, folder, num_teachers=1, num_epochs=1, folder=tmp_path / "more"),
        lambda: hf_prune.export_teacher(folder, tmp_path / "out", trained_on=ds, source="local"),
    ):
        with pytest.raises(
            ValueError, match=f"'{name}' is not the file that was finished there in .*teacher'"
        ) as told:
            use()
        assert "\n" not in str(told.value)
    (folder / name).write_bytes(data)
    (folder / "digests.json").unlink()  # as earlier versions left it
    assert load_teacher(str(folder)).names == tuple(NAMES)


def test_a_damaged_checkpoint_is_left_out_and_the_result_is_the_same(prepared, tmp_path):
    options = {"num_epochs": 3, "resumable": True}
    whole = train(prepared, **{**options, "resumable": False})
    with pytest.raises(KeyboardInterrupt):
        train(prepared, folder=tmp_path, callbacks=[Interrupt(7)], **options)
    path = tmp_path / "checkpoint-6" / "optimizer.pt"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.warns(UserWarning, match="checkpoint-6 is left out, .*'optimizer.pt' is not the file"):
        again = train(prepared, folder=tmp_path, **options)
    assert torch.equal(weights(again), weights(whole))


def test_a_config_gets_the_classes_and_stays_as_it_is(prepared):
    trained = train(prepared)
    assert trained.model.config.id2label == dict(enumerate(NAMES))
    assert CONFIG.id2label == {0: "LABEL_0", 1: "LABEL_1"}
    assert trained.folder is None


def test_a_function_builds_the_model_after_the_seed(prepared):
    def build():
        return transformers.AutoModelForImageClassification.from_config(trained.model.config)

    trained = train(prepared)
    again = train_classifier(prepared, build, num_epochs=2, seed=0, batch_size=8)
    assert torch.equal(weights(trained), weights(again))


def test_a_subset_is_the_data_set_of_its_rows(ds, prepared):
    rows = [0, 3, 5, 8, 9, 14]
    alone = TrainingImages(ds.select(rows), processor())
    assert torch.equal(weights(train(prepared.subset(rows))), weights(train(alone)))


def test_images_read_again_are_those_kept_in_memory(ds, prepared):
    again = TrainingImages(ds, processor(), in_memory=False)
    assert torch.equal(weights(train(prepared)), weights(train(again)))


def test_a_fraction_of_an_epoch_and_arguments_of_the_trainer(prepared):
    assert train(prepared, num_epochs=0.4).num_steps == 2
    assert train(prepared, max_steps=1).num_steps == 1


class Interrupt(transformers.TrainerCallback):
    """Stops a training as a failure does, in the middle of an epoch."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, *given, **_):
        if given[1].global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("saving", [{}, {"save_strategy": "steps", "save_steps": 4}], ids=["epoch", "within an epoch"])
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(prepared, tmp_path, saving):
    options = {"num_epochs": 4, "augment": True, "resumable": True, **saving}
    whole = train(prepared, folder=tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        train(prepared, folder=tmp_path / "cut", callbacks=[Interrupt(8 if not saving else 9)], **options)
    kept = {path.name for path in (tmp_path / "cut").iterdir()}
    assert kept == ({"checkpoint-4", "checkpoint-8"} if saving else {"checkpoint-3", "checkpoint-6"})
    half = tmp_path / "cut" / "checkpoint-9"  # killed while it wrote this one
    shutil.copytree(tmp_path / "cut" / min(kept), half)
    (half / COMPLETE).unlink()
    (half / "optimizer.pt").write_bytes(b"cut short")
    seen = []
    again = train(prepared, folder=tmp_path / "cut", on_trainer=seen.append, **options)
    assert torch.equal(weights(again), weights(whole))
    assert (again.num_steps, seen[0].state.global_step) == (12, 12)
    files = {path.name for path in (tmp_path / "cut").iterdir()}
    assert files == {"config.json", "digests.json", "model.safetensors", "preprocessor_config.json"}


def test_a_network_whose_files_have_other_names_goes_on_from_its_weights(prepared, tmp_path):
    """The Trainer finds some of a ViT's weights only: those of which the names in the file are still the model's."""
    size = {"image_size": 16, "patch_size": 8, "hidden_size": 8, "intermediate_size": 16}
    config = transformers.ViTConfig(**size, num_hidden_layers=1, num_attention_heads=2)
    options = {"num_epochs": 3, "seed": 0, "batch_size": 8, "resumable": True}
    whole = train_classifier(prepared, config, folder=tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        train_classifier(prepared, config, folder=tmp_path / "cut", callbacks=[Interrupt(8)], **options)
    again = train_classifier(prepared, config, folder=tmp_path / "cut", **options)
    assert torch.equal(weights(again), weights(whole))


def test_a_training_killed_after_its_last_step_is_only_saved(prepared, tmp_path):
    class Fail(transformers.TrainerCallback):
        def on_train_end(self, *_, **__):
            raise KeyboardInterrupt

    options = {"num_epochs": 2, "resumable": True, "folder": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        train(prepared, callbacks=[Fail()], **options)
    again = train(prepared, **options)
    assert torch.equal(weights(again), weights(train(prepared)))


def test_augmentation_changes_the_training_and_the_seed_decides_it(prepared):
    plain, first, second = train(prepared), train(prepared, augment=True), train(prepared, augment=True)
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(plain))


@pytest.mark.parametrize("change", [{"folder": None}, {"num_epochs": 1.5}, {"max_steps": 3}])
def test_what_cannot_be_resumed_is_refused(prepared, tmp_path, change):
    with pytest.raises(ValueError, match=r"resumable=True needs folder= .*whole epochs, not max_steps"):
        train(prepared, **{"folder": tmp_path, "resumable": True, **change})


@pytest.mark.parametrize("epochs", [0, -1, float("nan")])
def test_epochs_must_be_positive(prepared, epochs):
    with pytest.raises(ValueError, match=r"num_epochs=.*give a positive number"):
        train(prepared, num_epochs=epochs)


def test_only_training_images_are_trained_on(ds):
    with pytest.raises(TypeError, match=r"give TrainingImages\(ds, processor\)"):
        train(ds)
