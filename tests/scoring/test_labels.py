"""Labels that are given, and the order in which a teacher has their classes."""

import numpy as np
import pytest

from hf_prune.data.columns import Labels
from hf_prune.scoring.labels import ClassOrder, class_order, given_labels, plain_name
from tests.helpers.metric_inputs import images, make, pixels

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


@pytest.mark.parametrize("values", [[True, False] * 3 + [True], np.array([1, 0] * 3 + [1], np.uint8)])
def test_labels_of_any_integer_type(values):
    made = make(images(), "supervised_prototypes", encoder=pixels, inputs={"labels": values})
    assert made.arrays["labels"].tolist() == [1, 0, 1, 0, 1, 0, 1]


def test_given_labels_keep_their_numbers():
    found = given_labels([3, -1, 0])
    assert (found.codes.tolist(), found.codes.dtype, found.names, found.complete) == (
        [3, -1, 0],
        np.int64,
        None,
        False,
    )
    assert given_labels(np.zeros(0, bool)).codes.shape == (0,)


@pytest.mark.parametrize("values", [[0.5] * 7, [-2] * 7, [[0, 1]] * 7, 3, ["a"]])
def test_what_are_no_labels_is_said_in_one_line(values):
    with pytest.raises(
        ValueError, match=r"^inputs\['labels'\] has .* give one integer from 0 .*-1 for no label$"
    ) as caught:
        given_labels(values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "classes", "fits"),
    [
        (ANIMALS, 3, True),
        (ANIMALS, 4, False),  # all classes are known, and the teacher has another
        (ANIMALS, 2, False),
        (ANIMALS, None, True),  # that shows later
        (Labels(np.array([0, 4]), None, complete=False), 5, True),
        (Labels(np.array([0, 4]), None, complete=False), 9, True),  # more may just not occur
        (Labels(np.array([0, 4]), None, complete=False), 4, False),
    ],
)
def test_a_teacher_knows_the_classes_of_the_labels(labels, classes, fits):
    if fits:
        assert class_order(labels, None, classes, "teacher 2") is None
    else:
        with pytest.raises(
            ValueError, match=rf"^teacher 2 knows {classes} classes, the labels have {labels.num_classes}: "
        ):
            class_order(labels, None, classes, "teacher 2")


def test_texts_are_matched_by_name_or_not_at_all():
    ds = images().add_column("label", ["x", "y"] * 3 + ["x"])
    with pytest.raises(ValueError, match=r"use ds\.class_encode_column") as caught:
        make(ds, "el2n", teachers=lambda batch: pixels(batch)[:, :2], label_column="label")
    assert "\n" not in str(caught.value)
    texts = Labels(np.array([1, 0]), ("x", "y"), complete=False)
    assert class_order(texts, ("y", "z", "x"), 3, "teacher 1") == [2, 0]
    with pytest.raises(ValueError, match=r"^teacher 1 does not name the classes \['x', 'y'\] … of the string labels"):
        class_order(texts, ("a", "b"), 2, "teacher 1")


def test_classes_without_a_label_come_last():
    order = ClassOrder(Labels(np.array([0, 1]), ("x", "y"), complete=False), ("z", "y", "w", "x"), "teacher 1")
    assert order.arrange(np.array([[0.1, 0.2, 0.3, 0.4]])).tolist() == [[0.4, 0.2, 0.1, 0.3]]


def test_an_order_is_settled_once(recwarn):
    order = ClassOrder(ANIMALS, ("Kitty", "Puppy", "Bear"), "teacher 1")
    order.see(np.zeros((2, 3)))
    assert [order.settle(3), order.settle(3)] == [None, None]
    assert [str(one.message)[:9] for one in recwarn] == ["teacher 1"]
    with pytest.raises(ValueError, match="knows 4 classes"):
        order.see(np.zeros((2, 4)))


def test_names_are_compared_without_case_and_spacing():
    assert plain_name("  Polar_Bear- ") == "polar bear"
    assert plain_name("STRASSE") == plain_name("straße")
    assert plain_name("bear2") != plain_name("bear 2")
