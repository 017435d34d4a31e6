import errno
import os
import resource
from pathlib import Path

import pytest
from datasets import load_from_disk

import hf_prune
from tests.helpers.tiny_publications import images

pytest_plugins = ["tests.helpers.command_line"]


class TestFolders:
    def test_a_step_over_its_own_input_loses_nothing(self, hf, place):
        hf("score scored random --out scored --overwrite")
        hf("score scored random --seed 9 --out scored --overwrite")
        opened = load_from_disk("scored")
        assert opened.column_names == ["image", "label", "prototypes", "random"]
        assert [image.size for image in opened["image"][:]] == [(2, 2)] * 12
        assert [step.seed for step in hf_prune.provenance(opened).steps] == [0, 0, 9]
        hf("prune scored prototypes --keep 4 --order hard --out scored --overwrite")
        assert len(load_from_disk("scored")) == 4
        assert sorted(path.name for path in place.iterdir()) == ["data", "scored", "table.parquet"]

    @pytest.mark.usefixtures("place")
    def test_nothing_is_replaced_unless_asked(self, refusal, hf):
        line = "prune scored prototypes --keep 4 --order hard --out kept"
        hf(line)
        assert "replace it with --overwrite" in refusal(line)
        hf(f"{line} --overwrite")
        assert "replace it with --overwrite" in refusal("score data random --out scored")

    def test_a_folder_with_anything_else_in_it_is_never_replaced(self, refusal, hf, place):
        hf("prune scored prototypes --keep 4 --order hard --out kept")
        Path("kept/notes.txt").write_text("mine")
        assert "holds 'notes.txt'" in refusal("prune scored prototypes --keep 4 --order hard --out kept --overwrite")
        Path("kept/notes.txt").unlink()
        Path("kept/link.arrow").symlink_to(place / "table.parquet")
        assert "holds 'link.arrow'" in refusal("prune scored prototypes --keep 4 --order hard --out kept --overwrite")
        assert "is never replaced" in refusal("score data random --out . --overwrite")
        assert len(load_from_disk("kept")) == 4

    @pytest.mark.parametrize("pattern", ["*.arrow", "dataset_info.json", "state.json"])
    @pytest.mark.usefixtures("place")
    def test_a_byte_that_changed_in_a_result_is_noticed_by_the_next_step(self, refusal, hf, pattern):
        hf("score scored random --out again")
        (path,) = Path("again").glob(pattern)
        data = path.read_bytes()
        path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
        told = refusal("prune again prototypes --keep 4 --order hard --out kept")
        assert f"'{path.name}' is not the file that was finished there in 'again'" in told
        assert not Path("kept").exists()
        Path("again/digests.json").unlink()  # as results of earlier versions are, or to be opened all the same
        path.write_bytes(data)
        hf("prune again prototypes --keep 4 --order hard --out kept")

    @pytest.mark.usefixtures("place")
    def test_an_empty_folder_and_a_link_serve(self, hf):
        Path("kept").mkdir()
        Path("link").symlink_to("kept")
        hf("prune scored prototypes --keep 4 --order hard --out link")
        hf("prune scored prototypes --keep 3 --order hard --out link --overwrite")
        assert Path("link").is_symlink()
        assert len(load_from_disk("kept")) == 3

    def test_a_disk_that_fills_up_leaves_the_former_result(self, place, hf, refusal):
        hf("prune scored prototypes --keep 4 --order hard --out kept")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
        try:
            said = refusal("prune scored prototypes --keep 9 --order hard --out kept --overwrite")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert f"{os.strerror(errno.EFBIG)}. What was there before is unchanged" in said
        assert len(load_from_disk("kept")) == 4
        assert sorted(path.name for path in place.iterdir()) == ["data", "kept", "scored", "table.parquet"]

    @pytest.mark.usefixtures("place")
    def test_a_folder_that_cannot_be_made(self, refusal):
        assert "which is a file" in refusal("score data random --out table.parquet/inside")
        assert "File name too long" in refusal(f"score data random --out {'x' * 300}")

    def test_all_splits_go_along(self, hf, place):
        (place / "set").mkdir()
        images(9).to_parquet("set/train.parquet")
        images(6).to_parquet("set/test.parquet")
        hf("score set random --out both")
        hf("prune both random --keep 3 --order easy --out kept")
        opened = load_from_disk("kept")
        assert {name: (len(split), split.column_names) for name, split in opened.items()} == {
            "train": (3, ["image", "label"]),
            "test": (6, ["image", "label"]),
        }
