"""What an accelerator must not change: run with ``pytest -m gpu`` on a machine that has one."""

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, Image
from scipy.stats import spearmanr

import hf_prune
from hf_prune.clustering import spherical_kmeans
from hf_prune.collectives import use_device
from tests import tiny_models

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def images() -> Dataset:
    return Dataset.from_dict({"image": tiny_models.images(500)}, features=Features({"image": Image()}))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> str:
    model = tiny_models.build(tiny_models.config_of("dinov2"))
    return tiny_models.save(model, tmp_path_factory.mktemp("dinov2"))


def scores(images, encoder, **options):
    scored = images.score_with("prototypes", encoder=encoder, num_prototypes=8, load_from_cache_file=False, **options)
    return np.array(scored["prototypes"]), hf_prune.provenance(scored).steps[-1]


def test_there_is_an_accelerator():
    assert torch.accelerator.is_available()


def test_the_accelerator_gives_the_scores_of_the_cpu(images, encoder):
    on_cpu, _ = scores(images, encoder, dtype="float32", device="cpu")
    on_accelerator, _ = scores(images, encoder, dtype="float32")
    np.testing.assert_allclose(on_accelerator, on_cpu, atol=1e-4)


def test_auto_is_bfloat16_where_the_hardware_has_it_and_ranks_as_float32_does(images, encoder):
    narrow, step = scores(images, encoder, dtype="auto")
    wide, _ = scores(images, encoder, dtype="float32")
    wanted = "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    assert step.inputs["embeddings"]["encoder"]["dtype"] == wanted
    assert spearmanr(narrow, wide).statistic >= 0.99


def test_clustering_is_the_same_on_both():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(20_000, 64)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    found = []
    for device in (None, "cpu"):
        with use_device(device):
            found.append(spherical_kmeans(points, np.arange(len(points)), 50, num_iterations=20).distances)
    np.testing.assert_allclose(*found, atol=1e-4)
