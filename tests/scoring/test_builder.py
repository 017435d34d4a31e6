"""Inputs of metrics: handed in, or made by encoders and teachers; what does not fit is refused before any work."""

import hashlib

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Value

from hf_prune import Run
from hf_prune.data.columns import Labels
from hf_prune.metrics import get_metric, register_metric, unregister_metric
from hf_prune.scoring import InputBuilder, Request
from hf_prune.scoring.labels import ClassOrder
from tests.helpers.tiny_models import build, config_of, save
from tests.helpers.tiny_sets import encode, make_set, noise

ROWS = 7
NAMES = ["cat", "dog", "eel"]
BLACK = encode(np.zeros((4, 4, 3), np.uint8))


def images(labels=None, encoded=None) -> Dataset:
    ds = make_set(encoded or noise(ROWS))
    return ds if labels is None else ds.add_column("label", labels, feature=ClassLabel(names=NAMES))


def pixels(batch) -> np.ndarray:
    return np.stack([np.asarray(image, np.float32).ravel() for image in batch])


def shown(encoded) -> np.ndarray:
    return pixels([row["image"] for row in make_set(encoded)])


def make(ds, metric, **request):
    chosen = get_metric(metric)
    request.setdefault("run", Run(device="cpu", load_from_cache_file=False))
    return InputBuilder(ds, Request(**request), [(chosen, {})]).make(chosen)


def unit(values) -> np.ndarray:
    return values / np.linalg.norm(values, axis=1, keepdims=True)


class Classifier(torch.nn.Module):
    """Logits from the mean colour; class by class three times a channel."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels

    def forward(self, batch):
        return 3 * batch[:, self.channels]


def mean_colour(image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image, np.float32).mean(axis=(0, 1)) / 255)


def softmax(logits) -> np.ndarray:
    exponents = np.exp(logits)
    return exponents / exponents.sum(axis=1, keepdims=True)


TEACHER = (Classifier([0, 1, 2]), mean_colour)


def test_embeddings_handed_in_become_unit_rows():
    given = np.random.default_rng(0).normal(size=(ROWS, 5))
    for values in (given, given.tolist(), torch.from_numpy(given)):
        made = make(images(), "prototypes", inputs={"embeddings": values})
        np.testing.assert_allclose(made.arrays["embeddings"], unit(given), atol=1e-6)
        assert made.arrays["embeddings"].dtype == np.float32
    assert made.rows.tolist() == made.arrays["rows"].tolist() == list(range(ROWS))
    digest = hashlib.sha256(given.tobytes()).hexdigest()
    assert made.made_from == {"embeddings": {"given_sha256": digest}}


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


ANIMALS = Labels(np.array([0, 1, 2]), ("cat", "dog", "polar bear"), complete=True)
OTHER_NAMES = r"teacher 1 calls its classes \['Kitty', 'Puppy', .* matched by position"


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (("cat", "dog", "polar bear"), [0, 1, 2]),
        (("Polar_Bear", "DOG", "CAT"), [2, 1, 0]),
        ((" polar-bear", "cat", "Dog"), [1, 2, 0]),
        (("\uff23\uff21\uff34", "polar  bear", "dog"), [0, 2, 1]),
    ],
)
def test_classes_are_found_by_name_however_it_is_written(names, order):
    probs = np.array([[0.7, 0.2, 0.1]])
    assert ClassOrder(ANIMALS, names, "teacher 1").arrange(probs).tolist() == probs[:, order].tolist()


def test_names_that_differ_in_case_alone_are_different_classes():
    labels = Labels(np.array([0, 1]), ("us", "US"), complete=True)
    assert ClassOrder(labels, ("US", "us"), "teacher 1").arrange(np.array([[0.7, 0.3]])).tolist() == [[0.3, 0.7]]
    with pytest.raises(ValueError, match=r"^teacher 1 has the class 'us' in place 1, the labels in place 0"):
        ClassOrder(labels, ("Them", "Us"), "teacher 1").arrange(np.array([[0.7, 0.3]]))


def test_a_teacher_with_other_class_names_is_matched_by_position_with_a_warning():
    probs = np.eye(3)
    with pytest.warns(UserWarning, match=OTHER_NAMES):
        assert ClassOrder(ANIMALS, ("Kitty", "Puppy", "Bear"), "teacher 1").arrange(probs) is probs
    with pytest.warns(UserWarning, match=OTHER_NAMES):  # what both know is in its place
        assert ClassOrder(ANIMALS, ("Kitty", "Puppy", "Polar bear"), "teacher 1").arrange(probs) is probs


@pytest.mark.parametrize("names", [("dog", "cat", "horse"), ("Dog", "horse", "cow"), ("horse", "cow", "CAT")])
def test_names_of_which_a_part_shows_another_order_are_refused(names):
    with pytest.raises(
        ValueError, match=r"^teacher 1 has the class '(cat|dog)' in place \d, .* id2label the names of the"
    ):
        ClassOrder(ANIMALS, names, "teacher 1").arrange(np.eye(3))


def test_a_name_of_two_classes_tells_no_order():
    probs = np.eye(4)
    labels = Labels(np.array([0, 1]), ("cat", "dog"), complete=False)
    with pytest.raises(
        ValueError, match=r"^teacher 1 calls several of its classes 'cat', so that its order cannot be"
    ):
        ClassOrder(labels, ("cat", "cat", "dog", "eel"), "teacher 1").arrange(probs)
    assert ClassOrder(labels, ("eel", "eel", "dog", "cat"), "teacher 1").arrange(probs)[0].tolist() == [0, 0, 1, 0]


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


def test_labels_may_be_handed_in_beside_a_teacher():
    made = make(images(), "el2n", teachers=TEACHER, inputs={"labels": [0, 1, 2, 2, 1, 0, 0]})
    assert made.arrays["labels"].tolist() == [0, 1, 2, 2, 1, 0, 0]


@pytest.mark.parametrize("values", [[True, False] * 3 + [True], np.array([1, 0] * 3 + [1], np.uint8)])
def test_labels_of_any_integer_type(values):
    made = make(images(), "supervised_prototypes", encoder=pixels, inputs={"labels": values})
    assert made.arrays["labels"].tolist() == [1, 0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize("given", [None, [0, -1, 1, 2, 0, 0, -1]])
def test_missing_labels_are_refused_or_left_out(given):
    ds = images([0, -1, 1, 2, 0, 0, None])
    options = {"encoder": pixels, "inputs": {} if given is None else {"labels": given}}
    where = "column 'label'" if given is None else r"inputs\['labels'\]"
    with pytest.raises(
        ValueError, match=rf"^2 rows have no label in {where} \(first: row 1\): filter .*on_error='skip'"
    ):
        make(ds, "supervised_prototypes", **options)
    made = make(ds, "supervised_prototypes", on_error="skip", **options)
    assert made.rows.tolist() == [0, 2, 3, 4, 5]
    assert made.arrays["labels"].tolist() == [0, 1, 2, 0, 0]
    np.testing.assert_allclose(made.arrays["embeddings"], unit(shown(noise(ROWS)))[made.rows], atol=1e-6)
    assert made.unscored == {1: "no label", 6: "no label"}


def test_missing_labels_are_found_before_a_model_runs():
    def untouched(batch):
        raise AssertionError("the model ran")

    for metric, model in (("supervised_prototypes", "encoder"), ("el2n", "teachers")):
        with pytest.raises(ValueError, match="rows have no label"):
            make(images([0, -1, 1, 2, 0, 0, 0]), metric, **{model: untouched})


def test_labels_are_never_in_the_way_of_what_needs_none():
    ds = images([None] * ROWS)
    assert len(make(ds, "prototypes", encoder=pixels).rows) == ROWS
    assert len(make(ds.add_column("label2", [[0]] * ROWS), "random").rows) == ROWS


def test_an_image_without_a_direction_is_refused_or_left_out():
    """A black image is the zero vector to an encoder that looks at pixels."""
    encoded = noise(ROWS)
    encoded[2] = encoded[5] = BLACK
    with pytest.raises(
        ValueError, match=r"^the embedding of row 2 is zero .*\(2 such rows\).*on_error='skip'"
    ) as caught:
        make(images(encoded=encoded), "prototypes", encoder="pixels")
    assert "\n" not in str(caught.value)
    made = make(images(encoded=encoded), "prototypes", encoder="pixels", on_error="skip")
    assert made.rows.tolist() == made.arrays["rows"].tolist() == [0, 1, 3, 4, 6]
    assert sorted(made.unscored) == [2, 5]
    assert np.isfinite(made.arrays["embeddings"]).all()


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_an_embedding_handed_in_without_a_direction(bad):
    given = np.ones((ROWS, 3))
    given[3] = bad
    with pytest.raises(ValueError, match="the embedding of row 3 is zero or not finite"):
        make(images(), "prototypes", inputs={"embeddings": given})
    made = make(images(), "prototypes", inputs={"embeddings": given}, on_error="skip")
    assert made.rows.tolist() == [0, 1, 2, 4, 5, 6]


def test_an_unreadable_image_is_refused_or_left_out():
    encoded = [*noise(4), b"no image", None, noise(1)[0]]
    with pytest.raises(ValueError, match=r"row [45]: ") as caught:
        make(images(encoded=encoded), "prototypes", encoder=pixels)
    assert "\n" not in str(caught.value)
    made = make(images([0] * 7, encoded), "supervised_prototypes", encoder=pixels, on_error="skip")
    assert made.rows.tolist() == [0, 1, 2, 3, 6]
    assert sorted(made.unscored) == [4, 5]


def test_inputs_of_a_metric_of_ones_own():
    def spread_of_views(views, rows, weights=None):
        """Spread."""

    register_metric("spread_of_views")(spread_of_views)
    try:
        with pytest.raises(ValueError, match=r"needs 'views': pass inputs=\{'views': array\}"):
            make(images(), "spread_of_views")
        made = make(images(), "spread_of_views", inputs={"views": np.ones((ROWS, 2))})
        assert sorted(made.arrays) == ["rows", "views"]
    finally:
        unregister_metric("spread_of_views")


def logits_of(classes: int):
    return lambda batch: np.zeros((len(batch), classes), np.float32)


def text_labels() -> Dataset:
    return images().add_column("label", ["x", "y"] * 3 + ["x"])


FULL = [0, 1, 2, 0, 1, 2, 0]


@pytest.mark.parametrize(
    ("ds", "metric", "request_", "message"),
    [
        (images(), "prototypes", {}, r"needs embeddings: pass encoder= .* or inputs=\{'embeddings': array\}"),
        (images(FULL), "el2n", {}, r"needs probs: pass teachers= .*or inputs=\{'probs': array"),
        (
            images(),
            "el2n",
            {"teachers": TEACHER},
            r"no ClassLabel column among \['image'\]: name one with label_column=",
        ),
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
        (text_labels(), "el2n", {"teachers": logits_of(2), "label_column": "label"}, "use ds.class_encode_column"),
        (images(), "el2n", {"inputs": {"embeddings": np.ones((7, 2))}}, "metric 'el2n' takes probs, labels"),
        (images(), "prototypes", {"inputs": {"rows": np.arange(7)}}, "metric 'prototypes' takes embeddings"),
        (images(), "random", {"inputs": {"labels": np.arange(7)}}, "metric 'random' takes none"),
        (
            images(),
            "prototypes",
            {"inputs": {"embeddings": np.ones((6, 2))}},
            r"shape \(6, 2\); its axis 0 must hold the 7",
        ),
        (images(), "prototypes", {"inputs": {"embeddings": np.ones(7)}}, "give one vector per row"),
        (images(), "el2n", {"inputs": {"probs": np.ones((2, 6, 3))}}, "its axis 1 must hold the 7 rows"),
        (images(), "el2n", {"inputs": {"probs": 3.0}}, r"has shape \(\); its rows must hold the 7 rows"),
        (
            images(),
            "supervised_prototypes",
            {"inputs": {"labels": [0.5] * 7}, "encoder": pixels},
            "give one integer from 0",
        ),
        (
            images(),
            "supervised_prototypes",
            {"inputs": {"labels": ["a"] * 7}, "encoder": pixels},
            r"inputs\['labels'\] is list of <U1; give an array of numbers",
        ),
        (images(), "supervised_prototypes", {"inputs": {"labels": [-2] * 7}, "encoder": pixels}, "-1 for no label"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(ds, metric, request_, message):
    with pytest.raises(ValueError, match=message) as caught:
        make(ds, metric, **request_)
    assert "\n" not in str(caught.value)


def test_a_regression_target_and_several_labels_are_no_classes():
    regression = images().add_column("label", [0.5] * ROWS, feature=Value("float32"))
    several = images().add_column("label", [[0, 1]] * ROWS)
    for metric, options in (("el2n", {"teachers": TEACHER}), ("supervised_prototypes", {"encoder": pixels})):
        for ds, message in ((regression, "regression target is not a class"), (several, "several labels per row")):
            with pytest.raises(ValueError, match=message):
                make(ds, metric, label_column="label", **options)
            with pytest.raises(ValueError, match=r"no ClassLabel column .*name one with label_column="):
                make(ds, metric, **options)


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


def test_a_device_that_is_not_there_is_refused_whatever_the_inputs_are_made_of():
    chosen = get_metric("prototypes")
    for given in ({"encoder": pixels}, {"inputs": {"embeddings": np.ones((7, 2))}}):
        with pytest.raises(ValueError, match="device='gpu' is none; give one such as"):
            InputBuilder(images(), Request(run=Run(device="gpu"), **given), [(chosen, {})])
