"""Why each row went or stayed, read back from the history."""

import csv
import json

import numpy as np
import pytest
from datasets import Dataset, DatasetDict, concatenate_datasets

from hf_prune import explain, provenance, select
from hf_prune.data.history import MARK, Step
from hf_prune.pruning.reasons import pack_reasons, unpack_reasons

SCORES = [0.5, None, 0.9, 0.9, float("inf"), 0.1]


def make(scores=SCORES) -> Dataset:
    return Dataset.from_dict({"s": scores, "label": [0, 0, 1, 1, 0, 1]})


def test_a_row_for_every_row():
    ds = make()
    kept = ds.prune("s", keep=2, order="hard")
    table = explain(ds, kept)
    assert table.column_names == ["row", "kept", "score", "rank", "reason"]
    assert table["row"][:] == list(range(6))
    assert table["score"][:] == SCORES
    assert table["rank"][:] == [4, None, 2, 2, 1, 5]
    assert sum(table["kept"]) == 2
    assert table["reason"][1] == "no score"
    assert set(table["reason"][:]) == {"no score", "above the cut", "below the cut"}


@pytest.mark.parametrize("order", ["hard", "random", "mixed", "stratified", "middle"])
def test_it_says_what_the_selection_says(order):
    scores = np.random.default_rng(0).random(200).tolist()
    copies = np.full(200, -1)
    copies[150:170] = np.arange(20)
    ds = Dataset.from_dict({"s": scores, "label": np.arange(200) % 7})
    options = {
        "hardest_cutoff": 0.3,
        "label_column": "label",
        "class_balance": 1.0,
        "inputs": {"duplicate_of": copies},
    }
    kept, selection = ds.prune("s", keep=0.5, order=order, return_selection=True, **options)
    assert explain(ds, kept).to_dict() == selection.explain().to_dict()
    later = kept.filter(lambda row: row["label"] != 2).shuffle(seed=1).remove_columns("s")
    assert explain(ds, later).to_dict() == selection.explain().to_dict()


def test_it_writes_csv(tmp_path):
    ds = make()
    explain(ds, ds.prune("s", keep=2, order="easy")).to_csv(tmp_path / "why.csv")
    with (tmp_path / "why.csv").open(newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0] == ["row", "kept", "score", "rank", "reason"]
    assert lines[2] == ["1", "False", "", "", "no score"]
    lines[6][3] = f"{float(lines[6][3]):g}"  # some versions of datasets write numbers beside nulls as 5.0
    assert lines[6] == ["5", "True", "0.1", "5", "above the cut"]


def test_each_of_several_prunings_by_what_it_was_applied_to():
    ds = make([0.5, 0.4, 0.9, 0.8, 0.7, 0.1])
    first = ds.prune("s", keep=4, order="hard")
    second = first.prune("s", keep=2, order="easy")
    assert explain(ds, second)["kept"][:] == [True, False, True, True, True, False]
    assert explain(first, second)["kept"][:] == [True, False, False, True]
    assert len(first) == 4


def test_a_record_without_reasons_still_says_what_was_kept():
    ds = make()
    kept = ds.prune("s", keep=2, order="easy")
    step = provenance(kept).steps[0]
    fields = {name: value for name, value in step.to_dict().items() if name not in ("reasons", "id")}
    old = Step(**fields)
    old = Step(**fields, id=old.content_id())
    kept.info.description = MARK + json.dumps(old.to_dict())
    assert provenance(kept).steps[0].reasons is None
    assert explain(ds, kept)["reason"][:] == ["kept", "no score", "dropped", "dropped", "dropped", "kept"]


def test_what_does_not_belong_together_is_said_in_one_line():
    ds = make()
    kept = ds.prune("s", keep=2, order="easy")
    with pytest.raises(ValueError, match=r"^kept has no pruning in its history: give what prune returned for ds$"):
        explain(ds, ds)
    with pytest.raises(ValueError, match=r"^kept was pruned from 6 rows by column 's', ds has 2 rows and the columns"):
        explain(kept, kept)
    with pytest.raises(ValueError, match="ds has 12 rows"):
        explain(concatenate_datasets([ds, ds]), kept)
    with pytest.raises(ValueError, match=r"columns \['label'\]: give the scored data set"):
        explain(ds.remove_columns("s"), kept)
    with pytest.raises(
        TypeError, match=r"^kept= of explain takes one Dataset, not DatasetDict: give one of its splits$"
    ):
        explain(ds, DatasetDict(train=kept))


@pytest.mark.parametrize("column", ["s", "prototypes"])
def test_other_rows_and_other_scores_are_refused(column):
    ds = make([0.5, 0.4, 0.9, 0.8, 0.7, 0.1])
    points = np.random.default_rng(0).normal(size=(6, 4))
    ds = ds.score_with("prototypes", inputs={"embeddings": points}, num_prototypes=2) if column != "s" else ds
    kept = ds.prune(column, keep=3, order="hard")
    explain(ds, kept)
    explain(ds.add_column("more", [0] * 6), kept)
    for other in (ds.shuffle(seed=0), ds.select([2, 1, 0, 3, 4, 5]), ds.map(lambda row: {"label": 1 - row["label"]})):
        with pytest.raises(
            ValueError, match="but its rows are others than those that were pruned, or in another order"
        ):
            explain(other, kept)
    changed = ds.map(lambda row: {column: -row[column]})
    with pytest.raises(ValueError, match=f"but its column '{column}' holds other scores than those") as caught:
        explain(changed, kept)
    assert "\n" not in str(caught.value)


def test_rows_that_were_dropped_are_compared_as_well():
    ds = make([0.1, 0.2, 0.9, 0.8, 0.7, 0.3]).remove_columns("label").add_column("text", list("abcdef"))
    kept = ds.prune("s", keep=3, order="hard")
    exchanged = ds.remove_columns("text").add_column("text", list("bacdef"))  # the first two were dropped
    with pytest.raises(ValueError, match="its rows are others"):
        explain(exchanged, kept)


class TestRecord:
    selection = select(
        np.arange(1000.0),
        keep=400,
        order="hard",
        labels=np.arange(1000) // 100,
        class_balance=0.5,
        hardest_cutoff=0.1,
        duplicate_of=[-1] * 900 + [3] * 50 + [-1] * 50,
    )

    def test_it_is_small_and_counts(self):
        record = pack_reasons(self.selection)
        assert sum(record["counts"].values()) == 1000
        assert record["kept"] == "above the cut"
        assert record["dropped"] == "below the cut"
        assert set(record["rows"]) == {
            "class floor",
            "cut: hardest",
            "duplicate",
            "cut, but returned to its class",
        }
        assert len(str(record)) < 2_000

    def test_read_back(self):
        kept = np.isin(np.arange(1000), self.selection.kept)
        found = unpack_reasons(pack_reasons(self.selection), kept, np.empty(0, np.int64))
        assert found == [self.selection.reason(row) for row in range(1000)]

    @pytest.mark.parametrize(
        "damage",
        [
            {"rows": None},
            {"rows": {"class floor": "?"}},
            {"rows": {"class floor": "eJwDAAAAAAE="}},
            {"duplicate_of": "eJwDAAAAAAE="},
            {"duplicate_of": 5},
            {"rows": {}},  # then the duplicates are not the rows that were
        ],
    )
    def test_a_damaged_record_is_refused(self, damage):
        kept = np.isin(np.arange(1000), self.selection.kept)
        with pytest.raises(ValueError, match=r"damaged|does not cover|does not hold"):
            unpack_reasons(pack_reasons(self.selection) | damage, kept, np.empty(0, np.int64))
