"""Evidence that ``order="auto"`` gathers by the model that a column was scored with, as the history names it."""

import re

import numpy as np
import pytest
import torch
from datasets import ClassLabel

import hf_prune
from hf_prune import Run
from hf_prune.data.history import Step, provenance, record
from hf_prune.hub.verify.rebuild import rebuild
from hf_prune.hub.verify.verify import verify
from hf_prune.models.loaded_model import LoadedModel
from hf_prune.policy import Evidence, gathering
from tests.helpers.tiny_sets import make_set, noise
from tests.helpers.weighed_sets import hasty_trials, short_trials  # noqa: F401  # a fixture for every test here

ROWS = 240
NOT_KEPT = Run(load_from_cache_file=False)
SMALL = Run(image_size=4, load_from_cache_file=False)
pytestmark = pytest.mark.filterwarnings("ignore:order='auto'")  # noise, of which nothing is to be gained


def labelled(rows=ROWS):
    return make_set(noise(rows)).add_column("label", [0, 1] * (rows // 2), feature=ClassLabel(num_classes=2))


def last(ds):
    return provenance(ds).steps[-1]


def pixels(batch) -> np.ndarray:
    return np.stack([np.asarray(image, np.float32).ravel() for image in batch])


def tensor_of(image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image, np.float32).ravel() / 255)


def untouched(monkeypatch):
    """Let no model be opened from here on."""

    def opened(*_):
        raise AssertionError("a model was opened although its results are kept")

    monkeypatch.setattr(LoadedModel, "open", opened)


@pytest.fixture
def weighed(monkeypatch):
    """What is put together to be weighed, which takes seconds, and is left out."""
    found = []
    evidence = Evidence("s", "a head", ROWS, 5.0, None, optimistic=False, class_balance=0.5, seed=0, keeps=())
    monkeypatch.setattr(gathering, "weigh", lambda scored, *_, **__: found.append(scored) or evidence)
    monkeypatch.setattr(gathering, "judge_of", lambda *_, **__: None)
    monkeypatch.setattr(gathering, "weigh_with", lambda _, scored, *__: found.append(scored) or evidence)
    return found


@pytest.fixture(scope="module")
def by_pixels():
    return labelled().score_with("prototypes", encoder="pixels", run=SMALL, num_prototypes=4, evidence=False)


def units(values) -> np.ndarray:
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_the_recorded_encoder_is_asked_and_the_cut_needs_it_no_more(by_pixels, tmp_path, monkeypatch):
    kept = by_pixels.prune("prototypes", keep=0.5, seed=2, run=NOT_KEPT)
    evidence = Evidence.from_dict(last(kept).evidence)
    assert (evidence.metric, evidence.num_rows, evidence.optimistic) == ("prototypes", ROWS, False)
    assert last(kept).order == evidence.rule(0.5).order
    assert last(kept).inputs == {}  # the step that scored names the encoder
    untouched(monkeypatch)
    folder = hf_prune.export(kept, tmp_path / "out", source="local", scores=by_pixels, what="scores")
    assert verify(folder).exit_code == 0
    report = rebuild(folder, tmp_path / "again", source=labelled())
    assert report.exit_code == 0, str(report)
    assert "pruned by 'prototypes' again with the recorded settings" in str(report)


def test_heads_and_combinations_lead_to_the_encoder_that_they_stand_on(by_pixels, weighed):
    heads = hf_prune.Heads(num_heads=2, num_epochs=1)
    ds = by_pixels.score_with("el2n", encoder="pixels", teachers=heads, run=SMALL, evidence=False)
    kept = hf_prune.combine(ds, ["el2n", "prototypes"], how="rank_max").prune("rank_max", keep=0.5, run=NOT_KEPT)
    ds.prune("el2n", keep=0.5, run=NOT_KEPT)
    expected = units(pixels(ds["image"][:]))
    for scored in weighed:
        np.testing.assert_allclose(scored.embeddings, expected, atol=1e-6)
    assert [scored.is_refitted for scored in weighed] == [False, True]
    assert last(kept).evidence["num_rows"] == ROWS


def test_results_of_a_model_of_the_users_own_are_read_where_they_are_kept(tmp_path, monkeypatch, weighed):
    run = Run(cache_dir=tmp_path)
    scored = labelled().score_with("prototypes", encoder=pixels, run=run, num_prototypes=4, evidence=False)
    untouched(monkeypatch)
    kept = scored.prune("prototypes", keep=0.5, run=run)
    np.testing.assert_allclose(weighed.pop().embeddings, units(pixels(scored["image"][:])), atol=1e-6)
    assert last(kept).evidence["num_rows"] == ROWS
    monkeypatch.undo()
    with pytest.warns(UserWarning, match="order='auto': there is no evidence on 'prototypes'; by 120 rows") as caught:
        general = scored.prune("prototypes", keep=0.5, run=NOT_KEPT)
    [said] = [str(warning.message) for warning in caught]
    assert "could not be gathered (InputError: 'pixels' is none of the Hub, and its results are not all in" in said
    assert said.endswith("pass encoder= or inputs={'embeddings': array} to have the rules judged on these rows")
    assert last(general).evidence is None
    assert "gathered" not in last(general).decided  # reasons may name folders, which no record does


def test_features_of_teachers_serve_after_rows_are_gone(tmp_path, monkeypatch, weighed):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(48, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2))
    run = Run(cache_dir=tmp_path, dtype="float32")
    scored = labelled(300).score_with("el2n", teachers=[(layers, tensor_of)] * 2, run=run)
    assert last(scored).evidence["num_rows"] == ROWS
    untouched(monkeypatch)
    left = scored.prune("el2n", keep=220, order="random")
    left.prune("el2n", keep=0.5, run=run)
    with torch.inference_mode():
        features = layers[:2](torch.stack([tensor_of(image) for image in left["image"][:]])).numpy()
    np.testing.assert_allclose(weighed[-1].embeddings, units(features), atol=1e-6)
    few = scored.prune("el2n", keep=180, order="random")
    with pytest.warns(UserWarning, match="rows per class and keep 0.5, [a-z]+ rows are kept$"):
        few.prune("el2n", keep=0.5, run=run)  # too few to judge by, whatever is passed


def test_teachers_without_features_are_said_to_have_none(tmp_path):
    run = Run(cache_dir=tmp_path)
    scored = labelled().score_with("el2n", teachers=lambda batch: pixels(batch)[:, :2], run=run)
    with pytest.warns(UserWarning, match="<lambda>. has no linear layer last, whose inputs could be read"):
        scored.prune("el2n", keep=0.5, run=run)


@pytest.mark.parametrize("inputs", [{"encoder": {"id": 3}}, {"encoder": "x"}, {"teachers": 5}, "y"])
def test_a_record_that_cannot_be_read_is_no_obstacle(inputs):
    ds = labelled()
    step = Step("score", "s", "s", inputs={"embeddings": inputs})
    ds = record(ds, ds.add_column("s", np.arange(float(ROWS))), step)
    with pytest.warns(UserWarning, match=re.escape("it could not be gathered (")):
        assert len(ds.prune("s", keep=0.5)) == ROWS // 2


def test_a_column_of_no_model_says_what_to_pass():
    ds = labelled().add_column("s", np.arange(float(ROWS)))
    with pytest.warns(UserWarning, match=r"no model is on record for it: pass encoder= or inputs="):
        ds.prune("s", keep=0.5)
