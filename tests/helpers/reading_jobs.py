"""What a reader does with the Hub, run by ``test_place.py`` in a process of its own.

``python -m tests.helpers.reading_jobs FILE`` writes what was found to the file as JSON.
"""

import json
import sys
from pathlib import Path

from datasets import load_dataset, load_from_disk
from huggingface_hub import HfApi

import hf_prune
from hf_prune.cli import main as hf_prune_command
from hf_prune.hub.publish.push import push_to_hub
from tests.helpers.tiny_publications import images, scored

KEPT, SOURCE = "somebody/kept", "somebody/source"


def streamed():
    """The published scores filtered, without the rows themselves."""
    scores = load_dataset(KEPT, "scores", split="train", streaming=True)
    hardest = scores.filter(lambda row: row["kept"] and row["prototypes"] > 0.7)
    return sorted(row["row"] for row in hardest)


def commands(folder):
    """The same on the command line: exit codes, the scores that were loaded, and the rows of the cut."""
    codes = [
        hf_prune_command(["load-scores", KEPT, SOURCE, "--split", "train", "--out", str(folder / "mine")]),
        hf_prune_command(["apply", KEPT, SOURCE, "--split", "train", "--out", str(folder / "cut")]),
    ]
    return [codes, load_from_disk(folder / "mine")["prototypes"][:], load_from_disk(folder / "cut")["label"][:]]


def main(out):
    if len(sys.argv) > 2:  # the source is gone by now
        reports = {"verified": hf_prune.verify(KEPT), "rebuilt": hf_prune.rebuild(KEPT, out.parent / "again")}
        out.write_text(json.dumps({name: [found.exit_code, str(found)] for name, found in reports.items()}))
        return
    images(20).push_to_hub(SOURCE)
    source = load_dataset(SOURCE, split="train")
    ds = scored(source)
    kept = ds.prune("prototypes", keep=0.5, order="hard")
    commit = push_to_hub(kept, KEPT, scores=ds, what="scores").oid
    found = {"commit": commit, "kept": kept["label"][:], "scores": ds["prototypes"][:]}
    found["hardest"] = [row for row, score in enumerate(ds["prototypes"][:]) if score > 0.7]
    HfApi().repo_exists("somebody/before-streaming")  # leaves a line in the log of the server
    found["streamed"] = streamed()
    HfApi().repo_exists("somebody/after-streaming")
    loaded = hf_prune.load_scores(KEPT, images(20))
    found["loaded"] = loaded["prototypes"][:]
    found["step"] = hf_prune.provenance(loaded).steps[0].inputs["scores"]["published"]
    found["pinned"] = hf_prune.load_scores(f"{KEPT}@{commit}", images(20))["prototypes"][:] == found["loaded"]
    found["applied"] = hf_prune.apply(KEPT, images(20))["label"][:]
    found["commands"] = commands(out.parent)
    report = hf_prune.verify(KEPT)
    found["verified"] = [report.exit_code, str(report)]
    report = hf_prune.rebuild(KEPT, out.parent / "rebuilt")
    found["rebuilt"] = [report.exit_code, str(report)]
    out.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
