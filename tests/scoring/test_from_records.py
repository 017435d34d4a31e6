"""Inputs from training records: of one run, of several, in memory or in folders, and of the right data set."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset

import hf_prune
from hf_prune.dynamics.record import TrainingRecord
from hf_prune.metrics import get_metric, register_metric, unregister_metric
from hf_prune.scoring import InputBuilder, Request
from hf_prune.scoring.from_records import make_recorded
from hf_prune.scoring.pool import InputPool

ROWS, EPOCHS, RUNS = 6, 3, 4
LABELS = [0, 1, 0, 1, 0, 1]


@pytest.fixture(scope="module", autouse=True)
def metrics():
    @register_metric("epochs_correct_test")
    def epochs_correct(correct):
        """Epochs in which the row was right, mean over runs."""
        found = correct if correct.ndim == 3 else correct[None]
        return np.nansum(found.astype(float), axis=1).mean(axis=0)

    @register_metric("runs_test")
    def runs(trained_on, hits, test_hits):
        """How many runs, with a digit for each input."""
        return 100.0 * trained_on.sum(axis=0) + 10.0 * hits.sum(axis=0) + test_hits.sum()

    @register_metric("first_class_test")
    def first_class(epoch_probs):
        """Mean probability of class 0."""
        return epoch_probs.astype(float)[:, :, 0].mean(axis=0)

    yield
    for name in ("epochs_correct_test", "runs_test", "first_class_test"):
        unregister_metric(name)


def dataset(labels=LABELS) -> Dataset:
    ds = Dataset.from_dict({"x": list(range(len(labels)))})
    return ds.add_column("label", labels, feature=ClassLabel(names=["a", "b"]))


def record(seed=0, *, mode="epoch", labels=LABELS, epochs=EPOCHS, test_rows=5) -> TrainingRecord:
    generator = np.random.default_rng(seed)
    rows = len(labels)
    arrays = {
        "correct": generator.integers(0, 2, (epochs, rows)),
        "epoch_probs": generator.dirichlet([1, 1], (epochs, rows)),
    }
    return TrainingRecord.from_arrays(
        dataset="toy train",
        labels=labels,
        arrays=arrays,
        mode=mode,
        trained_on=generator.integers(0, 2, rows) > 0,
        test_hits=generator.integers(0, 2, test_rows) > 0,
        rows=dataset(labels),
    )


def make(name, ds=None, **request):
    metric = get_metric(name)
    return InputBuilder(
        ds or dataset(), Request(run=hf_prune.Run(device="cpu", load_from_cache_file=False), **request), [(metric, {})]
    ).make(metric)


def test_one_record_gives_epochs_and_several_give_runs():
    first, second = record(0), record(1)
    np.testing.assert_array_equal(make("epochs_correct_test", dynamics=first).arrays["correct"], first.read("correct"))
    both = make("epochs_correct_test", dynamics=[first, second])
    np.testing.assert_array_equal(both.arrays["correct"], [first.read("correct"), second.read("correct")])
    source = both.made_from["correct"]
    assert source["dynamics"] == {"dataset": "toy train", "mode": "epoch", "epochs": EPOCHS}
    assert source["runs"] == 2
    assert source["sha256"] != make("epochs_correct_test", dynamics=[second, first]).made_from["correct"]["sha256"]


def test_runs_lie_beside_each_other_and_the_test_set_is_whole():
    records = [record(seed) for seed in range(RUNS)]
    made = make("runs_test", dynamics=records)
    for name, shape in (("trained_on", (RUNS, ROWS)), ("hits", (RUNS, ROWS)), ("test_hits", (RUNS, 5))):
        np.testing.assert_array_equal(made.arrays[name], [getattr(found, name) for found in records])
        assert made.arrays[name].shape == shape
    alone = make("runs_test", dynamics=records[0])
    assert alone.arrays["hits"].shape == (1, ROWS)


def test_probabilities_per_epoch():
    found = make("first_class_test", dynamics=record())
    np.testing.assert_array_equal(found.arrays["epoch_probs"], record().read("epoch_probs"))


def test_folders_and_what_holds_records_are_opened(tmp_path):
    folders = [record(seed).save(tmp_path / f"teacher-{seed}" / "dynamics") for seed in (0, 1)]
    expected = make("epochs_correct_test", dynamics=[record(0), record(1)]).arrays["correct"]

    class Teachers:
        records = (record(0), record(1))

    for dynamics in (tmp_path, str(tmp_path), folders, [record(0), folders[1]], Teachers()):
        found = make("epochs_correct_test", dynamics=dynamics).arrays["correct"]
        np.testing.assert_array_equal(found, expected)


def test_a_row_without_label_or_score_is_left_out_of_every_input():
    ds = dataset([0, 1, -1, 1, 0, 1])

    @register_metric("labelled_test")
    def labelled(correct, labels):
        """Number of rows."""
        return np.full(len(labels), float(correct.shape[-1]))

    try:
        scored = ds.score_with("labelled_test", dynamics=record(), on_error="skip")
    finally:
        unregister_metric("labelled_test")
    assert scored["labelled_test"][:] == [5.0, 5.0, None, 5.0, 5.0, 5.0]


def test_several_metrics_share_the_record_and_have_their_own_steps(tmp_path):
    folder = record().save(tmp_path / "record")
    scored = dataset().score_with(["epochs_correct_test", "random", "first_class_test"], dynamics=folder, seed=3)
    alone = dataset().score_with("epochs_correct_test", dynamics=folder)
    assert scored["epochs_correct_test"][:] == alone["epochs_correct_test"][:]
    assert scored["random"][:] == dataset().score_with("random", seed=3)["random"][:]
    steps = hf_prune.provenance(scored).steps
    assert [step.metric for step in steps] == ["epochs_correct_test", "random", "first_class_test"]
    assert list(steps[0].inputs) == ["correct"]
    assert steps[1].inputs == {}
    assert not hf_prune.provenance(scored).changed_since(scored)


@pytest.mark.parametrize(
    ("metrics", "options", "message"),
    [
        ([], {}, "no metric was named"),
        (["random", "random"], {}, "name one twice"),
        (["random", "el2n"], {"column": "x2"}, "for 2 metrics; score them one by one"),
    ],
)
def test_several_metrics_must_fit_together(metrics, options, message):
    with pytest.raises(ValueError, match=message):
        dataset().score_with(metrics, **options)


def test_an_option_belongs_to_one_of_the_metrics():
    with pytest.raises(TypeError, match=r"unknown option of metric 'random' and 'el2n' 'odr'\. Did you mean 'ord'"):
        dataset().score_with(["random", "el2n"], odr=1)


@pytest.mark.parametrize(
    ("name", "ds", "dynamics", "message"),
    [
        (
            "epochs_correct_test",
            Dataset.from_dict({"x": [0, 1, 7, 3, 4, 9]}),
            record(),
            r"2 of 6 rows of 'Dataset' \(first: row 2\) are not among those recorded of 'toy train', by their x: give",
        ),
        ("epochs_correct_test", dataset(), None, r"needs correct: pass dynamics= \(a record of hf_prune.watch"),
        ("epochs_correct_test", dataset(), "heads", r"heads are teachers, pass teachers='heads' with encoder="),
        (
            "epochs_correct_test",
            dataset(LABELS[:5]),
            record(),
            r"the record covers 6 rows of 'toy train', the dataset 'Dataset' has 5: score before you filter",
        ),
        ("epochs_correct_test", dataset([0, 0, 0, 1, 1, 1]), record(), "has other labels than .* in 2 of 6 rows"),
        ("epochs_correct_test", dataset(), [record(), record(epochs=2)], r"shapes \(2, 6\) and \(3, 6\)"),
        ("runs_test", dataset(), [record(), record(test_rows=4)], r"'test_hits' of shapes \(4,\) and \(5,\)"),
        ("runs_test", dataset(), record(mode="online"), "hits need one pass over all rows"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(name, ds, dynamics, message):
    with pytest.raises(ValueError, match=message) as caught:
        make(name, ds, dynamics=dynamics)
    assert "\n" not in str(caught.value)


def test_rows_in_another_order_have_their_own_values(tmp_path):
    order = [5, 4, 0, 2, 3, 1]
    ds, dynamics = dataset(), [record(0).save(tmp_path / "one"), record(1)]
    for name in ("epochs_correct_test", "runs_test"):
        right = ds.score_with(name, dynamics=dynamics)[name][:]
        assert ds.select(order).score_with(name, dynamics=dynamics)[name][:] == [right[row] for row in order]
    right = ds.score_with("first_class_test", dynamics=record())["first_class_test"][:]
    found = ds.select(order).remove_columns("label").score_with("first_class_test", dynamics=record())
    assert found["first_class_test"][:] == [right[row] for row in order]


def test_equal_rows_of_two_classes_are_told_apart_by_their_class():
    rows, labels = [0, 0, 2, 3, 4, 5], [0, 1, 0, 1, 0, 1]

    def with_labels(order):
        ds = Dataset.from_dict({"x": [rows[row] for row in order]})
        return ds.add_column("label", [labels[row] for row in order], feature=ClassLabel(names=["a", "b"]))

    found = TrainingRecord.from_arrays(
        dataset="toy", labels=labels, arrays={"correct": [[1, 0, 1, 0, 1, 0]]}, rows=with_labels(range(ROWS))
    )
    order = [5, 1, 0, 3, 2, 4]
    made = make("epochs_correct_test", with_labels(order), dynamics=found)
    assert made.arrays["correct"].tolist() == [[0, 0, 1, 0, 1, 1]]


@pytest.mark.parametrize(
    ("rows", "ds", "reason"),
    [
        (None, dataset(), "the record does not know it"),
        (dataset(), dataset().rename_column("x", "y"), "the record goes by column 'x', which is not there"),
    ],
)
def test_where_content_cannot_be_compared_it_is_said(rows, ds, reason):
    arrays = {"correct": record().read("correct")}
    plain = TrainingRecord.from_arrays(dataset="toy", labels=LABELS, arrays=arrays, rows=rows)
    with pytest.warns(UserWarning, match=rf"rows of 'Dataset' could not be compared .*\({reason}\): .*by position"):
        made = make("epochs_correct_test", ds, dynamics=[plain, plain])
    np.testing.assert_array_equal(made.arrays["correct"][0], arrays["correct"])


def presented(arrays, **given):
    """A record of rows of which some were never presented, of the mode in which they are noted as they come."""
    return TrainingRecord.from_arrays(
        dataset="toy", labels=LABELS, arrays=arrays, rows=dataset(), **{"mode": "online", **given}
    )


SEEN = [[0.5, 0.2, np.nan, 0.4, 0.5, np.nan], [0.9, np.nan, np.nan, 0.1, 0.5, np.nan]]


@pytest.mark.parametrize(
    ("metric", "array", "lacking", "options"),
    [
        ("confidence", "label_probs", [2, 5], {}),
        ("variability", "label_probs", [1, 2, 5], {}),
        ("dyn_unc", "label_probs", [1, 2, 5], {"window": 2}),
        ("aum", "margins", [2, 5], {}),
        ("el2n", "errors", [2, 5], {}),
        ("entropy", "entropies", [2, 5], {}),
        ("forgetting", "correct", [2, 5], {}),
    ],
)
def test_rows_that_were_never_presented_are_refused_or_have_no_score(metric, array, lacking, options):
    values = np.ceil(SEEN) if array == "correct" else SEEN
    options["dynamics"] = presented({array: values})
    with pytest.raises(ValueError, match=rf"^metric '{metric}' has no score for {len(lacking)} of 6 rows") as caught:
        dataset().score_with(metric, **options)
    said = str(caught.value)
    assert "\n" not in said
    assert f"(first: row {lacking[0]}): they were " in said
    assert said.endswith(", or pass on_error='skip' to leave their scores null")
    scored = dataset().score_with(metric, on_error="skip", **options)
    assert [row for row, score in enumerate(scored[metric]) if score is None] == lacking
    assert hf_prune.provenance(scored).steps[-1].unscored == tuple(lacking)


def test_a_row_that_one_metric_cannot_score_has_the_scores_of_the_others():
    dynamics = presented({"label_probs": SEEN})
    scored = dataset().score_with(["variability", "confidence"], dynamics=dynamics, on_error="skip")
    assert [[score is None for score in scored[name]] for name in ("variability", "confidence")] == [
        [False, True, True, False, False, True],
        [False, False, True, False, False, True],
    ]


def test_skipping_all_rows_is_an_error():
    dynamics = presented({"margins": np.full((2, ROWS), np.nan)})
    with pytest.raises(ValueError, match=r"has no score for 6 of 6 rows .*the label -100: record more epochs or more"):
        dataset().score_with("aum", dynamics=dynamics, on_error="skip")


def test_a_row_without_a_class_in_the_training_is_no_miss():
    runs = []
    for seed in range(4):
        correct = [[1, 0, 1, np.nan, 0, 1]]
        runs.append(presented({"correct": correct}, mode="end", trained_on=[(seed + row) % 2 for row in range(ROWS)]))
    with pytest.raises(ValueError, match=r"^1 of 6 rows \(first: row 3\) had no class in the training, such as"):
        dataset().score_with("memorization", dynamics=runs)
    scored = dataset().score_with("memorization", dynamics=runs, on_error="skip")
    assert scored["memorization"][3] is None
    assert None not in [*scored["memorization"][:3], *scored["memorization"][4:]]


@pytest.mark.parametrize("metric", ["forgetting", "confidence"])
def test_logits_that_were_not_finite_are_no_prediction(metric):
    correct = [[1, 0, 1, 1, 0, 1], [1, 0, 0, 1, 0, 1], [0, 0, 0, 1, 0, 1]]
    probs = np.array([[0.6, 0.2, 0.7, 0.6, 0.3, 0.9]] * 3)
    probs[2, 0] = probs[1:, 2] = np.nan
    broken = presented({"correct": correct, "label_probs": probs})
    assert broken.not_finite.tolist() == [3, 0, 2, 0, 0, 0]
    message = r"^2 of 6 rows \(first: row 0\) had logits that were not finite from epoch 2 on: lower the learning rate"
    with pytest.raises(ValueError, match=message):
        dataset().score_with(metric, dynamics=broken)
    scored = dataset().score_with(metric, dynamics=broken, on_error="skip")
    assert [score is None for score in scored[metric]] == [True, False, True, False, False, False]
    whole = presented({"correct": np.zeros((3, ROWS)), "label_probs": np.full((3, ROWS), np.nan)}, mode="end")
    good = presented({"correct": correct, "label_probs": np.full((3, ROWS), 0.5)})
    with pytest.raises(ValueError, match=r"^6 of 6 .* were not finite after the training in training 2 of 2: lower"):
        dataset().score_with(metric, dynamics=[good, whole])
    with pytest.raises(ValueError, match=r"none of the 6 rows can be scored \(row 0: its logits were not finite"):
        dataset().score_with(metric, dynamics=whole, on_error="skip")


def test_teachers_and_their_records_are_in_one_order(tmp_path):
    folders = [tmp_path / f"teacher-{number}" for number in range(2)]
    records = [record(seed).save(folder / "dynamics") for seed, folder in enumerate(folders)]
    for teachers, refused in ((folders, False), (folders[::-1], True), ([folders[1], tmp_path / "other"], True)):
        made = InputPool(dataset(), Request(teachers=teachers, dynamics=records))
        if refused:
            with pytest.raises(ValueError, match="name the same trainings in another order"):
                make_recorded(made, "trained_on")
        else:
            make_recorded(made, "trained_on")
            assert made.everywhere["trained_on"].shape == (2, ROWS)
