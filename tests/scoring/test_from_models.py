"""Inputs that encoders and teachers make: what they hold, in which order they are made, and what is refused before any work."""

import numpy as np
import pytest
import torch

from hf_prune import Run
from hf_prune.dynamics.training_folder import SETTINGS, place_of
from hf_prune.metrics import get_metric
from hf_prune.runtime.files import read_arrays
from hf_prune.scoring import InputBuilder, Request
from hf_prune.scoring.from_models import as_list, make_probs, make_student_probs
from hf_prune.scoring.pool import InputPool
from tests.helpers.metric_cases import softmax, unit
from tests.helpers.metric_inputs import FULL, ROWS, RUN, TEACHER, Classifier, images, make, mean_colour, pixels, shown
from tests.helpers.tiny_models import build, config_of, save
from tests.helpers.tiny_sets import noise


def test_embeddings_come_from_the_encoder():
    made = make(
        images(), "prototypes", encoder=pixels, run=Run(device="cpu", load_from_cache_file=False, batch_size=3)
    )
    np.testing.assert_allclose(made.arrays["embeddings"], unit(shown(noise(ROWS))), atol=1e-6)
    assert made.made_from["embeddings"]["encoder"]["kind"] == "callable"
    assert made.unscored == {}


def test_the_built_in_encoder_sees_pixels():
    made = make(
        images(), "prototypes", encoder="pixels", run=Run(device="cpu", load_from_cache_file=False, image_size=4)
    )
    np.testing.assert_allclose(made.arrays["embeddings"], unit(shown(noise(ROWS))), atol=1e-6)


def test_embeddings_are_rounded_and_kept_in_16_bits_where_asked(tmp_path):
    found = {}
    for name in (None, "float16"):
        run = Run(device="cpu", image_size=4, cache_dir=tmp_path, embedding_dtype=name)
        made = make(images(), "prototypes", encoder="pixels", run=run)
        found[name] = made.arrays["embeddings"]
        assert made.made_from["embeddings"]["encoder"].get("embedding_dtype") == name
    rounded = (shown(noise(ROWS)) / np.float32(255)).astype(np.float16)
    np.testing.assert_allclose(found["float16"], unit(rounded), atol=1e-6)
    assert (found[None] != found["float16"]).any()
    stored = {read_arrays(path)[0]["values"].dtype for path in tmp_path.glob("rows/*/*.safetensors")}
    assert stored == {np.dtype(np.float32), np.dtype(np.float16)}  # a folder each


def test_probabilities_are_the_softmax_of_each_teacher():
    teachers = [TEACHER, (Classifier([2, 1, 0]), mean_colour)]
    made = make(
        images([0, 1, 2, 0, 1, 2, 0]),
        "el2n",
        teachers=teachers,
        run=Run(device="cpu", load_from_cache_file=False, dtype="float32"),
    )
    colours = np.stack([mean_colour(row["image"]).numpy() for row in images()])
    expected = np.stack([softmax(3 * colours), softmax(3 * colours[:, ::-1])])
    np.testing.assert_allclose(made.arrays["probs"], expected, atol=1e-6)
    assert made.arrays["labels"].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert len(made.made_from["probs"]["teachers"]) == 2


def test_features_of_the_first_teacher_stand_in_for_embeddings():
    head, ds = torch.nn.Linear(3, 3), images([0, 1, 2, 0, 1], [*noise(4), b"broken"])
    request = Request(
        teachers=[(head, mean_colour), TEACHER],
        run=Run(device="cpu", load_from_cache_file=False, dtype="float32"),
        on_error="skip",
    )
    builder = InputBuilder(ds, request, [(get_metric("el2n"), {})])
    builder.keep_features()
    assert builder.make(get_metric("el2n")).arrays["probs"].shape == (2, 4, 3)
    colours = np.stack([mean_colour(row["image"]).numpy() for row in images(None, noise(4))])
    np.testing.assert_allclose(builder.embeddings(), [*unit(colours), [0, 0, 0]], atol=1e-6)


@pytest.mark.parametrize("teachers", [TEACHER, [TEACHER]])
def test_one_teacher_may_come_alone(teachers):
    assert make(images([0] * ROWS), "el2n", teachers=teachers).arrays["probs"].shape == (1, ROWS, 3)


def test_an_unreadable_image_is_refused_or_left_out():
    encoded = [*noise(4), b"no image", None, noise(1)[0]]
    with pytest.raises(ValueError, match=r"row [45]: ") as caught:
        make(images(encoded=encoded), "prototypes", encoder=pixels)
    assert "\n" not in str(caught.value)
    made = make(images([0] * 7, encoded), "supervised_prototypes", encoder=pixels, on_error="skip")
    assert made.rows.tolist() == [0, 1, 2, 3, 6]
    assert sorted(made.unscored) == [4, 5]


def logits_of(classes: int):
    return lambda batch: np.zeros((len(batch), classes), np.float32)


@pytest.mark.parametrize(
    ("ds", "metric", "request_", "message"),
    [
        (images(), "prototypes", {}, r"needs embeddings: pass encoder= .* or inputs=\{'embeddings': array\}"),
        (images(FULL), "el2n", {}, r"needs probs: pass teachers= .*or inputs=\{'probs': array"),
        (images(FULL), "grand", {}, r"needs grad_norms: pass teachers= \(one or several"),
        (images().remove_columns("image"), "prototypes", {"encoder": pixels}, "no Image column|empty"),
        (
            images(FULL).add_column("n", FULL),
            "prototypes",
            {"encoder": pixels, "image_column": "n"},
            "not Image; use ds.c",
        ),
        (
            images(FULL),
            "el2n",
            {"teachers": logits_of(2)},
            "teacher 1 knows 2 classes, the labels have 3: give a teacher",
        ),
        (images(FULL), "el2n", {"teachers": [TEACHER, logits_of(4)]}, "teacher 2 knows 4 classes, the labels have 3"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(ds, metric, request_, message):
    with pytest.raises(ValueError, match=message) as caught:
        make(ds, metric, **request_)
    assert "\n" not in str(caught.value)


def test_integer_labels_fit_a_teacher_with_more_classes():
    ds = images().add_column("label", [0, 1] * 3 + [0])
    assert make(ds, "el2n", teachers=TEACHER, label_column="label").arrays["probs"].shape == (1, ROWS, 3)


class Counting(torch.nn.Module):
    """Counts the batches that it classified."""

    def __init__(self, classes):
        super().__init__()
        self.classes, self.batches = classes, 0

    def forward(self, batch):
        self.batches += 1
        return torch.zeros(len(batch), self.classes)


def test_a_teacher_of_other_classes_is_refused_by_its_first_batch():
    teachers = [Counting(3), Counting(4)]
    pairs = [(teacher, mean_colour) for teacher in teachers]
    with pytest.raises(ValueError, match="teacher 2 knows 4 classes, the labels have 3"):
        make(images(FULL), "el2n", teachers=pairs, run=Run(device="cpu", load_from_cache_file=False, batch_size=2))
    assert [teacher.batches for teacher in teachers] == [4, 1]


@pytest.mark.parametrize("metric", ["el2n", "grand"])
def test_a_teacher_of_other_classes_is_refused_by_its_config_before_any_runs(metric, tmp_path):
    four, first = build(config_of("vit", num_labels=4), "ViTForImageClassification"), Counting(3)
    with pytest.raises(ValueError, match="teacher 2 knows 4 classes, the labels have 3"):
        make(images(FULL), metric, teachers=[(first, mean_colour), save(four, tmp_path)])
    assert first.batches == 0


def test_teachers_without_labels_have_to_know_one_number_of_classes():
    pool = InputPool(images(), Request(teachers=[logits_of(2), logits_of(4)], run=RUN))
    with pytest.raises(ValueError, match=r"^the teachers know \[2, 4\] classes: give some with one set of classes$"):
        make_probs(pool)
    pool = InputPool(images(), Request(student=logits_of(4), run=RUN))
    make_student_probs(pool)
    assert pool.local["student_probs"].tolist() == [[[0.25] * 4] * ROWS]
    assert list(pool.made_from["student_probs"]) == ["student"]


def test_columns_of_probabilities_follow_the_labels(tmp_path):
    """The teacher's own names say where each class is."""
    model = build(config_of("vit", id2label={0: "eel", 1: "cat", 2: "dog"}), "ViTForImageClassification")
    named = make(images(FULL), "el2n", teachers=save(model, tmp_path / "named")).arrays["probs"]
    model.config.id2label = {0: "cat", 1: "dog", 2: "eel"}
    in_place = make(images(FULL), "el2n", teachers=save(model, tmp_path / "in_place")).arrays["probs"]
    np.testing.assert_allclose(named, in_place[:, :, [1, 2, 0]], atol=1e-6)
    assert not np.allclose(named, in_place, atol=1e-3)


def test_gradient_norms_by_hand():
    """One linear layer without bias on the mean colour x: the gradient is (p - onehot) x', so the norms multiply."""
    layer = torch.nn.Linear(3, 3, bias=False)
    made = make(images(FULL), "grand", teachers=(layer, mean_colour))
    colours = np.stack([mean_colour(row["image"]).numpy() for row in images()])
    probs = softmax(colours @ layer.weight.detach().numpy().T)
    expected = np.linalg.norm(probs - np.eye(3)[FULL], axis=1) * np.linalg.norm(colours, axis=1)
    np.testing.assert_allclose(made.arrays["grad_norms"], [expected], rtol=1e-4)


class Trained:
    """What `train_teachers` returns, as far as it is read here."""

    folders = ["one", "two"]  # noqa: RUF012


def test_models_are_listed():
    assert as_list(TEACHER, "none") == [TEACHER]  # a pair is one model
    assert as_list(["a", TEACHER], "none") == ["a", TEACHER]
    assert as_list(Trained(), "none") == ["one", "two"]
    for nothing in (None, []):
        with pytest.raises(ValueError, match=r"^pass one$"):
            as_list(nothing, "pass one")


def test_a_folder_of_trainings_stands_for_those_that_are_finished(tmp_path):
    (tmp_path / SETTINGS).write_text("{}")
    with pytest.raises(ValueError, match=r"^none of the trainings in '.*' is finished: run the same training again"):
        as_list(str(tmp_path), "none")
    for number in (10, 2, 3):
        place_of(tmp_path, "teacher", number).mkdir()
        if number != 3:
            (place_of(tmp_path, "teacher", number) / "model.safetensors").touch()
    expected = [str(place_of(tmp_path, "teacher", number)) for number in (2, 10)]
    assert as_list(["a", tmp_path], "none") == ["a", *expected]
