"""Arrays for every input of a metric, with a hard row, an easy one and an ambiguous one, and the ways to call a metric."""

from collections.abc import Iterator

import numpy as np

from hf_prune.metrics import Metric

CLASSES, MEMBERS, EPOCHS, TEST_ROWS, DIMENSIONS = 3, 24, 14, 8, 6
HARD, EASY, AMBIGUOUS = 0, 1, 2
PER_EPOCH = ("correct", "label_probs", "margins", "entropies", "errors", "divergences")
FROM_RECORDS = frozenset({*PER_EPOCH, "epoch_probs", "trained_on", "hits", "test_hits"})
# Axis of the rows, counted from the end; the rows of the other inputs come first.
ROW_AXIS = {
    **dict.fromkeys(("probs", "student_probs", "epoch_probs"), -2),
    **dict.fromkeys((*PER_EPOCH, "grad_norms", "trained_on", "hits"), -1),
}
NOT_ALONG_ROWS = ("test_hits", "centroids")


def unit(values) -> np.ndarray:
    values = np.asarray(values, dtype=np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def softmax(logits) -> np.ndarray:
    exponents = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def cases(num_rows=41, seed=0) -> dict[str, np.ndarray]:
    """Arrays for every input, of which row 0 is a hard case in every sense, row 1 an easy one and row 2 ambiguous.

    Class c lies around the axis c and every model knows it. Row 0 lies on an axis of its own; models that were not
    trained on it give it to one of the other classes, and none learns it. Row 2 is learnt and forgotten again and again.
    """
    generator = np.random.default_rng(seed)
    labels = np.arange(num_rows) % CLASSES
    embeddings = np.eye(DIMENSIONS)[labels] + generator.normal(scale=0.1, size=(num_rows, DIMENSIONS))
    embeddings[HARD], embeddings[EASY] = [0.2, 0, 0, 1, 1, 1], np.eye(DIMENSIONS)[labels[EASY]]
    models = {"embeddings": unit(embeddings), "labels": labels, "rows": np.arange(num_rows)}
    models["centroids"] = np.eye(DIMENSIONS)[:CLASSES]
    models |= {
        "probs": ensemble(generator, labels, MEMBERS),
        "student_probs": ensemble(generator, labels, 2, wrong=-9),
        "grad_norms": generator.uniform(0.5, 2, size=(MEMBERS, num_rows)),
    }
    models["grad_norms"][:, HARD], models["grad_norms"][:, EASY] = 5, 0.01
    return models | {"epoch_probs": ensemble(generator, labels, EPOCHS)} | epochs(num_rows) | runs(generator, num_rows)


def ensemble(generator, labels, members, wrong=-3) -> np.ndarray:
    """Probabilities, shape (members, n, classes)."""
    logits = 6 * np.eye(CLASSES)[labels] + generator.normal(scale=0.5, size=(members, len(labels), CLASSES))
    logits[::2, HARD], logits[1::2, HARD] = [wrong, 2, 0], [wrong, 0, 2]
    logits[:, EASY] = 12 * np.eye(CLASSES)[labels[EASY]]
    return softmax(logits)


def epochs(num_rows) -> dict[str, np.ndarray]:
    """What is recorded at each presentation, shape (epochs, n): most rows are learnt in the first epochs."""
    time, row = np.arange(EPOCHS)[:, None], np.arange(num_rows)
    probs = 1 / (1 + np.exp(row % 4 - 2.0 * time))
    probs[:, HARD], probs[:, EASY], probs[:, AMBIGUOUS] = 0.01, 0.995, np.where(np.arange(EPOCHS) % 2, 0.9, 0.1)
    entropies = -probs * np.log(probs) - (1 - probs) * np.log(1 - probs)
    entropies[:, HARD] = np.log(CLASSES)
    divergences = np.abs(np.diff(np.log(probs / (1 - probs)), axis=0, prepend=np.nan)) / (1 + time) ** 2
    divergences[:, AMBIGUOUS] = np.where(np.arange(EPOCHS) % 2, 3.0, 0.1)
    divergences[0] = np.nan
    return {
        "correct": (probs > 0.5).astype(float),
        "label_probs": probs,
        "margins": np.log(probs / (1 - probs)),
        "entropies": entropies,
        "errors": np.sqrt(2) * (1 - probs),
        "divergences": divergences,
    }


def runs(generator, num_rows) -> dict[str, np.ndarray]:
    """Runs on random subsets: row 0 is hit by those that were trained on it alone, and sways half of the test rows."""
    trained_on = generator.random((MEMBERS, num_rows)) < 0.7
    hits = generator.random((MEMBERS, num_rows)) < 0.9
    hits[:, HARD], hits[:, EASY] = trained_on[:, HARD], True
    test_hits = generator.random((MEMBERS, TEST_ROWS)) < 0.9
    test_hits[:, : TEST_ROWS // 2] = trained_on[:, HARD, None]
    return {"trained_on": trained_on, "hits": hits, "test_hits": test_hits}


def reordered(arrays, order) -> dict[str, np.ndarray]:
    """The same arrays with other rows."""
    return {
        name: array if name in NOT_ALONG_ROWS else array.take(order, axis=ROW_AXIS.get(name, 0))
        for name, array in arrays.items()
    }


def ways(metric: Metric, known) -> Iterator[tuple[str, ...]]:
    """The different sets of inputs from which a metric with its default options gets its scores."""
    found = set()
    for sources in (
        set(known),
        set(known) - FROM_RECORDS,
        {*FROM_RECORDS, "dynamics", "rows", "labels", "embeddings"},
    ):
        inputs = metric.inputs_for({}, sources)
        if inputs not in found and set(inputs) <= sources:
            found.add(inputs)
            yield inputs
