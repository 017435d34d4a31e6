import io
import os

import pytest
from datasets import Audio, Dataset, Features, Image, List, Pdf, Value, Video
from PIL import Image as Pillow

import hf_prune
from hf_prune.data import row_files
from hf_prune.data.images import EncodedImages
from hf_prune.data.row_files import check_kind, embedded_file, read_row_file


def png():
    file = io.BytesIO()
    Pillow.new("RGB", (4, 4)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def files(tmp_path):
    """Paths of an image, and of what a stranger might rather have."""
    (tmp_path / "image.png").write_bytes(png())
    (tmp_path / "token.txt").write_text("token=abc")
    (tmp_path / "token.png").symlink_to(tmp_path / "token.txt")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


def rows(*paths, feature=None):
    return Dataset.from_dict(
        {
            "image": [{"bytes": None, "path": str(path)} for path in paths],
            "score": [float(n) for n in range(len(paths))],
        },
        features=Features({"image": feature or Image(), "score": Value("float32")}),
    )


NO_FILES = ["/proc/self/environ", "/dev/zero", "file:///proc/self/environ", "file:///dev/zero", "{}/pipe", "{}"]


@pytest.mark.parametrize("path", NO_FILES)
def test_what_is_no_plain_file_is_not_read(files, path):
    with pytest.raises(OSError, match="is no plain file"):
        read_row_file(path.format(files))
    with pytest.raises(OSError, match="is no plain file"):
        EncodedImages(rows(path.format(files)), "image")[0]


def test_a_file_that_changes_while_it_is_read_is_not_taken(tmp_path, monkeypatch):
    """Written to between the look at its size and the reading."""
    path = tmp_path / "1.png"
    path.write_bytes(b"first")
    look = row_files._plain_size

    def look_and_write(*given):
        size = look(*given)
        path.write_bytes(b"the second")
        return size

    monkeypatch.setattr(row_files, "_plain_size", look_and_write)
    with pytest.raises(
        OSError, match=r"1\.png' changed while it was read: let nothing write to it meanwhile, and run again$"
    ):
        read_row_file(str(path))


def test_a_file_is_bounded(files):
    assert read_row_file(str(files / "image.png")) == read_row_file(f"file://{files}/image.png") == png()
    with pytest.raises(OSError, match=r"has [\d,]+ bytes, more than the 10 that are read"):
        read_row_file(str(files / "image.png"), 10)
    with pytest.raises(FileNotFoundError):
        read_row_file(str(files / "none.png"))


@pytest.mark.parametrize("path", [*NO_FILES, "{}/token.txt", "{}/token.png", "{}/none.png"])
@pytest.mark.parametrize("what", ["split", "scores"])
@pytest.mark.filterwarnings("ignore:the picture of the easiest and hardest images was left out")
def test_no_other_file_is_published(files, path, what):
    ds = rows(files / "image.png", path.format(files))
    kept = ds.prune("score", keep=2, order="hard")
    with pytest.raises((OSError, ValueError), match=r"is no (plain file|Image by its first bytes)|No such file"):
        hf_prune.export(kept, files / "out", source="local", scores=ds if what == "scores" else None, what=what)
    assert not (files / "out").exists()


def test_files_deep_inside_a_row_are_looked_at_too(files):
    feature = {"parts": List(Image())}
    made = Dataset.from_dict(
        {"x": [{"parts": [{"bytes": None, "path": str(files / name)}]} for name in ("image.png", "token.txt")]},
        features=Features({"x": feature}),
    )
    with pytest.raises(ValueError, match=r"token.txt' is no Image by its first bytes"):
        hf_prune.export(made, files / "out", source="local")
    place = hf_prune.export(made.select([0]), files / "out", source="local")
    assert any(png() in path.read_bytes() for path in place.rglob("*.parquet"))


@pytest.mark.parametrize(
    ("feature", "start"),
    [
        (Image(), png()),
        (Audio(), b"RIFF....WAVE"),
        (Audio(), b"\xff\xfb\x90"),
        (Audio(), b"....ftypM4A "),
        (Video(), b"....ftypisom"),
        (Video(), b"\x1aE\xdf\xa3"),
        (Pdf(), b"%PDF-1.7"),
    ],
)
def test_kinds_are_known_by_their_first_bytes(feature, start, tmp_path):
    check_kind(start, "x", feature)
    with pytest.raises(ValueError, match=f"'x' is no {type(feature).__name__}"):
        check_kind(b"HOME=/home/somebody", "x", feature)
    (tmp_path / "x").write_bytes(start)
    assert embedded_file(str(tmp_path / "x"), feature) == start
