"""Prototypes that are fitted to images, or found again for a column of scores."""

import numpy as np
import pytest
from datasets import Dataset

from hf_prune import Prototypes, Run, provenance
from hf_prune.data.digests import array_sha256
from hf_prune.scoring import Request
from hf_prune.scoring.prototypes import fit_as_scored, fit_prototypes
from tests.helpers.metric_cases import unit
from tests.helpers.metric_inputs import RUN, pixels, shown
from tests.helpers.tiny_sets import encode, make_set, noise

ROWS = 12


@pytest.fixture(scope="module")
def scored() -> Dataset:
    options = {"num_prototypes": 3, "seed": 5, "evidence": False}
    return make_set(noise(ROWS)).score_with("prototypes", encoder="pixels", run=Run(image_size=4), **options)


def grey(value: int) -> bytes:
    return encode(np.full((4, 4, 3), value, np.uint8))


def test_one_prototype_is_the_mean_direction():
    encoded = [*noise(4), b"broken"]
    request = Request(encoder=pixels, run=RUN, on_error="skip")
    centroids, config, scores = fit_prototypes(make_set(encoded), request, {"num_prototypes": 1})
    rows = unit(shown(noise(4)))
    expected = unit(rows.mean(axis=0, keepdims=True))
    np.testing.assert_allclose(centroids, expected, atol=1e-6)
    np.testing.assert_allclose(scores.compressed(), 1 - rows @ expected[0], atol=1e-6)
    assert np.ma.getmaskarray(scores).tolist() == [False] * 4 + [True]
    assert config["centroids_sha256"] == array_sha256(centroids)
    assert (config["rows"], config["image_column"], config["options"]["num_prototypes"]) == (4, "image", 1)
    assert config["options"]["seed"] == 0
    assert config["encoder"]["kind"] == "callable"


def test_more_prototypes_than_rows_are_refused():
    with pytest.raises(ValueError, match=r"^num_prototypes=3 of 2 rows; give a count in \[1, 2\]$"):
        fit_prototypes(make_set(noise(2)), Request(encoder=pixels, run=RUN), {"num_prototypes": 3})


def test_those_of_a_column_are_found_again(scored):
    (centroids, config, scores), encoder = fit_as_scored(scored, "prototypes", None, None, RUN)
    assert encoder == "pixels"
    assert np.float32(scores.tolist()).tolist() == scored["prototypes"][:]
    assert config["options"] == {
        "num_prototypes": 3,
        "num_iterations": 100,
        "num_init": 1,
        "algorithm": "auto",
        "seed": 5,
    }
    step = provenance(scored).steps[-1]
    assert config["encoder"] == step.inputs["embeddings"]["encoder"]
    assert centroids.shape == (3, 48)


@pytest.mark.parametrize("setting", [{"dtype": "float32"}, {"image_size": 4}, {"revision": "main"}])
def test_how_the_encoder_is_opened_is_in_the_history(scored, setting):
    with pytest.raises(ValueError, match=r"^the history says how the encoder is opened: leave dtype, .* out of run=$"):
        fit_as_scored(scored, "prototypes", None, None, Run(**setting))


def test_other_columns_and_other_rows_are_refused(scored):
    random = make_set(noise(ROWS)).score_with("random")
    with pytest.raises(ValueError, match="column 'random' was not made by score_with"):
        Prototypes.from_scored(random, "random")
    given = make_set(noise(2)).score_with("prototypes", inputs={"embeddings": np.eye(2)}, num_prototypes=1)
    with pytest.raises(
        ValueError, match=r"not made by score_with\('prototypes', encoder=\.\.\.\): use Prototypes\.fit"
    ):
        fit_as_scored(given, "prototypes", None, None, RUN)
    turned = scored.select(range(ROWS - 1, -1, -1))
    assert provenance(turned).steps
    with pytest.raises(ValueError, match="the scores of column 'prototypes' differ by up to"):
        Prototypes.from_scored(turned, run=RUN)


def test_scores_that_are_null_in_other_rows_are_refused():
    encoded = [*noise(5), b"broken"]
    ds = make_set(encoded).score_with(
        "prototypes", encoder="pixels", on_error="skip", num_prototypes=2, run=Run(image_size=4)
    )
    values = ds["prototypes"][:]
    assert [value is None for value in values] == [False] * 5 + [True]
    found = fit_as_scored(ds, "prototypes", None, None, RUN)[0][2]
    assert found.tolist() == pytest.approx(values, abs=1e-6)
    other = ds.remove_columns("prototypes").add_column("prototypes", values[::-1])
    with pytest.raises(
        ValueError, match=r"^the scores of column 'prototypes' are null in other rows from those of the"
    ):
        fit_as_scored(other, "prototypes", None, None, RUN)


def test_prototypes_are_not_found_again_from_scores_that_were_made_by_some(scored, tmp_path):
    kept = Prototypes.from_scored(scored, run=RUN).save_pretrained(tmp_path / "mine")
    half = make_set(noise(ROWS)).select(range(6)).score_with("prototypes", prototypes=kept, run=RUN)
    with pytest.raises(ValueError, match=r"prototypes that were there before \(mine\): open those with"):
        Prototypes.from_scored(half, run=RUN)
