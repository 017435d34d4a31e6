import numpy as np
import pytest
from datasets import Dataset, DatasetDict, Features, Image, Value

import hf_prune
from hf_prune import leaks, provenance
from tests.cleaning.test_pixels import drawing, saved


def split(images, start=0):
    features = Features({"image": Image(), "number": Value("int64")})
    return Dataset.from_dict({"image": images, "number": range(start, start + len(images))}, features=features)


@pytest.fixture(scope="module")
def splits():
    """Of training rows, test has 1 anew and 2 as it is, validation has 2, too, and shares a row with test."""
    own = [saved(drawing(seed)) for seed in range(8)]
    train = split(own[:4])
    validation = split([own[2], saved(drawing(9))], 10)
    test = split([own[5], saved(drawing(1), 60), own[2], saved(drawing(9), 50)], 20)
    return DatasetDict({"train": train, "validation": validation, "test": test})


def test_rows_of_two_splits_that_show_the_same(splits):
    found = leaks(splits)
    assert [leak[:5] for leak in found.pairs] == [
        ("train", 1, "test", 1, "pixels"),
        ("train", 2, "validation", 0, "bytes"),
        ("train", 2, "test", 2, "bytes"),
        ("validation", 0, "test", 2, "bytes"),
        ("validation", 1, "test", 3, "pixels"),
    ]
    assert [leak.distance == 0 for leak in found.pairs] == [False, True, True, True, False]
    assert {name: rows.tolist() for name, rows in found.rows.items()} == {
        "train": [1, 2],
        "validation": [0, 1],
        "test": [1, 2, 3],
    }
    assert [leak[:4] for leak in leaks(splits, splits=["test", "train"]).pairs] == [
        ("train", 1, "test", 1),
        ("train", 2, "test", 2),
    ]


def test_the_splits_without_them(splits):
    found = leaks(splits)
    cleaned = found.cleaned()
    assert {name: ds["number"][:] for name, ds in cleaned.items()} == {
        "train": [0, 3],
        "validation": [],
        "test": [20, 21, 22, 23],
    }
    assert not leaks(DatasetDict({name: cleaned[name] for name in ("train", "test")})).pairs
    step = provenance(cleaned["train"]).steps[-1]
    assert (step.kind, step.metric, step.rows_in, step.rows_out) == ("clean", "leaks", 4, 2)
    assert step.options == {"kinds": ["bytes", "pixels"], "splits": ["test", "validation"]}
    assert step.figures == {"bytes": 1, "pixels": 1}
    assert provenance(cleaned["train"]).source_rows().tolist() == [0, 3]
    assert not provenance(cleaned["train"]).changed_since(cleaned["train"])
    assert provenance(cleaned["test"]).steps == ()
    assert found.cleaned("test")["test"]["number"][:] == [20]
    assert found.cleaned("test")["train"]["number"][:] == [0, 1, 3]  # what validation has, too
    with pytest.raises(ValueError, match="drop_from=: unknown split 'exam'"):
        found.cleaned("exam")


def test_scores_are_kept_and_later_steps_follow(splits):
    scored = hf_prune.score_with(splits["train"], "random")
    cleaned = leaks(DatasetDict({"train": scored, "test": splits["test"]})).cleaned()["train"]
    kept = cleaned.prune("random", keep=1, order="hard")
    history = provenance(kept)
    assert [step.kind for step in history.steps] == ["score", "clean", "prune"]
    assert history.is_chain
    assert history.made_by(kept, "random") is not None
    assert kept["number"][:] == [splits["train"]["number"][int(history.source_rows()[0])]]
    assert "clean by leaks: 2 of 4 rows" in repr(history)


def test_a_cleaned_split_is_published_and_made_again(splits, tmp_path):
    ds = splits["train"].add_column("s", [0.3, 0.1, 0.2, 0.4])
    cleaned = leaks(DatasetDict({"train": ds, "test": splits["test"]})).cleaned()["train"]
    folder = hf_prune.export(cleaned.prune("s", keep=1, order="hard"), tmp_path / "a", source="local", scores=cleaned)
    assert hf_prune.verify(folder).exit_code == 0
    card = (folder / "README.md").read_text()
    assert "rows removed that another split holds, too" in card
    assert '# 2 rows that split "test" holds, too, were removed here by hf_prune.leaks(splits).cleaned()' in card
    assert "cleaned by leaks, 2 of 4 rows kept" in (folder / "croissant.json").read_text()
    report = hf_prune.rebuild(folder, tmp_path / "b", source=ds)
    assert report.exit_code == 0
    assert "the row numbers of the cleaning by 'leaks' are those of the record" in str(report)
    alone = hf_prune.export(cleaned, tmp_path / "c", source="local")
    assert hf_prune.verify(alone).exit_code == 0
    assert "Rows that another split holds, too, were removed, of 4." in (alone / "README.md").read_text()


def test_embeddings_find_the_most_similar_row_of_each_side():
    ds = DatasetDict({name: Dataset.from_dict({"x": range(rows)}) for name, rows in (("train", 3), ("test", 2))})
    points = {"train": np.array([[1, 0], [1, 0.1], [0, 1]]), "test": np.array([[1, 0.01], [-1, 0.0]])}
    found = leaks(ds, 0.9, inputs={"embeddings": points})
    assert [(leak.row, leak.other_row, leak.kind) for leak in found.pairs] == [
        (0, 0, "embeddings"),
        (1, 0, "embeddings"),
    ]
    cosine = 1 / np.sqrt(1 + 0.01**2)
    assert found.pairs[0].distance == pytest.approx(1 - cosine, abs=1e-6)
    assert found.cleaned()["train"]["x"][:] == [2]
    assert provenance(found.cleaned()["train"]).steps[0].options["threshold"] == 0.9


def test_what_is_printed_shown_and_written(splits, tmp_path):
    found = leaks(splits)
    assert repr(found) == (
        "Leaks(5 pairs of rows of two splits show the same: 2 of 4 of train, 2 of 2 of validation, 3 of 4 of test)"
    )
    assert "  train and test, by pixels: 1 pairs" in str(found).splitlines()
    page = found._repr_html_()
    assert page.count("<img") == 8
    assert "<script" not in page
    lines = found.write_csv(tmp_path / "leaks.csv").read_text().splitlines()
    assert lines[0] == "split,row,other_split,other_row,kind,distance"
    assert lines[2] == "train,2,validation,0,bytes,0.0000"
    none = leaks(DatasetDict({"train": splits["train"].select([0]), "test": splits["test"].select([0])}))
    assert repr(none) == "Leaks(no row of train and test is in two splits, by bytes and pixels)"


def test_rows_that_cannot_be_read(splits):
    broken = split([{"bytes": b"no image", "path": None}, saved(drawing(0))])
    ds = DatasetDict({"train": splits["train"], "test": broken})
    with pytest.raises(ValueError, match="row 4: the image in column 'image' cannot be read"):
        leaks(ds)
    found = leaks(ds, on_error="skip")
    assert {name: sorted(rows) for name, rows in found.unscored.items()} == {"test": [0]}
    assert [leak[:4] for leak in found.pairs] == [("train", 0, "test", 1)]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"splits": ["train"]}, ValueError, r"splits=\['train'\]; give two splits or more"),
        ({"splits": ["train", "exam"]}, ValueError, "splits=: unknown split 'exam'"),
        ({"threshold": 0.9}, ValueError, "threshold=0.9 is for embeddings: pass encoder="),
        ({"inputs": {"embeddings": {"train": np.eye(4)}}}, ValueError, "inputs= holds no embeddings of"),
        ({"inputs": {"vectors": {}}}, ValueError, "inputs= holds no embeddings of"),
        ({"image_column": "picture"}, ValueError, "no column 'picture'"),
    ],
)
def test_wrong_requests_are_refused_in_a_line(splits, arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        leaks(splits, **arguments)
    assert "\n" not in str(caught.value)


def test_only_splits_are_compared(splits):
    with pytest.raises(TypeError, match="leaks takes a DatasetDict, not Dataset: put the splits into"):
        leaks(splits["train"])
    widths = {name: np.ones((len(ds), 2 + place)) for place, (name, ds) in enumerate(splits.items())}
    with pytest.raises(ValueError, match=r"^the embeddings of the splits have several widths \('train' "):
        leaks(splits, inputs={"embeddings": widths})
    with pytest.raises(ValueError, match="threshold=2; give the least cosine of embeddings"):
        leaks(splits, 2, inputs={"embeddings": {name: np.ones((len(ds), 2)) for name, ds in splits.items()}})
