"""Scoring one split: the column, its nulls, the step, and what is refused before work is done or after a metric."""

import json

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset

from hf_prune import Run, provenance
from hf_prune.metrics import register_metric, unregister_metric
from hf_prune.models.loaded_model import LoadedModel
from hf_prune.policy import budget
from tests.helpers.rank_jobs import ROWS, arrays
from tests.helpers.tiny_sets import make_set, noise
from tests.helpers.weighed_sets import hasty_trials, short_trials  # noqa: F401  # a fixture for every test here


def numbers(rows=4) -> Dataset:
    return Dataset.from_dict({"x": list(range(rows))})


@pytest.fixture
def metric():
    """Makes a metric out of a function of ``embeddings``, or of none, and forgets it afterwards."""
    made = []

    def make(function, **options):
        register_metric("tried", **options)(function)
        made.append("tried")

    yield make
    for name in made:
        unregister_metric(name)


def pixels(batch) -> np.ndarray:
    return np.stack([np.asarray(image, np.float32).ravel() for image in batch])


def test_rows_that_cannot_be_read_have_no_score_and_are_listed():
    encoded = [*noise(3), b"broken", None, noise(5)[4]]
    scored = make_set(encoded).score_with("prototypes", encoder=pixels, on_error="skip", num_prototypes=2)
    assert [value is None for value in scored["prototypes"][:]] == [False, False, False, True, True, False]
    assert provenance(scored).steps[0].unscored == (3, 4)
    kept, selection = scored.prune("prototypes", keep=1.0, order="easy", return_selection=True)
    assert selection.unscored.tolist() == [3, 4]
    assert len(kept) == 4


def test_an_encoder_without_an_answer_is_named_with_its_row():
    def broken(batch):
        return np.full((len(batch), 3), np.nan)

    with pytest.raises(ValueError, match=r"^row 0: the model gave NaN or infinity") as caught:
        make_set(noise(3)).score_with("prototypes", encoder=broken)
    assert "\n" not in str(caught.value)


def test_all_rows_unreadable_is_an_error_that_says_why():
    with pytest.raises(ValueError, match=r"^none of the 2 rows can be scored \(row 0: .*\)$"):
        make_set([b"broken", None]).score_with("prototypes", encoder=pixels, on_error="skip")


def test_what_cannot_be_recorded_is_refused_before_the_work(metric):
    def refuse(rows, *, gain=1.0):
        raise AssertionError("the work was done")

    metric(refuse)
    for gain in (np.inf, object()):
        with pytest.raises(ValueError, match=r"option gain=.* cannot be recorded"):
            numbers().score_with("tried", gain=gain)


@pytest.mark.parametrize("seed", [-1, 2**32, 0.5, True])
def test_a_seed_that_no_generator_takes(seed):
    with pytest.raises(ValueError, match=r"^seed=.*; give an integer in \[0, 2\*\*32\)$"):
        numbers().score_with("random", seed=seed)


def test_the_largest_seed_is_taken():
    given = {"embeddings": np.eye(4)}
    assert len(numbers().score_with("prototypes", inputs=given, seed=2**32 - 1)["prototypes"]) == 4


def test_a_taken_name_and_an_empty_set():
    scored = numbers().score_with("random")
    with pytest.raises(
        ValueError, match=r"^column 'random' is there already; choose another with column=, or pass overw"
    ):
        scored.score_with("random")
    with pytest.raises(ValueError, match=r"^column 'x' is there already"):
        numbers().score_with("random", column="x")
    with pytest.raises(ValueError, match=r"^the data set is empty: there is nothing to score$"):
        numbers(0).score_with("random")


def test_overwriting_is_a_step_of_its_own():
    first = numbers().score_with("random")
    second = first.score_with("random", seed=1, overwrite=True)
    assert second.column_names == first.column_names
    assert second["random"][:] != first["random"][:]
    assert [step.seed for step in provenance(second).steps] == [0, 1]
    assert not provenance(second).steps[1].changed_before
    replaced = numbers().add_column("y", [0] * 4).score_with("random", column="x", overwrite=True)
    assert replaced.column_names == ["y", "x"]
    assert not provenance(replaced).changed_since(replaced)


def test_a_row_shown_twice_may_have_two_scores():
    scored = numbers().select([0, 0, 3, 3]).score_with("random")
    assert scored["random"][:] == numbers().score_with("random")["random"][:]
    assert scored["x"][:] == [0, 0, 3, 3]


class Counting(torch.nn.Module):
    """Counts the images it has seen; to be put back to 0 before each call, since the count belongs to what it is."""

    seen = 0

    def forward(self, batch):
        Counting.seen += len(batch)
        return batch.flatten(1)


def tensor_of(image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image, np.float32))


def test_the_second_run_computes_nothing(tmp_path, monkeypatch):
    opened = []
    own = LoadedModel.open
    monkeypatch.setattr(LoadedModel, "open", lambda model, device: opened.append(model) or own(model, device))
    ds, options = make_set(noise(6)), {"encoder": (torch.nn.Flatten(), tensor_of)}
    ds.score_with("prototypes", run=Run(cache_dir=tmp_path), **options)
    ds.shuffle(seed=0).score_with("prototypes", num_prototypes=2, run=Run(cache_dir=tmp_path), **options)
    assert len(opened) == 1
    ds.score_with("prototypes", run=Run(load_from_cache_file=False), **options)
    assert len(opened) == 2


class Teacher(Counting):
    """A classifier of two classes with a linear layer, which counts what it has seen."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(torch.nn.Linear(48, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2))

    def forward(self, batch):
        return self.layers(super().forward(batch) / 255)


def labelled(rows) -> Dataset:
    return make_set(noise(rows)).add_column("label", [0, 1] * (rows // 2), feature=ClassLabel(num_classes=2))


def outputs(folder) -> set[str]:
    """Of which output of a model there are results in a cache."""
    return {json.loads(path.read_text())["identity"]["output"] for path in folder.rglob("meta.json")}


def test_teachers_alone_leave_evidence_from_the_same_pass(tmp_path, monkeypatch):
    monkeypatch.setattr(Counting, "seen", 0)
    monkeypatch.setattr(budget, "KEEPS", (0.5,))  # one fraction is enough here
    ds, teachers = labelled(240), [(Teacher(), tensor_of), (Teacher().requires_grad_(False), tensor_of)]
    options = {"teachers": teachers, "on_error": "skip"}
    scored = ds.score_with(["el2n", "random"], run=Run(dtype="float32", cache_dir=tmp_path / "both"), **options)
    steps = provenance(scored).steps
    assert steps[0].evidence["optimistic"]
    assert steps[0].evidence["num_rows"] == 240
    assert steps[1].evidence is None
    assert Counting.seen == 240 * 2
    monkeypatch.setattr(Counting, "seen", 0)
    again = ds.score_with("el2n", run=Run(dtype="float32", cache_dir=tmp_path / "both"), **options)
    assert Counting.seen == 0
    assert provenance(again).steps[0].evidence == steps[0].evidence
    plain = ds.score_with("el2n", run=Run(dtype="float32", cache_dir=tmp_path / "plain"), evidence=False, **options)
    assert (outputs(tmp_path / "plain"), outputs(tmp_path / "both")) == ({"logits"}, {"logits", "logits, features"})
    assert plain["el2n"][:] == scored["el2n"][:]
    step = provenance(plain).steps[0]
    assert (step.evidence, step.inputs) == (None, steps[0].inputs)


def test_few_rows_and_functions_run_as_without_evidence(tmp_path):
    few = labelled(198).score_with("el2n", teachers=(Teacher(), tensor_of), run=Run(cache_dir=tmp_path))
    assert provenance(few).steps[0].evidence is None
    assert outputs(tmp_path) == {"logits"}
    scored = labelled(240).score_with("el2n", teachers=lambda batch: pixels(batch)[:, :2], run=Run(cache_dir=tmp_path))
    assert provenance(scored).steps[0].evidence is None
    assert outputs(tmp_path) == {"logits"}


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("metric", ["prototypes", "supervised_prototypes", "el2n", "random"])
def test_every_process_returns_the_same_column(rank_results, world, metric):
    alone = np.array(rank_results[1][0]["scoring"][metric])
    assert alone.shape == (ROWS,)
    for result in rank_results[world]:
        np.testing.assert_allclose(result["scoring"][metric], alone, atol=1e-4)


def test_one_process_alone_finds_what_is_found_here(rank_results):
    given = arrays()
    scored = numbers(ROWS).score_with("el2n", inputs={"probs": given["probs"], "labels": given["labels"]})
    np.testing.assert_allclose(rank_results[1][0]["scoring"]["el2n"], scored["el2n"][:], atol=1e-6)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_unscored_rows_are_null_in_every_process(rank_results, world):
    """Row 5 is unreadable, row 7 has no direction, row 20 no label."""
    alone = rank_results[1][0]["scoring"]["skipped"]
    assert [row for row, score in enumerate(alone) if score is None] == [5, 7, 20]
    for result in rank_results[world]:
        found = result["scoring"]["skipped"]
        assert [row for row, score in enumerate(found) if score is None] == [5, 7, 20]
        np.testing.assert_allclose(np.array(found, float), np.array(alone, float), atol=1e-4)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_embeddings_that_stay_where_they_are_give_the_same_scores(rank_results, world):
    alone = rank_results[1][0]["scoring"]
    assert alone["in blocks"][1] == alone["skipped"]  # as from one array
    assert [row for row, score in enumerate(alone["in blocks"][0]) if score is None] == [5, 7]
    for result in rank_results[world]:
        np.testing.assert_allclose(
            np.array(result["scoring"]["in blocks"], float), np.array(alone["in blocks"], float), atol=1e-4
        )


@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_process_finds_recorded_rows_by_their_content(rank_results, world):
    expected = [None if row == 2 else -row for row in range(ROWS)][::-1]
    for found in rank_results[world]:
        assert found["scoring"]["recorded"] == expected


@pytest.mark.parametrize("world", [1, 2, 3])
def test_what_one_process_refuses_all_refuse(rank_results, world):
    for result in rank_results[world]:
        assert result["scoring"]["refused"].startswith("InputError: ")
        assert "give the softmax of the logits" in result["scoring"]["refused"]
        assert result["scoring"]["zero"].startswith("InputError: the embedding of row 1 is zero or not finite (1 such")
