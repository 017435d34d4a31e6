"""Prototypes of a stream that is longer than the sample they are found on."""

import numpy as np

import hf_prune
from hf_prune.streams import prototypes
from tests.helpers.stream_jobs import IN_MEMORY, pixels
from tests.helpers.stream_sets import column, in_memory, parquet_stream, small_blocks  # noqa: F401  # a fixture for every test here


def test_prototypes_of_a_sample_are_near_those_of_all_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(prototypes, "SAMPLE_ROWS", 30)
    stream = parquet_stream(tmp_path / "rows")
    options = pixels(tmp_path / "cache") | {"num_prototypes": 1}
    scored = stream.score_with("prototypes", **options)
    expected = in_memory(stream).score_with("prototypes", **IN_MEMORY | {"num_prototypes": 1})
    assert hf_prune.provenance(scored).steps[0].figures == {"sample_rows": 30.0}
    assert np.corrcoef(column(scored), expected["prototypes"][:])[0, 1] > 0.85
