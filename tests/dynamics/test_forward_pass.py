import numpy as np
import torch
import transformers

from hf_prune import watch
from tests.helpers.watched_trainings import (
    LABELS,
    NAMES,
    ROWS,
    Items,
    assert_record,
    expected,
    make_model,
    make_rows,
    make_trainer,
)


def by_hand(model, rows):
    model.eval()
    with torch.no_grad():
        return model(torch.stack([Items(len(rows))[row]["pixel_values"] for row in rows])).logits.numpy()


def test_a_pass_after_each_epoch_has_all_rows_in_one_state(tmp_path):
    states = []

    class Keep(transformers.TrainerCallback):
        def on_epoch_end(self, *_, model, **__):
            states.append(by_hand(model, range(ROWS)))
            model.train()

    subset = torch.utils.data.Subset(Items(), [3, 5, 8, 13])
    trainer = make_trainer(tmp_path, subset, model=make_model(dropout=0.5), given={"callbacks": [Keep()]})
    record = watch(trainer, mode="epoch", test_dataset=torch.utils.data.Subset(Items(), [1, 0, 7]), epoch_probs=True)
    trainer.train()
    presented = [(epoch, row, logits) for epoch, rows in enumerate(states) for row, logits in enumerate(rows)]
    assert_record(record, expected(presented, 2))
    assert np.flatnonzero(record.trained_on).tolist() == [3, 5, 8, 13]
    hits = states[-1].argmax(1) == LABELS
    assert record.hits.tolist() == hits.tolist()
    assert record.test_hits.tolist() == hits[[1, 0, 7]].tolist()


def test_one_pass_at_the_end(tmp_path):
    trainer = make_trainer(tmp_path, torch.utils.data.Subset(Items(), range(0, ROWS, 2)))
    record = watch(trainer, mode="end", test_dataset=make_rows())
    trainer.train()
    assert (record.num_epochs, record.num_rows) == (1, ROWS)
    assert record.arrays == NAMES[:-1]
    logits = by_hand(trainer.model, range(ROWS))
    assert_record(record, expected([(0, row, values) for row, values in enumerate(logits)], 1))
    assert record.hits.tolist() == record.test_hits.tolist() == (logits.argmax(1) == LABELS).tolist()
    assert record.trained_on.tolist() == [row % 2 == 0 for row in range(ROWS)]


def test_rows_without_a_class_are_left_out(tmp_path):
    items = [{**item, "labels": -100 if row == 4 else item["labels"]} for row, item in enumerate(Items())]
    for mode in ("online", "epoch"):
        trainer = make_trainer(tmp_path / mode, items, num_train_epochs=1)
        record = watch(trainer, mode=mode)
        trainer.train()
        assert np.flatnonzero(np.isnan(record.read("correct")[0])).tolist() == [4]
        assert (record.labels[4], record.trained_on[4], record.trained_on.sum()) == (-1, False, ROWS - 1)
