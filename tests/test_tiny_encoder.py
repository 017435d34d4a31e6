"""The recipe of the encoder that the package brings along: its loss, its views, and a training that goes on where it was killed."""

import csv
import hashlib
import io
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Image
from PIL import Image as PILImage
from safetensors.torch import load_file

from hf_prune.models.load import load_encoder

RECIPE = Path(__file__).parents[1] / "recipes" / "tiny-encoder"
ASSETS = Path(__file__).parents[1] / "hf_prune" / "assets" / "tiny-encoder"
ROWS = 40


@pytest.fixture(scope="module")
def recipe():
    """The scripts, which import each other by their bare names; small enough for a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPE))
        import train

        sizes = {"PAIRS": 8, "ROUND": 2, "WATCHED": 1, "HELD_OUT": 10, "BANK": 20}
        for name, value in sizes.items():
            patch.setattr(train, name, value)
        yield train
        for name in ("train", "views", "knn"):
            sys.modules.pop(name)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """A Parquet file of noise in two brightnesses."""
    draw = np.random.default_rng(0)
    pixels = [draw.integers(0, 128, (32, 32, 3), dtype=np.uint8) + 127 * (row % 2) for row in range(ROWS)]
    images = [PILImage.fromarray(image.astype(np.uint8)) for image in pixels]
    features = Features({"img": Image(), "label": ClassLabel(num_classes=2)})
    file = tmp_path_factory.mktemp("tiny") / "rows.parquet"
    Dataset.from_dict({"img": images, "label": [row % 2 for row in range(ROWS)]}, features=features).to_parquet(file)
    return file


def table(folder, name="log.csv"):
    return list(csv.DictReader(io.StringIO((folder / name).read_text(encoding="utf-8"))))


def test_a_killed_training_goes_on_and_ends_as_an_uninterrupted_one(recipe, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(recipe.Training, "share", lambda self: self.done["round"] / 2)  # a clock that counts rounds
    recipe.train(rows, tmp_path / "whole", hours=1, seed=3)
    run_round = recipe.Training.run_round

    def killed_in_the_second(training, images):
        if training.done["round"] == 1:
            raise KeyboardInterrupt
        return run_round(training, images)

    with monkeypatch.context() as patch:
        patch.setattr(recipe.Training, "run_round", killed_in_the_second)
        with pytest.raises(KeyboardInterrupt):
            recipe.train(rows, tmp_path / "resumed", hours=1, seed=3)
    assert [line["round"] for line in table(tmp_path / "resumed")] == ["1"]
    recipe.train(rows, tmp_path / "resumed", hours=1, seed=3)
    logs = [table(tmp_path / name) for name in ("whole", "resumed")]
    named = ("round", "images", "loss", "knn_held_out")
    assert [[line[name] for name in named] for line in logs[0]] == [[line[name] for name in named] for line in logs[1]]
    weights = [load_file(tmp_path / name / "encoder" / "model.safetensors") for name in ("whole", "resumed")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert weights[0]["embedder.embedder.convolution.weight"].dtype == torch.float16
    assert load_encoder(tmp_path / "whole" / "encoder").identity["output"] == "pooled"


def test_the_contrast_is_the_cross_entropy_of_the_partner(recipe):
    projected = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    unit = (projected / projected.norm(dim=1, keepdim=True)).numpy()
    expected = []
    for view in range(6):
        partner, others = (view + 3) % 6, [other for other in range(6) if other != view]
        cosines = {other: np.exp(unit[view] @ unit[other] / recipe.TEMPERATURE) for other in others}
        expected.append(-np.log(cosines[partner] / sum(cosines.values())))
    assert float(recipe.contrast(projected)) == pytest.approx(np.mean(expected))


def test_views_of_one_grey_are_one_grey_and_views_of_a_picture_differ(recipe):
    torch.manual_seed(0)
    grey = recipe.random_views(torch.full((64, 3, 32, 32), 90, dtype=torch.uint8), 24)
    assert grey.shape == (64, 3, 24, 24)
    torch.testing.assert_close(grey, grey[:, :1, :1, :1].expand_as(grey), atol=5e-3, rtol=0)  # YIQ has three digits
    picture = torch.arange(32, dtype=torch.uint8).mul(8).expand(64, 3, 32, 32)
    views = recipe.random_views(picture, 32)
    assert views.abs().max() <= 1
    mirrored = views[:, 0, 0, 0] > views[:, 0, 0, -1]
    assert 16 < int(mirrored.sum()) < 48
    assert len({round(float(view.mean()), 4) for view in views}) > 50


def test_neighbours_vote_by_their_cosine(recipe):
    angles = torch.tensor([0.0, *np.linspace(0.9, 1.0, 19)])
    bank = torch.stack([angles.cos(), angles.sin()], 1) * 5  # lengths do not count
    labels = torch.tensor([1, *[0] * 19])
    queries = torch.tensor([[1.0, 0.0], [np.cos(0.95), np.sin(0.95)]])
    # One neighbour at cosine 1 has exp(1 / 0.07) votes, 19 at about 0.58 each have 1 / 400 of that.
    assert recipe.knn_accuracy(bank, labels, queries, torch.tensor([1, 0])) == 1.0
    assert recipe.knn_accuracy(bank, labels, queries, torch.tensor([0, 0])) == 0.5


@pytest.mark.parametrize("page", [ASSETS / "README.md", RECIPE / "README.md"], ids=["card", "recipe"])
def test_the_numbers_of_the_pages_are_those_of_the_tables_and_of_these_weights(page):
    text = page.read_text(encoding="utf-8")
    rows = table(RECIPE, "results.csv")
    for row in rows:
        known = [f"{int(row['train_rows']):,}", *(f"{100 * float(row[name]):.1f}" for name in ("knn", "linear"))]
        assert f"| {' | '.join(known)} |" in text
    last = table(RECIPE)[-1]
    assert all(f"{int(last[name]):,}" in text for name in ("images", "cpu_seconds"))
    digest = hashlib.sha256((ASSETS / "model.safetensors").read_bytes()).hexdigest()
    assert {row["weights_sha256"] for row in rows if row["encoder"] == "tiny"} == {digest}
