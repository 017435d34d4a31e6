"""Rows measured by prototypes that were found before: which encoder and options are taken, and what is recorded."""

import numpy as np
import pytest
from datasets import Dataset

import hf_prune
from hf_prune import Prototypes
from hf_prune.data.digests import array_sha256
from hf_prune.data.history import provenance
from hf_prune.hub.verify.rebuild import rebuild
from tests.hub.models.test_prototypes import coloured

SETTINGS = {"num_prototypes": 3, "seed": 5}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def fitted(cache):
    """Found in all rows, while half of them are scored below: k-means would find others there."""
    return Prototypes.fit(coloured(), "pixels", **SETTINGS, run=hf_prune.Run(image_size=4, cache_dir=cache))


@pytest.fixture(scope="module")
def kept(fitted, tmp_path_factory):
    return fitted.save_pretrained(tmp_path_factory.mktemp("p") / "mine")


@pytest.fixture(scope="module")
def half():
    return coloured().select(range(12))


def test_rows_are_measured_by_the_prototypes_that_are_given(fitted, kept, half, cache):
    expected = fitted.score(half["image"][:])
    anew = half.score_with("prototypes", encoder="pixels", **SETTINGS, run=hf_prune.Run(image_size=4, cache_dir=cache))
    assert not np.allclose(anew["prototypes"][:], expected)
    for given in (fitted, kept, str(kept)):
        scored = half.score_with("prototypes", prototypes=given, run=hf_prune.Run(cache_dir=cache))
        assert (np.float32(scored["prototypes"][:]) == expected).all()


def test_the_history_names_them_and_what_they_were_fitted_with(fitted, kept, half, cache):
    digest = array_sha256(fitted.centroids)
    for given, place in ((fitted, None), (kept, "mine")):
        step = provenance(half.score_with("prototypes", prototypes=given, run=hf_prune.Run(cache_dir=cache))).steps[-1]
        assert step.inputs["centroids"] == {
            "prototypes": {"id": place, "commit": None, "centroids_sha256": digest},
        }
        assert step.inputs["embeddings"]["encoder"] == fitted.config["encoder"]
        assert (step.options, step.seed) == (
            {"num_prototypes": 3, "num_iterations": 100, "num_init": 1, "algorithm": "auto"},
            5,
        )


def test_the_encoder_and_the_options_have_to_be_theirs(kept, half):
    with pytest.raises(ValueError, match=r"is not the one that these prototypes were made by \(image_size"):
        half.score_with("prototypes", prototypes=kept, encoder="pixels", run=hf_prune.Run(image_size=2))
    with pytest.raises(ValueError, match="num_prototypes=4, but the prototypes have 3: leave it out"):
        half.score_with("prototypes", prototypes=kept, num_prototypes=4)
    scored = half.score_with("prototypes", prototypes=kept, num_prototypes=3, encoder="pixels")
    assert "prototypes" in scored.column_names


def test_what_cannot_be_prototypes_is_refused(half, fitted, tmp_path):
    with pytest.raises(ValueError, match="prototypes= is for the metric 'prototypes', not 'random': leave it out"):
        half.score_with("random", prototypes=fitted)
    with pytest.raises(TypeError, match="prototypes=3: give a Prototypes, or the folder or repository of one"):
        half.score_with("prototypes", prototypes=3)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"has no prototypes\.json"):
        half.score_with("prototypes", prototypes=tmp_path / "empty")


def test_arrays_can_be_measured_by_centroids_at_hand():
    ds = Dataset.from_dict({"x": range(3)})
    given = {"embeddings": np.eye(3), "centroids": np.array([[0.0, 1.0, 0.0], [0.6, 0.0, 0.8]])}
    scored = ds.score_with("prototypes", inputs=given)
    assert scored["prototypes"][:] == pytest.approx([0.4, 0.0, 0.2])
    step = provenance(scored).steps[-1]
    assert step.options["num_prototypes"] == 2
    assert step.inputs["centroids"] == {"given_sha256": array_sha256(given["centroids"])}
    with pytest.raises(ValueError, match=r"centroids of shape \(3,\) for embeddings of 3 dimensions: give \(k, 3\)"):
        ds.score_with("prototypes", inputs=given | {"centroids": np.ones(3)})


def test_a_rebuild_takes_the_same_prototypes(kept, fitted, half, cache, tmp_path):
    scored = half.score_with("prototypes", prototypes=kept, run=hf_prune.Run(cache_dir=cache))
    cut = scored.prune("prototypes", keep=6, order="hard")
    folder = hf_prune.export(cut, tmp_path / "out", source="local", scores=scored, what="scores")
    card = (folder / "README.md").read_text()
    assert "| Prototypes, found before | `mine`, SHA-256 `" in card
    assert str(tmp_path) not in card + (folder / "provenance.json").read_text()
    report = rebuild(folder, tmp_path / "a", source=half, rescore=True, exact=True, prototypes=kept)
    assert report.exit_code == 0, str(report)
    assert "'prototypes' made again with the recorded models and options" in str(report)
    assert "found anew" not in str(report)
    missing = rebuild(folder, tmp_path / "b", source=half, rescore=True)
    assert missing.exit_code == 2
    assert "was made with prototypes (mine) of the publisher's own: give it as well" in str(missing)
    others = Prototypes.fit(half, "pixels", **SETTINGS, run=hf_prune.Run(image_size=4, cache_dir=cache))
    differs = rebuild(folder, tmp_path / "c", source=half, rescore=True, prototypes=others)
    assert differs.exit_code == 1
    assert "made again with another prototypes than recorded" in str(differs)


def test_a_rebuild_says_where_prototypes_were_found_anew(half, cache, tmp_path):
    scored = half.score_with(
        "prototypes", encoder="pixels", **SETTINGS, run=hf_prune.Run(image_size=4, cache_dir=cache)
    )
    cut = scored.prune("prototypes", keep=6, order="hard")
    folder = hf_prune.export(cut, tmp_path / "out", source="local", scores=scored, what="scores")
    report = rebuild(folder, tmp_path / "again", source=half, rescore=True, exact=True)
    assert report.exit_code == 0, str(report)
    assert "the prototypes of 'prototypes' were found anew, since the record names none that are published" in str(
        report
    )
