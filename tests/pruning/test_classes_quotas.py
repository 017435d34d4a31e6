"""Quotas per class in a pruning: given as counts, or by the errors of the classes."""

import datetime

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from tests.pruning.test_prune_options import again, make, run


class TestQuotas:
    @pytest.mark.parametrize(
        "column", ["label", "text", "number", "flag", "day"], ids=["ClassLabel", "text", "number", "bool", "date"]
    )
    def test_counts_by_name_on_any_column_of_classes(self, column):
        ds = make(text=["a", "b", "c"] * 20, number=[7, 8, 9] * 20, flag=[True, False, True] * 20)
        days = [datetime.date(2020, 1, day) for day in (1, 2, 3)] * 20
        ds = ds.add_column("day", days, feature=Value("date32"))
        first = {"label": "dog", "text": "b", "number": 8, "flag": False, "day": "2020-01-02"}[column]
        selection, step = run(ds, label_column=column, class_balance={first: 13})
        assert (selection.kept % 3 == 1).sum() == 13
        assert step.class_balance is None
        assert list(step.options["class_balance"].values()) == [13]
        assert again(ds, step) == selection.kept.tolist()

    def test_a_class_by_its_code_and_rows_without_one(self):
        features = Features({"label": ClassLabel(names=["cat", "dog"]), "s": Value("float32")})
        ds = Dataset.from_dict({"label": [0, 1, None, 1], "s": [1.0, 2, 3, 4]}, features=features)
        assert run(ds, keep=2, class_balance={0: 1})[0].kept.tolist() == [0, 3]
        assert run(ds, keep=2, class_balance={None: 0, "dog": 1})[0].kept.tolist() == [0, 3]

    def test_by_error(self):
        errors = {"cat": 0.4, "dog": 0.2, "eel": 0.2}
        selection, step = run(make(), quotas="error", class_errors=errors)
        assert np.bincount(selection.kept % 3).tolist() == [10, 5, 5]
        assert step.options == {"quotas": "error", "class_errors": errors}
        assert again(make(), step) == selection.kept.tolist()

    def test_by_errors_found_out_of_fold(self):
        """Cats and dogs lie on each other, eels alone: the two classes that are mistaken get more rows."""
        points = np.random.default_rng(0).normal(size=(60, 4)) + 6 * np.eye(4)[[0, 0, 1] * 20]
        selection, step = run(make(), quotas="error", inputs={"embeddings": points})
        found = step.options["class_errors"]
        assert found["eel"] < 0.1
        assert min(found["cat"], found["dog"]) > 0.2
        kept = np.bincount(selection.kept % 3, minlength=3)
        assert kept[2] < min(kept[0], kept[1])

    def test_by_error_shares_out_what_the_cuts_leave(self):
        copies = np.full(60, -1)
        copies[3:48:3] = 0  # of twenty cats four others stay
        errors = {"cat": 0.5, "dog": 0.1, "eel": 0.1}
        selection, _ = run(
            make(), keep=24, order="easy", quotas="error", class_errors=errors, inputs={"duplicate_of": copies}
        )
        assert np.bincount(selection.kept % 3).tolist() == [5, 10, 9]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"class_balance": {"cow": 3}},
            r"^class_balance: unknown class of column 'label' 'cow'\. Known: cat, dog, eel$",
        ),
        ({"class_balance": {"cat": 3, 0: 4}}, r"^class_balance names class 'cat' twice; give each once$"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(options, message):
    with pytest.raises(ValueError, match=message) as caught:
        run(make(), **options)
    assert "\n" not in str(caught.value)
