"""What an accelerator must not change: run with ``pytest -m gpu`` on a machine that has one."""

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Image
from scipy.stats import spearmanr

import hf_prune
from hf_prune.metrics.kmeans import spherical_kmeans
from hf_prune.runtime.processes import use_device
from tests.helpers import tiny_models

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def images() -> Dataset:
    rows = {"image": tiny_models.images(500), "label": [row % 5 for row in range(500)]}
    return Dataset.from_dict(rows, features=Features({"image": Image(), "label": ClassLabel(num_classes=5)}))


def scores(images, encoder, **settings):
    run = hf_prune.Run(load_from_cache_file=False, **settings)
    scored = images.score_with("supervised_prototypes", encoder=encoder, run=run)
    return np.array(scored["supervised_prototypes"]), hf_prune.provenance(scored).steps[-1]


def test_there_is_an_accelerator():
    assert torch.accelerator.is_available()


@pytest.mark.parametrize("family", ["dinov2", "convnext", "resnet"])
def test_the_accelerator_gives_the_scores_of_the_cpu(images, family, tmp_path):
    encoder = tiny_models.save(tiny_models.build(tiny_models.config_of(family)), tmp_path)
    on_cpu, _ = scores(images, encoder, dtype="float32", device="cpu")
    on_accelerator, _ = scores(images, encoder, dtype="float32")
    np.testing.assert_allclose(on_accelerator, on_cpu, atol=1e-4)


def test_auto_is_bfloat16_where_the_hardware_has_it_and_ranks_as_float32_does(images, tmp_path):
    # Wide and scaled as trained models are: rounding errors average out over the width.
    config = tiny_models.config_of("dinov2", hidden_size=128, initializer_range=128**-0.5)
    encoder = tiny_models.save(tiny_models.build(config), tmp_path)
    narrow, step = scores(images, encoder, dtype="auto")
    wide, _ = scores(images, encoder, dtype="float32")
    wanted = "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    assert step.inputs["embeddings"]["encoder"]["dtype"] == wanted
    assert spearmanr(narrow, wide).statistic >= 0.999


@pytest.mark.parametrize("algorithm", ["lloyd", "hierarchical", "mini_batch"])
@pytest.mark.parametrize("fits", [True, False])
def test_clustering_is_the_same_on_both(monkeypatch, algorithm, fits):
    if not fits:  # then blocks are copied ahead
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (0, 0))
    rng = np.random.default_rng(0)
    points = rng.normal(size=(20_000, 64)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    found = []
    for device in (None, "cpu"):
        with use_device(device):
            clusters = spherical_kmeans(points, np.arange(len(points)), 50, num_iterations=20, algorithm=algorithm)
            found.append(clusters.distances)
    np.testing.assert_allclose(*found, atol=1e-4)
