import numpy as np
import pytest

from hf_prune.engine.image_keys import image_keys
from hf_prune.engine.store import Store
from hf_prune.reports import embedding_map
from hf_prune.reports.embedding_map import make_map
from hf_prune.reports.rows import read_rows
from hf_prune.scoring import Request, Run
from tests.helpers.card_records import with_score
from tests.helpers.report_sets import ROWS, scored_set
from tests.helpers.tiny_publications import images

POINTS = np.random.default_rng(0).normal(size=(ROWS, 5)) * [9, 4, 1, 1, 1]


def rows_of():
    return read_rows(scored_set())


def test_the_plane_is_that_of_the_two_leading_components():
    found = make_map(rows_of(), Request(inputs={"embeddings": POINTS}))
    centred = POINTS - POINTS.mean(axis=0)
    _, values, directions = np.linalg.svd(centred, full_matrices=False)
    reference = centred @ directions[:2].T
    for axis in range(2):
        assert abs(np.corrcoef(found.places[:, axis], reference[:, axis])[0, 1]) == pytest.approx(1, abs=1e-6)
    assert found.explained == pytest.approx((values[:2] ** 2).sum() / (values**2).sum(), abs=1e-6)
    assert (found.places.min(), found.places.max()) == (0, 1)


def test_many_rows_are_sampled_and_rows_without_an_embedding_left_out(monkeypatch):
    monkeypatch.setattr(embedding_map, "MAX_POINTS", 20)
    points = POINTS.copy()
    points[:30] = np.nan
    found = make_map(rows_of(), Request(inputs={"embeddings": points}))
    assert 3 <= len(found.rows) < 20
    assert found.rows.min() >= 30
    assert (np.diff(found.rows) > 0).all()


def test_an_encoder_runs_over_the_sample_alone(monkeypatch):
    monkeypatch.setattr(embedding_map, "MAX_POINTS", 10)
    seen = []

    def encode(batch):
        seen.extend(batch)
        return np.stack([np.asarray(image, np.float32).ravel() for image in batch])

    found = make_map(rows_of(), Request(encoder=encode, run=Run(load_from_cache_file=False)))
    assert len(found.rows) == 10
    assert len(seen) == 10


def test_embeddings_that_scoring_left_are_found_without_the_model(tmp_path):
    encoder = {"kind": "transformers", "id": "nowhere/to-be-found", "commit": "c" * 40}
    inputs = {"embeddings": {"encoder": encoder}}
    ds = with_score(images(ROWS), "prototypes", list(map(float, range(ROWS))), inputs=inputs)
    rows = read_rows(ds)
    request = Request(run=Run(cache_dir=tmp_path))
    assert make_map(rows, request) is None
    keys, _ = image_keys(rows.images)
    Store(tmp_path, encoder).append(keys[:50], POINTS[:50].astype(np.float32))
    found = make_map(rows, request)
    assert found.rows.tolist() == list(range(50))


def test_arrays_of_other_rows_are_refused():
    with pytest.raises(ValueError, match=r"inputs\['embeddings'\] has shape \(3, 5\)"):
        make_map(rows_of(), Request(inputs={"embeddings": POINTS[:3]}))
    with pytest.raises(ValueError, match=r"^embeddings of shape \(60,\); give one vector per row, shape \(n, d\)$"):
        make_map(rows_of(), Request(inputs={"embeddings": POINTS[:, 0]}))
