"""Prototypes as a thing of their own: the scores of the column, on new rows, in streams, kept and opened again."""

import json
import pickle

import numpy as np
import PIL.Image
import pytest
from datasets import Dataset, Features, Image
from huggingface_hub import ModelCard

from hf_prune import Prototypes, Run
from hf_prune.hub.models import prototypes
from hf_prune.runtime.integrity import sealed, unsealed
from tests.helpers.tiny_models import build, config_of, save
from tests.helpers.tiny_publications import contents


def coloured(rows: int = 24) -> Dataset:
    noise = np.random.default_rng(0).integers(0, 255, (rows, 8, 8, 3), dtype=np.uint8)
    features = Features({"image": Image()})
    return Dataset.from_dict(
        {"image": [PIL.Image.fromarray(image) for image in noise]}, features=features, split="train"
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def scored(cache):
    return coloured().score_with(
        "prototypes", encoder="pixels", run=Run(image_size=4, cache_dir=cache), num_prototypes=3, seed=5
    )


@pytest.fixture(scope="module")
def fitted(scored, cache):
    return Prototypes.from_scored(scored, run=Run(cache_dir=cache))


def column(ds):
    return np.float32(ds["prototypes"][:])


def test_scores_of_the_fitted_rows_are_those_of_the_column(scored, fitted, cache):
    assert (fitted.score(scored["image"][:]) == column(scored)).all()
    again = Prototypes.fit(coloured(), "pixels", run=Run(image_size=4, cache_dir=cache), num_prototypes=3, seed=5)
    assert (again.centroids == fitted.centroids).all()
    assert again.config == fitted.config
    assert fitted.config["options"] == {
        "num_prototypes": 3,
        "num_iterations": 100,
        "num_init": 1,
        "algorithm": "auto",
        "seed": 5,
    }


def test_prototypes_of_rounded_embeddings_round_those_of_new_rows(tmp_path, cache):
    run = Run(image_size=4, cache_dir=cache, embedding_dtype="bfloat16")
    ds = coloured().score_with("prototypes", encoder="pixels", run=run, num_prototypes=3, seed=5)
    found = Prototypes.from_scored(ds, run=Run(cache_dir=cache))
    assert found.config["encoder"]["embedding_dtype"] == "bfloat16"
    opened = Prototypes.from_pretrained(found.save_pretrained(tmp_path / "prototypes"))
    assert (opened.score(ds["image"][:]) == column(ds)).all()
    again = coloured().score_with("prototypes", prototypes=tmp_path / "prototypes", run=Run(cache_dir=cache))
    assert (column(again) == column(ds)).all()
    other = Run(cache_dir=cache, embedding_dtype="float16")
    with pytest.raises(
        ValueError, match=r"is not the one that these prototypes were made by \(embedding_dtype differ"
    ):
        coloured().score_with("prototypes", prototypes=tmp_path / "prototypes", run=other)


@pytest.mark.parametrize("batch_size", [1, 7, 24])
def test_data_sets_and_streams_are_scored_in_batches(scored, fitted, batch_size):
    mapped = coloured().map(fitted, batched=True, batch_size=batch_size)
    assert mapped.features["prototypes"].dtype == "float32"
    assert (column(mapped) == column(scored)).all()
    stream = coloured().to_iterable_dataset().map(fitted, batched=True, batch_size=batch_size)
    assert [np.float32(row["prototypes"]) for row in stream] == column(scored).tolist()


def test_a_column_that_is_not_decoded_is_decoded_here(scored, fitted):
    stored = coloured().cast_column("image", Image(decode=False))
    assert (column(stored.map(fitted, batched=True, batch_size=7)) == column(scored)).all()
    for image, message in (
        ({"bytes": b"junk", "path": None}, "^the image in row 1 of the batch cannot be read .*cannot identify"),
        ("cat.png", "^row 1 of the batch holds str, no image: use ds.cast_column"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            fitted({"image": [coloured(1)["image"][0], image]})
        assert "\n" not in str(caught.value)


def test_new_rows_are_scored_by_hand(fitted):
    image = PIL.Image.new("L", (8, 8), 200)
    pixels = np.full(48, 200 / 255)
    expected = 1 - (fitted.centroids @ (pixels / np.linalg.norm(pixels))).max()
    assert fitted.score([image]) == pytest.approx([expected], abs=1e-6)
    assert fitted({"image": [image, None]})["prototypes"] == [pytest.approx(expected, abs=1e-6), None]
    assert fitted.score([]).shape == (0,)


def test_what_is_kept_is_what_is_opened(fitted, scored, tmp_path):
    folder = fitted.save_pretrained(tmp_path / "kept")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "prototypes.json", "prototypes.safetensors"]
    opened = Prototypes.from_pretrained(folder)
    assert opened.config == fitted.config
    assert (opened.score(scored["image"][:]) == column(scored)).all()
    assert (pickle.loads(pickle.dumps(opened)).score(scored["image"][:]) == column(scored)).all()
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "hf_prune"
    assert str(card) == (folder / "README.md").read_text()
    assert "found by k-means on 24 rows" in card.text


def test_words_on_the_card_stay_and_a_failure_leaves_the_former(fitted, tmp_path, monkeypatch):
    folder = fitted.save_pretrained(tmp_path / "kept")
    (folder / "README.md").write_text((folder / "README.md").read_text() + "\nMy own words.\n")
    before = contents(folder)
    fitted.save_pretrained(folder)
    assert contents(folder) == before
    monkeypatch.setattr(prototypes, "prototypes_card", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Prototypes(fitted.centroids[:1], fitted.config).save_pretrained(folder)
    assert contents(folder) == before


def test_an_encoder_of_ones_own_has_to_be_given_and_to_be_the_same(tmp_path):
    mine, other = str(tmp_path / "mine"), str(tmp_path / "other")
    save(build(config_of("vit")), mine)
    save(build(config_of("vit"), seed=1), other)
    ds = coloured().score_with("prototypes", encoder=mine, num_prototypes=2, run=Run(load_from_cache_file=False))
    found = Prototypes.from_scored(ds, encoder=mine, run=Run(load_from_cache_file=False))
    assert found.score(ds["image"][:]) == pytest.approx(column(ds), abs=1e-6)
    folder = found.save_pretrained(tmp_path / "kept")
    assert Prototypes.from_pretrained(folder, encoder=mine).score(ds["image"][:]) == pytest.approx(
        column(ds), abs=1e-6
    )
    with pytest.raises(ValueError, match="is none of the Hub: pass encoder="):
        Prototypes.from_pretrained(folder).score(ds["image"][:1])
    with pytest.raises(
        ValueError, match=r"is not the one that these prototypes were made by \(weights_sha256 differ\)"
    ):
        Prototypes.from_pretrained(folder, encoder=other).score(ds["image"][:1])
    assert "encoder=..." in (folder / "README.md").read_text()


def test_a_call_without_a_batch_says_what_to_do(fitted):
    with pytest.raises(
        ValueError, match=r"no list of images 'image' in \['x'\]: call map\(prototypes, batched=True\)"
    ):
        fitted({"x": [1]})
    with pytest.raises(ValueError, match="batched=True"):
        fitted({"image": PIL.Image.new("L", (2, 2))})


def test_damaged_files_are_named(fitted, tmp_path):
    folder = fitted.save_pretrained(tmp_path / "kept")
    text = (folder / "prototypes.json").read_text()
    config = unsealed(text.encode())
    (folder / "prototypes.json").write_text(json.dumps(config))  # as earlier versions wrote it, without a digest
    assert Prototypes.from_pretrained(folder).config == config
    for changed, message in (
        (sealed(config | {"format": 9}), "format 9"),
        (sealed(config | {"centroids_sha256": "0"}), "not those of their digest"),
        (
            text.replace('"num_iterations": ', '"num_iterations": 1').encode(),
            "it is not what was written: its digest differs",
        ),
    ):
        (folder / "prototypes.json").write_bytes(changed)
        with pytest.raises(ValueError, match=message):
            Prototypes.from_pretrained(folder)
    (folder / "prototypes.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no prototypes.json: give a folder that save_pretrained wrote"):
        Prototypes.from_pretrained(folder)
