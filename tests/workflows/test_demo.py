import csv
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, load_dataset
from PIL import Image as Pillow

from hf_prune import provenance
from hf_prune.heads import students
from hf_prune.policy import trial
from hf_prune.pruning.comparison import best_cut
from hf_prune.runtime.folders import FolderInUseError, owned
from hf_prune.workflows import demo_data
from hf_prune.workflows.demo import run_demo


class Log(list):
    def __call__(self, text):
        self.append(text)

    @property
    def text(self):
        return "\n".join(self)


@pytest.fixture(scope="module", autouse=True)
def shorter():
    """Few repeats, few epochs, and digits in place of photographs."""
    digits = demo_data.digits_dataset()
    parts = {"train": digits.select(range(300)), "test": digits.select(range(300, 420))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_data, "photographs", parts.__getitem__)
        patch.setattr(students, "MAX_EPOCHS", 10)
        patch.setattr(trial, "num_epochs", lambda _: 3)
        patch.setattr(trial, "MOST_SPLITS", 1)
        yield


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The demo as `make demo` runs it, with small images, fewer fractions and draws, twice into one folder."""
    out, log = tmp_path_factory.mktemp("shown"), Log()
    options = {"keeps": [0.25, 0.6], "out": out, "num_draws": 2, "cache_dir": out / "cache", "encoder": "pixels"}
    first = run_demo(**options, image_size=8, log=Log())
    files = {path: path.read_bytes() for path in [*first.exported.rglob("*.*"), out / "results.csv"] if path.is_file()}
    return run_demo(**options, image_size=8, log=log), log, first, files


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A Parquet file with large images of two classes that differ in colour, in three modes and two shapes."""
    rng = np.random.default_rng(0)
    pictures = []
    for row in range(40):
        colour = np.array([200, 60, 60]) if row % 2 else np.array([60, 60, 200])
        noise = rng.normal(0, 40, (300, 420 if row % 4 else 300, 3))
        picture = Pillow.fromarray(np.clip(colour + noise, 0, 255).astype(np.uint8))
        pictures.append(picture.convert(("RGB", "RGBA", "CMYK")[row % 3]) if row % 3 < 2 else picture)
    features = Features({"photo": Image(), "colour": ClassLabel(names=["blue", "red"])})
    path = tmp_path_factory.mktemp("photos") / "photos.parquet"
    Dataset.from_dict({"photo": pictures, "colour": [row % 2 for row in range(40)]}, features=features).to_parquet(
        path
    )
    return path


def test_it_scores_compares_exports_and_draws(shown):
    made, log, _, _ = shown
    assert {"prototypes", "el2n"} <= set(made.scored.column_names)
    assert len(made.results) == 2 * (7 * 2) + 2
    assert {path.name for path in made.files} == {"results.csv", "accuracy.png", "extremes.png"}
    for path in [*made.files, made.exported / "README.md", made.report]:
        assert path.stat().st_size > 0
        assert str(path) in log.text
    for path in made.files:
        if path.suffix == ".png":
            assert min(Pillow.open(path).size) > 300
    with made.files[0].open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(made.results)


def test_students_learn_and_the_table_shows_it(shown):
    made, log, _, _ = shown
    full = [result.accuracy for result in made.results if result.metric == "full data"]
    assert min(full) > 0.7
    assert f"{100 * np.mean(full):.1f} ± " in log.text
    assert "Keeping 25%: " in log.text
    assert "In sum" in log.text
    assert "Intervals are of 90 % and count test rows and trainings." in log.text


def test_auto_says_what_it_follows_and_is_a_line_of_the_table(shown):
    made, log, _, _ = shown
    assert (
        len(re.findall(r"(?m)^  (?:Keeping|No rule beats random rows here; keeping) (?:20|25|50|60) % ", log.text))
        == 2
    )
    assert re.search(r"(?m)^el2n auto +\d", log.text)
    by_name = {result.name for result in made.results if result.keep == 0.25}
    assert by_name == {"prototypes hard", "prototypes easy", "el2n hard", "el2n easy", "el2n auto", "random", "rs2"}


def test_what_is_exported_is_what_the_table_calls_best(shown, tmp_path):
    made, log, _, _ = shown
    best = best_cut(made.results)
    assert f"The best pruned set, {best.name} at {best.keep:.0%}: " in log.text
    assert made.exported.name.endswith(f"-{best.order}-{100 * best.keep:g}")
    assert f"load_dataset({str(made.exported)!r}" in log.text
    kept = load_dataset(str(made.exported), split="train", cache_dir=str(tmp_path))
    assert len(kept) == round(best.keep * 300)
    assert kept[0]["image"].size == (8, 8)
    assert [step.metric for step in provenance(made.scored).steps] == ["prototypes", "el2n"]
    assert f"Kept {len(kept)} of 300 rows" in made.report.read_text(encoding="utf-8")


def test_a_second_run_gives_the_same_bytes_from_the_cache(shown):
    made, _, first, files = shown
    assert made.results == first.results
    assert len(files) >= 4
    for path, content in files.items():
        assert path.read_bytes() == content, path


def test_any_parquet_file_with_classes(photos, tmp_path):
    log = Log()
    made = run_demo(dataset=str(photos), keeps=[0.5], out=tmp_path / "out", num_draws=2, cache_dir=tmp_path, log=log)
    assert "photos.parquet, split 'train', 20% of each class set aside to test on; 32 rows, 8 to test on" in log[0]
    best = best_cut(made.results)
    assert made.exported.name.startswith("photos-")
    assert made.exported.name.endswith(f"-{best.order}-50")
    assert "so there is no line of auto" in log.text  # of 32 rows
    assert len(load_dataset(str(made.exported), split="train", cache_dir=str(tmp_path / "cache"))) == 16
    assert np.mean([result.accuracy for result in made.results if result.metric == "full data"]) > 0.8
    assert str(tmp_path) not in (made.exported / "README.md").read_text()


def test_without_classes_prototypes_alone(photos, tmp_path):
    ds = Dataset.from_parquet(str(photos)).remove_columns("colour")
    ds.to_parquet(tmp_path / "plain.parquet")
    log = Log()
    made = run_demo(
        dataset=str(tmp_path / "plain.parquet"),
        encoder="pixels",
        image_size=8,
        out=tmp_path / "out",
        cache_dir=tmp_path,
        log=log,
    )
    assert made.results == []
    assert made.report.is_file()
    assert sum(text.startswith("No classes, so prototypes alone and no students") for text in log) == 1
    assert [path.name for path in made.files] == ["extremes.png"]
    assert made.exported.name == "plain-prototypes-hard-80"


def test_without_matplotlib_the_pictures_are_left_out(photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    log = Log()
    ds = Dataset.from_parquet(str(photos)).remove_columns("colour")
    ds.to_parquet(tmp_path / "plain.parquet")
    made = run_demo(dataset=str(tmp_path / "plain.parquet"), out=tmp_path / "out", cache_dir=tmp_path, log=log)
    assert made.files == []
    assert "No pictures: plots need matplotlib: pip install matplotlib" in log


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keeps": [0.5, 1.4]}, r"keep=1\.4 selects"),
        ({"num_draws": 1}, r"num_draws=1 shows no spread; give 2 or more"),
        ({"keeps": []}, r"no fraction to keep"),
        ({"encoder": "no/such/folder"}, "no model"),
        ({"label_column": "colours"}, "no column 'colours'"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(photos, tmp_path, options, message):
    with pytest.raises((ValueError, OSError), match=message) as error:
        run_demo(dataset=str(photos), out=tmp_path / "out", cache_dir=tmp_path / "cache", log=Log(), **options)
    assert "\n" not in str(error.value)
    assert not Path(tmp_path / "out").exists()


def test_another_process_that_writes_there_is_named(photos, tmp_path):
    with owned(tmp_path), pytest.raises(FolderInUseError, match="is writing to"):
        run_demo(dataset=str(photos), out=tmp_path, num_draws=2, log=Log())
    assert list(tmp_path.iterdir()) == []
