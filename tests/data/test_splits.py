"""Whoever gives something else than a data set is told what it was and how it becomes one."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from datasets import Dataset, DatasetDict

import hf_prune
from hf_prune.data.splits import check_dataset, check_one

ROWS = Dataset.from_dict({"s": [0.1, 0.2], "t": [0.2, 0.1]})


class Images(torch.utils.data.Dataset):
    """A data set made for torch."""


GIVEN = [
    ([{"s": 1}], r"list: make one with Dataset\.from_list\(rows\), of rows that are dicts"),
    (pd.DataFrame({"s": [1]}), r"DataFrame: make one with Dataset\.from_pandas\(frame\)"),
    (Images(), r"Images: make one with Dataset\.from_generator\(rows\), of a function that yields each row as a dict"),
    (pa.table({"s": [1]}), r"Table: make one with Dataset\(table\)"),
    ({"s": [1]}, r"dict: Dataset\.from_dict\(columns\) makes one of columns, DatasetDict\(splits\) one of splits"),
    ("folder", r"str: open it with datasets\.load_dataset or load_from_disk"),
    (None, r"NoneType: make one, such as with Dataset\.from_dict\(columns\)"),
]
CALLS = {
    "score_with": lambda given: hf_prune.score_with(given, "random"),
    "prune": lambda given: hf_prune.prune(given, "s", keep=0.5),
    "combine": lambda given: hf_prune.combine(given, ["s", "t"]),
    "recommend": lambda given: hf_prune.recommend(given, "s"),
    "keep_curve": lambda given: hf_prune.keep_curve(given, "s"),
    "correlate": lambda given: hf_prune.correlate(given, ["s", "t"]),
    "label_noise": lambda given: hf_prune.label_noise(given),
    "duplicates": lambda given: hf_prune.duplicates(given),
    "ds= of explain": lambda given: hf_prune.explain(given, ROWS),
    "publishing": lambda given: hf_prune.export(given, "nowhere", source="local"),
}


@pytest.mark.parametrize(("given", "way"), GIVEN, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("name", CALLS)
def test_what_is_no_data_set_is_named_with_the_way_to_one(name, given, way):
    with pytest.raises(TypeError, match=rf"^{name} takes .*, not {way}$") as caught:
        CALLS[name](given)
    assert "\n" not in str(caught.value)


def test_an_array_is_no_data_set_for_what_reads_columns():
    with pytest.raises(TypeError, match=r"not ndarray: make one with Dataset\.from_dict\(\{'column': array\}\)$"):
        hf_prune.recommend(np.eye(2), "s")


def test_splits_and_streams():
    splits = DatasetDict({"train": ROWS})
    check_one(ROWS, "it")
    check_dataset(splits, "it")
    with pytest.raises(TypeError, match=r"^it takes one Dataset, not DatasetDict: give one of its splits$"):
        check_one(splits, "it")
    for check in (check_one, check_dataset):
        with pytest.raises(
            TypeError, match=r"load it without streaming=True, or write it out with Dataset.from_generator"
        ):
            check(ROWS.to_iterable_dataset(), "it")
