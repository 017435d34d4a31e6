"""What passes of heads over all rows hold, and the files of finished heads."""

import numpy as np
import pytest
import torch

from hf_prune.dynamics.figures import ADDED
from hf_prune.heads.results import HeadFiles, Passes, hits_of
from hf_prune.heads.runs import train_heads
from hf_prune.heads.settings import Heads
from hf_prune.heads.training import IMPOSSIBLE, VECTOR
from tests.heads.test_runs import FAST, train
from tests.helpers.heads_jobs import blobs
from tests.helpers.heads_jobs import hits_of as recorded_hits


def test_runs_end_with_one_pass_over_all_rows():
    points, labels = blobs()
    made = train(test_embeddings=points[:30], test_labels=labels[:30], dataset="toy")
    assert made.probs is None
    right = []
    for record in made.records:
        assert (record.dataset, record.mode, record.num_epochs, record.num_classes) == ("toy", "end", 1, 3)
        assert record.arrays == ("correct", "label_probs")
        np.testing.assert_array_equal(record.labels, labels)
        np.testing.assert_array_equal(record.test_hits, record.hits[:30])
        right.append(record.hits[record.trained_on].mean())
    assert made.fit == pytest.approx(np.mean(right))
    with pytest.raises(ValueError, match="no test set"):
        _ = train().records[0].test_hits


def test_an_early_ensemble_gives_probabilities_of_all_rows():
    made = train(need="probs")
    assert made.probs.shape == (3, 120, 3)
    assert made.probs.dtype == np.float32
    np.testing.assert_allclose(made.probs.sum(axis=2), 1, atol=1e-5)
    _, labels = blobs()
    for probs, record in zip(made.probs, made.records, strict=True):
        assert record.trained_on.all()
        np.testing.assert_array_equal(record.hits, probs.argmax(axis=1) == labels)
        np.testing.assert_allclose(record.read("label_probs")[0], probs[np.arange(120), labels], atol=1e-3)


def test_dynamics_hold_the_figures_of_every_epoch():
    _, labels = blobs()
    made = train(Heads(num_heads=2, **FAST), need="dynamics", epoch_probs=True)
    for record in made.records:
        assert (record.mode, record.num_epochs) == ("epoch", 3)
        probs = record.read("epoch_probs").astype(np.float64)
        own = probs[:, np.arange(120), labels]
        others = np.where(np.eye(3, dtype=bool)[labels], -np.inf, probs).max(axis=2)
        expected = {
            "correct": probs.argmax(axis=2) == labels,
            "label_probs": own,
            "margins": np.log(own) - np.log(others),
            "entropies": -(probs * np.log(np.maximum(probs, 1e-12))).sum(axis=2),
            "errors": np.linalg.norm(probs - np.eye(3)[labels], axis=2),
        }
        for name, values in expected.items():
            np.testing.assert_allclose(record.read(name), values, atol=6e-3, rtol=3e-2, err_msg=name)
        divergences = record.read("divergences")
        assert np.isnan(divergences[0]).all()
        now, before = probs[1:] + ADDED, probs[:-1] + ADDED
        np.testing.assert_allclose(
            divergences[1:], np.abs(now * np.log(now / before)).sum(axis=2), atol=6e-3, rtol=3e-2
        )
    assert "epoch_probs" not in train(Heads(num_heads=1, **FAST), need="dynamics").records[0].arrays


def test_finished_heads_are_kept_by_what_they_are_made_of(tmp_path):
    settings = {"num_heads": 2, **FAST}
    first = train(Heads(**settings), folder=tmp_path, need="probs")
    kept = sorted(tmp_path.rglob("head-*"))
    assert [path.name for path in kept] == ["head-00000.safetensors", "head-00001.safetensors"]
    more = train(Heads(**settings | {"num_heads": 3}), folder=tmp_path, need="probs")  # adds one to the two
    np.testing.assert_array_equal(more.probs[:2], first.probs)
    assert len(list(tmp_path.iterdir())) == 1
    points, labels = blobs()
    for number, (arrays, options) in enumerate(
        [
            ((points, labels), {"heads": Heads(**settings | {"learning_rate": 0.03}), "need": "probs"}),
            ((points, labels), {"heads": Heads(**settings, seed=1), "need": "probs"}),
            ((points, labels), {"heads": Heads(**settings), "need": "dynamics"}),
            ((points + 0.1, labels), {"heads": Heads(**settings), "need": "probs"}),
            ((points, (labels + 1) % 3), {"heads": Heads(**settings), "need": "probs"}),
            ((points, labels), {"heads": Heads(**settings), "test_embeddings": points, "test_labels": labels}),
        ]
    ):
        train_heads(*arrays, folder=tmp_path, **options)
        assert len(list(tmp_path.iterdir())) == 2 + number


def test_a_damaged_file_is_made_again(tmp_path):
    first = train(folder=tmp_path)
    path = sorted(tmp_path.rglob("head-*"))[1]
    path.write_bytes(path.read_bytes()[:-7])
    again = train(folder=tmp_path)
    assert [recorded_hits(record) for record in again.records] == [recorded_hits(record) for record in first.records]
    assert path.stat().st_size > 100
    assert train(folder=tmp_path).fit == first.fit


LOG3 = float(np.log(3.0))


def linear(*rows):
    """Weights of one linear head of two classes on one dimension, filled up: the logits of x are ``rows`` times x."""
    output, bias = torch.zeros(1, VECTOR, VECTOR), torch.zeros(1, 1, VECTOR)
    output[0, :2, 0] = torch.tensor(rows)
    bias[..., 2:] = IMPOSSIBLE
    return [output, bias]


def column(*values):
    points = torch.zeros(len(values), VECTOR)
    points[:, 0] = torch.tensor(values)
    return points


def one_pass(need, epoch_probs=False, times=1):
    """Passes over x = 1 and x = -1 of class 0 with logits (log 3, 0) x: probabilities 3/4 and 1/4."""
    passes = Passes(column(1.0, -1.0), torch.tensor([0, 0]), 1, 2, need, epoch_probs)
    for _ in range(times):
        passes.make(linear(LOG3, 0.0))
    (found,) = passes.results()
    return found


def test_hits_by_hand():
    points, weights = column(2.0, -1.0, 0.5), linear(1.0, -1.0)
    assert hits_of(points, torch.tensor([0, 1, 1]), weights, 0, 2).tolist() == [True, True, False]


def test_an_early_pass_by_hand():
    found = one_pass("probs")
    assert set(found) == {"correct", "label_probs", "probs", "grad_norms"}
    assert found["correct"].tolist() == [[1, 0]]
    assert found["label_probs"].tolist() == [[0.75, 0.25]]
    np.testing.assert_allclose(found["probs"], [[0.75, 0.25], [0.25, 0.75]], rtol=1e-6)
    # Slopes (-1/4, 1/4) and (-3/4, 3/4), times the input and the 1 of the bias: sqrt(2) of each, times sqrt(2).
    np.testing.assert_allclose(found["grad_norms"], [0.5, 1.5], rtol=1e-6)


def test_a_pass_of_runs_has_no_probabilities():
    assert set(one_pass("runs")) == {"correct", "label_probs"}


def test_passes_of_a_training_by_hand():
    found = one_pass("dynamics", epoch_probs=True, times=2)
    assert found["correct"].tolist() == [[1, 0]] * 2
    np.testing.assert_allclose(found["margins"], [[LOG3, -LOG3]] * 2, rtol=1e-3)
    assert np.isnan(found["divergences"][0]).all()
    assert found["divergences"][1].tolist() == [0, 0]  # nothing changed between the two
    assert found["epoch_probs"].shape == (2, 2, 2)
    assert found["epoch_probs"].dtype == np.float16


ARRAYS = {"points": np.arange(6.0), "labels": np.arange(3)}


@pytest.mark.parametrize(
    ("settings", "arrays", "is_same"),
    [
        ({"seed": 0, "need": "runs"}, dict(reversed(ARRAYS.items())), True),
        ({"seed": 1, "need": "runs"}, ARRAYS, False),
        ({"seed": 0, "need": "runs"}, ARRAYS | {"labels": np.array([0, 1, 1])}, False),
        ({"seed": 0, "need": "runs"}, ARRAYS | {"points": np.arange(6.0).astype(np.float32)}, False),
        ({"seed": 0, "need": "runs"}, ARRAYS | {"more": np.zeros(1)}, False),
    ],
)
def test_the_folder_is_named_by_all_that_decides_the_results(tmp_path, settings, arrays, is_same):
    first = HeadFiles(tmp_path, {"need": "runs", "seed": 0}, ARRAYS).folder
    assert (HeadFiles(tmp_path, settings, arrays).folder == first) is is_same


def test_heads_are_read_as_they_were_written_and_damage_is_thrown_away(tmp_path):
    files = HeadFiles(tmp_path, {}, {})
    assert files.read(3) is None
    files.write(3, {"correct": np.array([[True, False]]), "probs": np.float32([[0.1, 0.9]])})
    found = files.read(3)
    assert (found["correct"].tolist(), found["probs"].dtype) == ([[True, False]], np.float32)
    (path,) = files.folder.glob("head-*")
    assert path.name == "head-00003.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert files.read(3) is None
    assert not path.exists()
