import json
from pathlib import Path

import numpy as np
import pytest
import transformers
from datasets import ClassLabel
from safetensors.numpy import load_file

import hf_prune
from hf_prune import Teachers, train_subset_runs, train_teachers
from hf_prune.models.load import load_teacher
from hf_prune.runtime.folders import FolderInUseError, owned
from hf_prune.runtime.seeds import row_uniform
from tests.helpers import teacher_jobs as jobs
from tests.helpers.process_parent import ON_CPU, fork_jobs
from tests.helpers.tiny_models import run

NETWORK = {"widths": [8, 8, 8], "norm": "group"}
SHORT = {"num_epochs": 2, "batch_size": 8, "image_size": 8}


@pytest.fixture(scope="module")
def ds():
    return jobs.make_set()


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """What processes of their own left: a training that was killed, and one of two processes together."""
    folder = tmp_path_factory.mktemp("jobs")
    fork_jobs("tests.helpers.teacher_jobs", folder, ON_CPU)
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return jobs.train(tmp_path_factory.mktemp("undisturbed") / "teachers")


def files(folder):
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()}


def weights(place):
    return load_file(Path(place) / "model.safetensors")


def assert_same_weights(one, two, atol=0.0):
    first, second = weights(one), weights(two)
    assert first.keys() == second.keys()
    for name, values in first.items():
        np.testing.assert_allclose(values, second[name], atol=atol, rtol=0, err_msg=name)


def assert_same_record(one, two, rtol=0.0):
    assert one.arrays == two.arrays
    assert "epoch_probs" in one.arrays
    for name in one.arrays:
        np.testing.assert_allclose(one.read(name), two.read(name), atol=0, rtol=rtol, err_msg=name)
    assert np.array_equal(one.labels, two.labels)
    assert np.array_equal(one.test_hits, two.test_hits)


def test_a_teacher_killed_in_its_third_epoch_resumes_to_the_same_weights_and_record(others, undisturbed, ds):
    folder = others / "killed"
    whole, cut = folder / "teacher-00", folder / "teacher-01"
    assert not list(cut.glob("*.safetensors")), "it was killed after it had finished"
    assert len(list((cut / "dynamics").glob("epoch-*"))) == 2

    finished = Teachers.load(folder)  # the other one can be used meanwhile
    assert finished.folders == [str(whole)]
    scored = hf_prune.score_with(ds, "el2n", teachers=finished.folders, run=hf_prune.Run(load_from_cache_file=False))
    assert len(set(scored["el2n"])) > 1
    before = (whole / "model.safetensors").stat()

    network = jobs.Watched()
    again = jobs.train(folder, network)
    assert network.passes == 2 * jobs.STEPS // jobs.EPOCHS, "the last two epochs are left, of one teacher"
    assert (whole / "model.safetensors").stat() == before
    assert files(folder) == files(undisturbed.folder)
    for place, other in zip(again.folders, undisturbed.folders, strict=True):
        assert_same_weights(place, other)
    for record, other in zip(again.records, undisturbed.records, strict=True):
        assert not np.isnan(record.read("correct")).any(), "a hole"
        assert record.num_epochs == jobs.EPOCHS
        assert_same_record(record, other)


def test_the_seeds_differ_and_finished_teachers_are_kept(undisturbed):
    first, second = map(weights, undisturbed.folders)
    assert any(not np.array_equal(values, second[name]) for name, values in first.items())
    network = jobs.Watched()
    again = jobs.train(undisturbed.folder, network)
    assert (network.passes, again) == (0, undisturbed)
    assert jobs.train(undisturbed.folder, num_teachers=1).folders == undisturbed.folders[:1]
    assert Teachers.load(str(undisturbed.folder)) == undisturbed


def test_the_folder_holds_teachers_and_nothing_else(undisturbed, ds):
    expected = {"config.json", "digests.json", "model.safetensors", "preprocessor_config.json", "dynamics"}
    for place in map(Path, undisturbed.folders):
        assert {path.name for path in place.iterdir()} == expected
        teacher = load_teacher(str(place), dtype="float32")
        assert teacher.names == tuple(jobs.NAMES)
        assert run(teacher, ds["image"][:3]).shape == (3, 2)
    scored = ds.score_with(
        "forgetting", dynamics=str(undisturbed.folder), run=hf_prune.Run(load_from_cache_file=False)
    )
    order = np.random.default_rng(0).permutation(jobs.ROWS).tolist()
    moved = ds.select(order).score_with("forgetting", dynamics=str(undisturbed.folder))
    assert moved["forgetting"][:] == [scored["forgetting"][row] for row in order]


def test_two_processes_train_together_and_write_once(others, tmp_path, ds):
    folder = others / "together"
    expected = [str(folder / "teacher-00")] * 2
    assert [(others / f"seen-by-{rank}").read_text().split("\n") for rank in range(2)] == [expected] * 2
    alone = jobs.train(tmp_path / "alone", jobs.Watched(double=True), num_teachers=1, augment=False)
    together = Teachers.load(folder)
    assert files(folder) == files(alone.folder)
    # Both in float64. The gradient is summed in another order: off by epsilon times the length of its longest sum, the
    # 8 x 8 pixels of a batch of 8, times its size, at most 1 here. AdamW divides by the size of a gradient, but by no
    # less than its own 1e-8, and moves a weight by the learning rate, 0.01, times that, at each step.
    step_error = np.finfo(np.float64).eps * 8 * 8 * jobs.BATCH_SIZE / 1e-8 * 0.01
    assert_same_weights(together.folders[0], alone.folders[0], atol=jobs.STEPS * step_error)
    # The record holds float16: values that differ in the last bits of float64 can be rounded to neighbours.
    assert_same_record(together.records[0], alone.records[0], rtol=float(np.finfo(np.float16).eps))
    assert json.loads((folder / "teachers.json").read_text())["num_processes"] == 2
    # Nothing is left to train, so that the number of processes no longer matters; for more it does.
    options = {"batch_size": jobs.BATCH_SIZE // 2, "augment": False}
    assert jobs.train(folder, jobs.Watched(double=True), num_teachers=1, **options) == together
    with pytest.raises(ValueError, match=r"num_processes=2, not 1; give those again, or another folder="):
        jobs.train(folder, jobs.Watched(double=True), num_teachers=2, **options)


def refused(folder, match, *, rows=None, call=train_teachers, **changes):
    options = {"num_teachers": 1, **SHORT, "seed": 0}
    if call is train_subset_runs:
        options["num_runs"] = options.pop("num_teachers")
    model = changes.pop("model", transformers.AutoConfig.for_model("small_resnet", **NETWORK))
    with pytest.raises((ValueError, TypeError), match=match) as caught:
        call(jobs.make_set() if rows is None else rows, model, folder=folder, **{**options, **changes})
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def begun(tmp_path_factory, ds):
    """A folder with one finished teacher from a config."""
    folder = tmp_path_factory.mktemp("begun")
    config = transformers.AutoConfig.for_model("small_resnet", **NETWORK)
    train_teachers(ds, config, num_teachers=1, folder=folder, **SHORT)
    return folder


def named(rows, name):
    rows.info.dataset_name = name
    return rows


@pytest.mark.parametrize("count", [1, 2])
def test_another_data_set_is_refused_by_name_and_size(begun, count):
    mine = "was begun with another data set: 24 rows of 'Dataset', not "
    options = {"num_teachers": count}
    refused(begun, mine + "20 rows of 'Dataset'; give another folder=", rows=jobs.make_set(20), **options)
    refused(begun, mine + "24 rows of 'digits'; give", rows=named(jobs.make_set(seed=4), "digits"), **options)
    refused(begun, mine + "24 rows of 'Dataset' with other images or labels", rows=jobs.make_set(seed=4), **options)
    tested = jobs.make_set(6)
    refused(begun, "another test set: none, not 6 rows of 'Dataset'; give", test_dataset=tested, **options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_epochs": 3}, "begun with other settings: num_epochs=2, not 3; give those again, or another folder="),
        ({"seed": 1, "augment": True}, "augment=false, not true, seed=0, not 1; give"),
        ({"weight_decay": 0.1}, 'training_args={}, not {"weight_decay": 0.1}; give'),
        ({"model": "resnet8"}, "other settings: another model; give"),
        ({"image_size": 16}, "other settings: another processor; give"),
        (
            {"call": train_subset_runs},
            'kind="teacher", not "run", mode="online", not "end", subset=null, not 0.7; give',
        ),
    ],
)
def test_other_settings_are_refused_by_name(begun, changes, message):
    refused(begun, message, **changes)


def test_what_is_not_known_is_not_touched(begun, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no teachers \(no teachers.json\)"):
        Teachers.load(tmp_path)
    (tmp_path / "teacher-00").mkdir()
    (tmp_path / "teacher-00" / "model.safetensors").touch()
    refused(tmp_path, "holds teacher-00 but no teachers.json, so it is not known what that is")
    for text in ("not json", "[]", '{"format": 2}'):
        (tmp_path / "teachers.json").write_text(text)
        refused(tmp_path, r"teachers.json cannot be read \(.*\): give another folder=")


def test_a_call_that_failed_at_once_does_not_bind_the_next(tmp_path, ds):
    refused(tmp_path, "sideways is not a valid SchedulerType", model="resnet8-half", lr_scheduler_type="sideways")
    teachers = train_teachers(ds, "resnet8-half", num_teachers=1, folder=tmp_path, **SHORT)
    assert teachers.records[0].num_epochs == SHORT["num_epochs"]


def test_a_second_call_is_refused_while_the_first_trains_and_nothing_is_lost(tmp_path, ds):
    class Again(jobs.Watched):
        """While the first teacher trains, somebody else wants two."""

        def count(self, module, given):
            super().count(module, given)
            if self.passes == self.killed_at and not refusals:
                with pytest.raises(
                    FolderInUseError, match=r"process \(\d+\) is writing to .*; wait for it, or give"
                ) as error:
                    train_teachers(ds, jobs.Watched(), num_teachers=2, folder=tmp_path / "two", **SHORT)
                refusals.append(str(error.value))

    refusals: list[str] = []
    made = train_teachers(ds, Again(killed_at=3), num_teachers=1, folder=tmp_path / "two", **SHORT)
    alone = train_teachers(ds, jobs.Watched(), num_teachers=1, folder=tmp_path / "one", **SHORT)
    assert len(refusals) == 1
    assert_same_weights(made.folders[0], alone.folders[0])
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_finished_teachers_are_given_while_others_train_and_leftovers_of_a_kill_go(begun):
    config = transformers.AutoConfig.for_model("small_resnet", **NETWORK)
    left = begun / "teacher-00" / ".part-killed"
    left.mkdir()
    (left / "model.safetensors").touch()
    with owned(begun):
        assert len(train_teachers(jobs.make_set(), config, num_teachers=1, folder=begun, **SHORT).folders) == 1
        assert left.exists()
    train_teachers(jobs.make_set(), config, num_teachers=1, folder=begun, **SHORT)
    assert not left.exists()


def test_a_record_of_the_end_is_made_though_the_training_was_over_when_it_was_killed(tmp_path, ds):
    class Killed(jobs.Watched):
        def count(self, module, given):
            super().count(module, given)
            if not module.training and self.passes:  # in the pass over all rows, after the last step
                raise KeyboardInterrupt

    options = {"folder": tmp_path, "num_teachers": 1, "mode": "end", **SHORT}
    with pytest.raises(KeyboardInterrupt):
        train_teachers(ds, Killed(), **options)
    assert (tmp_path / "teacher-00" / "checkpoint-6" / "complete").is_file()
    network = jobs.Watched()
    record = train_teachers(ds, network, **options).records[0]
    assert network.passes == 0
    teacher = load_teacher(str(tmp_path / "teacher-00"), dtype="float32")
    assert np.array_equal(record.hits, run(teacher, ds["image"]).argmax(1).numpy() == ds["label"])


@pytest.fixture(scope="module")
def subset_runs(tmp_path_factory, ds):
    options = {"folder": tmp_path_factory.mktemp("runs") / "runs", "num_runs": 3, "subset": 0.7, "seed": 5}
    config = transformers.AutoConfig.for_model("small_resnet", **NETWORK)
    return train_subset_runs(
        ds, config, test_dataset=jobs.make_set(10, seed=1), learning_rate=0.01, **SHORT, **options
    )


def test_subset_runs_record_the_hits_on_all_rows(subset_runs, ds):
    drawn = set()
    for number, (place, record) in enumerate(zip(subset_runs.folders, subset_runs.records, strict=True)):
        assert Path(place).name == f"run-0{number}"
        assert (record.mode, record.num_rows) == ("end", jobs.ROWS)
        numbers = row_uniform(range(jobs.ROWS), 5 + number)
        smallest = np.sort(numbers)[:17]  # round(0.7 * 24)
        assert np.array_equal(record.trained_on, np.isin(numbers, smallest))
        teacher = load_teacher(place, dtype="float32")
        for rows, hits in ((ds, record.hits), (jobs.make_set(10, seed=1), record.test_hits)):
            guesses = run(teacher, rows["image"]).argmax(1).numpy()
            assert np.array_equal(hits, guesses == rows["label"])
        assert np.array_equal(record.labels, ds["label"])
        drawn.add(tuple(record.trained_on))
    assert len(drawn) == 3


def test_a_run_is_a_training_on_its_rows_alone(subset_runs, ds, tmp_path):
    rows = np.flatnonzero(subset_runs.records[1].trained_on)
    config = transformers.AutoConfig.for_model("small_resnet", **NETWORK)
    options = {"num_teachers": 1, "seed": 6, "learning_rate": 0.01, "mode": "end"}
    alone = train_teachers(ds.select(rows), config, folder=tmp_path, **SHORT, **options)
    assert_same_weights(subset_runs.folders[1], alone.folders[0])


def test_a_checkpoint_is_trained_on_from_where_it_is(undisturbed, tmp_path, ds):
    start = str(undisturbed.folders[0])
    still = {"learning_rate": 1e-12, "weight_decay": 0.0, "num_epochs": 1, "batch_size": 8}
    same = train_teachers(ds, start, num_teachers=1, folder=tmp_path / "same", **still)
    assert_same_weights(same.folders[0], start, atol=1e-6)
    three = ds.cast_column("label", ClassLabel(names=["dark", "light", "none"]))
    wider = train_teachers(three, start, num_teachers=1, folder=tmp_path / "wider", **still)
    before, after = weights(start), weights(wider.folders[0])
    np.testing.assert_allclose(after["resnet.stem.weight"], before["resnet.stem.weight"], atol=1e-6)
    assert after["classifier.weight"].shape == (3, 8)
    refused(tmp_path / "same", "another model", model=undisturbed.folders[1], num_epochs=1, learning_rate=1e-12)


@pytest.mark.parametrize("name", ["Teachers", "train_subset_runs", "train_teachers"])
def test_they_are_on_the_face_of_the_package(name):
    assert getattr(hf_prune, name).__module__ == "hf_prune.training.teachers"
    assert name in dir(hf_prune)
