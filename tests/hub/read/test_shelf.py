import contextlib
import http.server
import re
import threading

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value

import hf_prune
from hf_prune.hub.read import shelf
from hf_prune.runtime.integrity import file_sha256
from tests.helpers.tiny_publications import image_bytes, images

# The layout of the released files: a number of the line, ImageNet's name of the image, the score.
NAMES = [f"n0144{synset:04d}_{number}" for synset in (764, 1037) for number in (10026, 18, 29107)]
SCORES = [0.5, 0.25, 0.75, 0.125, 1.0, 0.0625]
LINES = ["", *(f"{row},{name}.JPEG,{score}" for row, (name, score) in enumerate(zip(NAMES, SCORES, strict=True)))]
RELEASED = "\n".join([",filename,score", *LINES[1:]]) + "\n"


@pytest.fixture
def released(tmp_path):
    path = tmp_path / "ImageNet-1K_self-supervised-prototypes.csv"
    path.write_text(RELEASED)
    return path


def imagenet(names):
    """Rows as the copy of ImageNet on the Hub has them: the name of the file, with the class once more."""
    return Dataset.from_dict(
        {
            "image": [
                {"bytes": image_bytes(row), "path": f"{name}_{name.partition('_')[0]}.JPEG"}
                for row, name in enumerate(names)
            ],
            "label": [row % 2 for row in range(len(names))],
        },
        features=Features({"image": Image(), "label": ClassLabel(names=["tench", "goldfish"])}),
        split="train",
    )


def test_released_scores_are_read_by_the_names_of_the_images(released):
    order = [4, 0, 5, 1, 3, 2]
    loaded = hf_prune.load_scores(released, imagenet([NAMES[row] for row in order]))
    assert loaded["self_supervised_prototypes"][:] == [SCORES[row] for row in order]
    (step,) = hf_prune.provenance(loaded).steps
    assert (step.metric, step.column) == ("prototypes", "self_supervised_prototypes")
    assert step.inputs["scores"]["published"] == {"file": released.name, "sha256": file_sha256(released)}
    kept = loaded.prune("self_supervised_prototypes", keep=0.5, order="hard", class_balance=0)
    assert sorted(kept["self_supervised_prototypes"][:]) == [0.5, 0.75, 1.0]


def test_images_without_a_released_score_are_counted_and_named(released):
    with pytest.warns(UserWarning, match=r"1 of 2 rows \(1\) are not among those"):
        loaded = hf_prune.load_scores(released, imagenet([NAMES[2], "n99999999_1"]))
    assert loaded["self_supervised_prototypes"][:] == [0.75, None]


@pytest.mark.parametrize("name", ["train/n01440764/{}.JPEG", "{}.JPEG", "C:\\images\\{}.jpg", "{}_n01440764.JPEG"])
def test_a_column_of_file_names_serves_as_well(released, name):
    ds = Dataset.from_dict({"file": [name.format(image) for image in NAMES]}, features=Features(file=Value("string")))
    loaded = hf_prune.load_scores(released, ds, key_columns="file")
    assert loaded["self_supervised_prototypes"][:] == SCORES


def test_the_shelf_downloads_a_released_file_once(tmp_path, monkeypatch):
    """From a server of our own in place of the authors', at the address that the shelf makes of the name."""
    asked = []
    handler = type("Handler", (_Released,), {"asked": asked})
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(shelf, "default_root", lambda: tmp_path / "cache")
    with served(handler) as address:
        monkeypatch.setattr(shelf, "ADDRESS", f"{address}/metric-scores/ImageNet-1K_{{name}}.csv")
        for _ in range(2):
            loaded = hf_prune.load_scores("sorscher2022/EL2N-20-models", imagenet(NAMES))
        (kept,) = (tmp_path / "cache/shelf").iterdir()
        assert re.fullmatch(r"ImageNet-1K_EL2N-20-models\.[0-9a-f]{16}\.csv", kept.name)
        assert asked.count("/metric-scores/ImageNet-1K_EL2N-20-models.csv") == 1
        kept.write_bytes(kept.read_bytes().replace(b"0.", b"1."))  # damaged: downloaded again
        again = hf_prune.load_scores("sorscher2022/EL2N-20-models", imagenet(NAMES))
        assert again["el2n_20_models"][:] == loaded["el2n_20_models"][:]
        with pytest.raises(
            OSError, match=r"DDD.csv cannot be downloaded .*: download it by hand and give the path"
        ) as caught:
            hf_prune.load_scores("sorscher2022/DDD", imagenet(NAMES))
    assert "\n" not in str(caught.value)
    assert [path.name for path in (tmp_path / "cache/shelf").iterdir()] == [kept.name]
    assert loaded["el2n_20_models"][:] == SCORES
    assert asked.count("/metric-scores/ImageNet-1K_EL2N-20-models.csv") == 2
    step = hf_prune.provenance(loaded).steps[0]
    assert step.metric == "el2n"
    assert step.inputs["scores"]["published"]["shelf"] == "sorscher2022/EL2N-20-models"
    kept = loaded.prune("el2n_20_models", keep=0.5, order="hard", class_balance=0)
    card = (hf_prune.export(kept, tmp_path / "out", source="local") / "README.md").read_text()
    assert 'hf_prune.load_scores("sorscher2022/EL2N-20-models", ds, columns="el2n_20_models")' in card


class _Released(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self):
        if self.command == "GET":
            self.asked.append(self.path)
        found = "EL2N" in self.path
        content = RELEASED.encode() if found else b"not here"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", '"1"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET

    def log_message(self, *_):
        """Keep the output of the tests clean."""


@contextlib.contextmanager
def served(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_addresses_are_those_of_the_release():
    assert shelf.ADDRESS.format(name="DDD") == (
        "https://raw.githubusercontent.com/rgeirhos/dataset-pruning-metrics/master/metric-scores/ImageNet-1K_DDD.csv"
    )
    for metric in shelf.RELEASED.values():
        assert hf_prune.get_metric(metric).name == metric


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no scores"),
        (",filename,score\n", "holds no scores"),
        (",filename,score\n0,a.JPEG,high\n", "line 2: no file name and score"),
        (",filename,score\n0,a.JPEG,0.5\n1,b.JPEG\n", "line 3: no file name and score"),
        (",filename,score\n0,a.JPEG,0.5\n1,x/a.JPEG,0.6\n", "names the image 'a' twice"),
        ("\x00\xff", "line 2|holds no scores|is no CSV"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "line 2: no file name and score"),
    ],
)
def test_a_file_of_another_layout_is_refused(tmp_path, text, said):
    path = tmp_path / "scores.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=said) as caught:
        hf_prune.load_scores(path, imagenet(NAMES))
    assert "\n" not in str(caught.value)


def test_what_the_shelf_has_not(released):
    with pytest.raises(ValueError, match=r"no scores called 'el2m' on the shelf 'sorscher2022/'. Known: self-superv"):
        hf_prune.load_scores("sorscher2022/el2m", imagenet(NAMES))
    with pytest.raises(ValueError, match=r"none of the 3 rows is among the 6 images .*\(the first is called '0' here"):
        hf_prune.load_scores(released, images(3))
    nameless = images(3).remove_columns("image").add_column("text", [None, None, None])
    with pytest.raises(ValueError, match="column 'text' keeps no file names"):
        hf_prune.load_scores(released, nameless, key_columns="text")
    loaded = hf_prune.load_scores(released, imagenet(NAMES))
    with pytest.raises(ValueError, match="column 'self_supervised_prototypes' is there already"):
        hf_prune.load_scores(released, loaded)
    assert np.isfinite(loaded["self_supervised_prototypes"][:]).all()
