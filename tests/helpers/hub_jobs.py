"""What a user does with the Hub, run by ``test_push.py`` in a process of its own: the client reads its settings at import.

``python -m tests.helpers.hub_jobs FILE JOB[,JOB…]`` writes what the job found to the file as JSON.
"""

import json
import sys
from pathlib import Path

from datasets import DatasetDict, Image, concatenate_datasets, load_dataset
from huggingface_hub import HfApi

import hf_prune
from hf_prune.hub.publish.push import push_card, push_to_hub
from tests.helpers.tiny_publications import images, pruned, scored


def encoded(ds):
    return [row["bytes"].hex() for row in ds.cast_column("image", Image(decode=False))["image"]]


def said(function, *args, **keywords):
    """The error that a call ends with, as a user reads it."""
    try:
        function(*args, **keywords)
    except Exception as error:  # the test compares type and text
        return f"{type(error).__name__}: {error}"
    return "no error"


def summary(ds):
    return {"rows": len(ds), "columns": ds.column_names, "images": encoded(ds), "features": ds.features.to_dict()}


def first_push():
    """Source from the Hub, scored and pruned, pushed, loaded, pushed again."""
    images(20).push_to_hub("somebody/all", "plain")
    ds = scored(load_dataset("somebody/all", "plain", split="train"))
    kept = ds.prune("prototypes", keep=0.5, order="hard")
    commit = push_to_hub(kept, "somebody/kept", scores=ds, num_shards=3, private=True)
    found = {"commit": commit.oid, "kept": summary(kept)}
    found["loaded"] = summary(load_dataset("somebody/kept", split="train"))
    streamed = load_dataset("somebody/kept", split="train", streaming=True)
    found["streamed"] = [row["label"] for row in streamed]
    found["labels"] = kept["label"][:]
    found["again"] = push_to_hub(kept, "somebody/kept", scores=ds, num_shards=3).oid
    return found


def growing():
    """Prose, a second configuration, other columns, fewer shards, a branch, a pull request, a dict."""
    kept = pruned(images())
    push_to_hub(kept.remove_columns("prototypes"), "growing", source="local", config_name="default", num_shards=4)
    api = HfApi()
    path = api.hf_hub_download("somebody/growing", "README.md", repo_type="dataset")
    text = Path(path).read_text().replace("---\n", "---\nlicense: mit\nx-mine: 1\n", 1) + "\nMy own words.\n"
    api.upload_file(
        path_or_fileobj=text.encode(), path_in_repo="README.md", repo_id="somebody/growing", repo_type="dataset"
    )
    push_to_hub(scored(images()), "somebody/growing", source="local", config_name="scored", set_default=False)
    push_to_hub(kept, "somebody/growing", source="local", config_name="default")
    found = {"loaded": summary(load_dataset("somebody/growing", split="train"))}
    found["scored"] = summary(load_dataset("somebody/growing", "scored", split="train"))
    push_to_hub(kept.select(range(3)), "somebody/growing", source="local", config_name="default", revision="small")
    found["branch"] = len(load_dataset("somebody/growing", split="train", revision="small"))
    request = push_to_hub(
        kept.select(range(2)), "somebody/growing", source="local", config_name="default", create_pr=True
    )
    found["request"] = [request.pr_url.rpartition("/")[2], request.pr_revision]
    splits = DatasetDict(train=scored(images()), test=images(4)).prune("prototypes", keep=0.5, order="easy")
    push_to_hub(splits, "somebody/growing", source="local", config_name="scored")
    found["dict"] = {name: len(rows) for name, rows in load_dataset("somebody/growing", "scored").items()}
    return found


def native():
    """Pushed by `datasets`, described afterwards."""
    splits = DatasetDict(train=scored(images()), test=images(4)).prune("prototypes", keep=0.5, order="hard")
    splits.push_to_hub("somebody/native")
    commit = push_card(splits, "somebody/native", source="local")
    loaded = load_dataset("somebody/native")
    found = {"commit": commit.oid, "loaded": {name: summary(rows) for name, rows in loaded.items()}}
    found["pushed"] = {name: summary(rows) for name, rows in splits.items()}
    found["other rows"] = said(push_card, splits["train"].select(range(2)), "somebody/native", source="local")
    found["other split"] = said(push_card, splits["train"], "somebody/native", source="local", split="validation")
    found["nothing there"] = said(push_card, splits, "somebody/nothing", source="local")
    pushed = pruned(images())
    pushed.push_to_hub("somebody/single")
    push_card(pushed, "somebody/single", source="local")
    return found


def cuts():
    """Several cuts of one source with the score of every row, and the same without any row."""
    ds = scored(images())
    for keep in (0.5, 3):
        kept = ds.prune("prototypes", keep=keep, order="hard")
        push_to_hub(kept, "somebody/cuts", source="local", scores=ds, what="scores")
    found = {"latest": summary(load_dataset("somebody/cuts", split="train")), "kept": summary(kept)}
    found["first"] = len(load_dataset("somebody/cuts", "prototypes-keep0.5", split="train"))
    streamed = load_dataset("somebody/cuts", "scores", split="train", streaming=True)
    found["streamed"] = [row["row"] for row in streamed if row["kept"]]
    found["rows"] = hf_prune.provenance(kept).source_rows().tolist()
    push_to_hub(kept, "somebody/numbers", source="local", scores=ds, what="rows")
    found["numbers"] = load_dataset("somebody/numbers", split="train").column_names
    found["again"] = push_to_hub(kept, "somebody/numbers", source="local", scores=ds, what="rows").oid
    natively = DatasetDict(test=images(4))
    natively.push_to_hub("somebody/numbers", "others")
    push_card(natively, "somebody/numbers", source="local", config_name="others")
    return found


def refused():
    """What goes wrong, in one line each."""
    kept = pruned(images())
    found = {"bad token": said(push_to_hub, kept, "somebody/mine", source="local", token="hf_wrongTokenWrongToken")}
    push_to_hub(kept, "somebody/contested", source="local", config_name="default")
    found["contested"] = said(
        push_to_hub, kept.select([0]), "somebody/contested", source="local", config_name="default"
    )
    both = concatenate_datasets([kept, kept])
    found["another"] = len(push_to_hub(both, "somebody/contested", source="local", config_name="default").oid)
    unknown = "somebody/nowhere@" + "0" * 40
    found["unknown source"] = said(push_to_hub, kept, "somebody/mine", source=unknown)
    head = HfApi().dataset_info("somebody/contested").sha
    wrong = "somebody/contested@" + "1" * 40
    found["unknown commit"] = said(push_to_hub, kept, "somebody/mine", source=wrong)
    push_to_hub(kept, "somebody/checked", source=f"somebody/contested@{head}")
    found["other features"] = said(push_to_hub, images(), "somebody/contested", source="local", split="test")
    push_to_hub(kept, "somebody/contested", source="local", config_name="second")
    found["same folder"] = said(
        push_to_hub, kept, "somebody/contested", source="local", config_name="third", data_dir="second"
    )
    found["default"] = said(
        push_to_hub, kept, "somebody/contested", source="local", config_name="third", set_default=True
    )
    found["broken"] = len(push_to_hub(kept, "somebody/broken", source="local").oid)
    return found


def looked_at():
    """A cut with its report beside the card, and the same page in a Space."""
    ds = scored(images())
    kept = ds.prune("prototypes", keep=0.5, order="hard")
    push_to_hub(kept, "somebody/looked-at", source="local", scores=ds, config_name="default", report=True)
    found = {"loaded": len(load_dataset("somebody/looked-at", split="train"))}
    found["verified"] = hf_prune.verify("somebody/looked-at").exit_code
    page = hf_prune.report(ds, kept, sys.argv[1] + ".html")
    for title in ("First", "---\nsdk: docker"):
        hf_prune.push_space(page, "somebody/page", title=title)
    HfApi().create_repo("somebody/own-space", repo_type="space", space_sdk="gradio")
    HfApi().upload_file(path_or_fileobj=b"x", path_in_repo="app.py", repo_id="somebody/own-space", repo_type="space")
    found["foreign"] = said(hf_prune.push_space, page, "somebody/own-space")
    found["no page"] = said(hf_prune.push_space, __file__, "somebody/page")
    found["no name"] = said(hf_prune.push_space, page, "a b")
    found["no scores"] = said(push_to_hub, kept, "somebody/looked-at", source="local", report=True)
    rows = {"source": "local", "scores": ds, "what": "rows", "report": True}
    found["no rows"] = said(push_to_hub, kept, "somebody/looked-at", **rows)
    return found


def xet():
    """The same through hf_xet; the export has the same shard, so that the server can tell its hash."""
    kept = pruned(images(40))
    hf_prune.export(kept, sys.argv[3], source="local", config_name="default")
    push_to_hub(kept, "somebody/kept", source="local", config_name="default")
    return {"kept": summary(kept), "loaded": summary(load_dataset("somebody/kept", split="train"))}


if __name__ == "__main__":
    jobs = (first_push, growing, native, cuts, refused, looked_at, xet)
    wanted = sys.argv[2].split(",")
    results = {job.__name__: job() for job in jobs if job.__name__ in wanted}
    Path(sys.argv[1]).write_text(json.dumps(results))
