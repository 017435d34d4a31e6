"""Tiny trainings of the Trainer for the tests of what records them: one pixel of each row tells its number."""

import numpy as np
import torch
import transformers
from datasets import ClassLabel, Dataset, Features, Sequence, Value
from transformers.trainer_callback import PrinterCallback

from tests.helpers.tiny_models import config_of

ROWS, CLASSES, SIDE = 22, 3, 4
NAMES = ("correct", "label_probs", "margins", "entropies", "errors", "divergences")
LABELS = np.random.default_rng(1).integers(0, CLASSES, ROWS)


def pixels(rows=ROWS):
    """Shape (n, 3, 4, 4); the first number of a row is its number / 100."""
    values = np.random.default_rng(0).normal(size=(rows, 3, SIDE, SIDE)).astype(np.float32)
    values[:, 0, 0, 0] = np.arange(rows) / 100
    return values


def make_rows(rows=ROWS):
    """Rows as a Trainer takes them, and a column that no model does."""
    values, labels = pixels(rows), np.resize(LABELS, rows)
    grid = Sequence(Sequence(Sequence(Value("float32"))))
    features = {"pixel_values": grid, "label": ClassLabel(num_classes=CLASSES), "name": Value("string")}
    names = [f"row {row}" for row in range(rows)]
    return Dataset.from_dict(
        {"pixel_values": values.tolist(), "label": labels, "name": names}, features=Features(features)
    )


class Items(torch.utils.data.Dataset):
    """The same rows without `datasets`."""

    def __init__(self, rows=ROWS):
        self.values, self.labels = torch.from_numpy(pixels(rows)), np.resize(LABELS, rows)

    def __len__(self):
        return len(self.values)

    def __getitem__(self, row):
        return {"pixel_values": self.values[row], "labels": int(self.labels[row]), "name": f"row {row}"}


def make_model(seed=0, dropout=0.0):
    torch.manual_seed(seed)
    settings = {"image_size": SIDE, "patch_size": SIDE, "num_hidden_layers": 1, "num_labels": CLASSES}
    return transformers.ViTForImageClassification(config_of("vit", **settings, hidden_dropout_prob=dropout))


def make_trainer(folder, rows=None, *, model=None, kind=transformers.Trainer, given=None, **arguments):
    chosen = {
        "output_dir": str(folder),
        "num_train_epochs": 2,
        "per_device_train_batch_size": 4,
        "per_device_eval_batch_size": 5,
        "learning_rate": 0.05,
        "report_to": "none",
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": True,
    }
    rows = make_rows() if rows is None else rows
    trainer = kind(
        make_model() if model is None else model,
        transformers.TrainingArguments(**{**chosen, **arguments}),
        train_dataset=rows,
        **(given or {}),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def weights(trainer):
    return torch.cat([value.detach().flatten().float() for value in trainer.model.state_dict().values()])


class Spy(transformers.Trainer):
    """Notes (row, logits) of each training batch by itself; the row is read from the picture."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.presented = []

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        rows = (inputs["pixel_values"][:, 0, 0, 0] * 100).round().int().tolist()
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, **kwargs)
        if model.training:
            logits = outputs["logits"].detach().float().numpy().copy()
            self.presented += list(zip([int(self.state.epoch or 0)] * len(rows), rows, logits, strict=True))
        return (loss, outputs) if return_outputs else loss


class Network(torch.nn.Module):
    """No model of transformers; gives a tuple."""

    def __init__(self, seed=0, dropout=0.0):
        super().__init__()
        torch.manual_seed(seed)
        self.layer, self.dropout = torch.nn.Linear(48, CLASSES), torch.nn.Dropout(dropout)

    def forward(self, pixel_values, labels=None):
        logits = self.layer(self.dropout(pixel_values.flatten(1)))
        return (logits,) if labels is None else (torch.nn.functional.cross_entropy(logits, labels), logits)


def expected(presented, num_epochs, labels=LABELS):
    """The arrays of a record, (epochs, n), from what a spy noted; the first presentation counts."""
    from scipy.special import softmax  # here, for the processes that need none of it
    from scipy.stats import entropy

    values = {name: np.full((num_epochs, len(labels)), np.nan) for name in NAMES}
    probs = np.full((num_epochs, len(labels), CLASSES), np.nan)
    for epoch, row, logits in presented:
        if not np.isnan(values["correct"][epoch, row]):
            continue
        label, p = labels[row], softmax(logits.astype(np.float64))
        others = np.delete(logits, label).max()
        probs[epoch, row] = p
        values["correct"][epoch, row] = logits[label] > others
        values["label_probs"][epoch, row] = p[label]
        values["margins"][epoch, row] = logits[label] - others
        values["entropies"][epoch, row] = entropy(p)
        values["errors"][epoch, row] = np.linalg.norm(p - np.eye(CLASSES)[label])
    values["divergences"][1:] = np.abs(probs[1:] * np.log(probs[1:] / probs[:-1])).sum(-1)
    return {**values, "epoch_probs": probs}


def assert_record(record, values, atol=2e-3):
    for name in record.arrays:
        found = record.read(name)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(values[name]), err_msg=name)
        np.testing.assert_allclose(found.astype(float), values[name], atol=atol, rtol=2e-3, err_msg=name)
