import pickle

import pytest
import torch
import transformers

from hf_prune.dynamics.numbered_rows import (
    ROW_KEY,
    NumberedCollator,
    NumberedRows,
    numbered_loader,
    subset_rows,
    whole_dataset,
)
from tests.helpers.watched_trainings import ROWS, Items, make_rows, make_trainer


def test_items_carry_their_number():
    rows = NumberedRows(["a", "b", "c"])
    assert len(rows) == 3
    assert (rows[2], rows.__getitems__([1, 0])) == ((2, "c"), [(1, "b"), (0, "a")])
    subset = torch.utils.data.Subset(torch.utils.data.Subset("abcdef", [5, 3, 1]), [2, 0])
    rows = NumberedRows(subset, subset_rows(subset))
    assert rows.__getitems__([0, 1]) == [(1, "b"), (5, "f")]
    assert whole_dataset(subset) == "abcdef"
    assert subset_rows("abc") is None
    assert pickle.loads(pickle.dumps(rows))[1] == (5, "f")


def test_a_data_set_that_reads_batches_is_asked_for_batches():
    asked = []

    class Together(Items):
        def __getitems__(self, rows):
            asked.append(rows)
            return [self[row] for row in rows]

    assert [row for row, _ in NumberedRows(Together()).__getitems__([3, 1])] == [3, 1]
    assert asked == [[3, 1]]
    assert [row for row, _ in NumberedRows(make_rows()).__getitems__([3, 1])] == [3, 1]


def test_the_collator_adds_the_numbers():
    collate = NumberedCollator(transformers.default_data_collator)
    batch = collate([(7, {"x": 1.0}), (2, {"x": 3.0})])
    assert (batch["x"].tolist(), batch[ROW_KEY].tolist()) == ([1.0, 3.0], [7, 2])
    with pytest.raises(TypeError, match="gives tuple instead of a dict"):
        NumberedCollator(tuple)([(0, 1)])


@pytest.mark.parametrize("removed", [True, False])
@pytest.mark.parametrize("make", [make_rows, Items])
def test_the_loader_is_the_trainers_with_numbers(tmp_path, make, removed):
    rows = make() if removed or make is Items else make().remove_columns("name")
    trainer = make_trainer(tmp_path, rows, remove_unused_columns=removed, dataloader_drop_last=True)
    torch.manual_seed(0)
    plain = list(trainer.get_train_dataloader())
    before = dict(vars(trainer))
    torch.manual_seed(0)
    numbered = list(numbered_loader(trainer, trainer.get_train_dataloader))
    assert len(plain) == len(numbered) == ROWS // 4
    for one, other in zip(plain, numbered, strict=True):
        assert other.pop(ROW_KEY).tolist() == (one["pixel_values"][:, 0, 0, 0] * 100).round().int().tolist()
        assert set(one) == set(other) == {"pixel_values", "labels"}
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert {name: vars(trainer)[name] for name in before} == before


def test_a_failing_loader_leaves_the_trainer_as_it_was(tmp_path):
    trainer = make_trainer(tmp_path)
    rows = trainer.train_dataset

    def fail():
        assert isinstance(trainer.train_dataset, NumberedRows)
        raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        numbered_loader(trainer, fail)
    assert trainer.train_dataset is rows
    assert "_get_train_sampler" not in vars(trainer)
