"""What a user sends to a Hub in trouble, run by ``test_repository.py`` in a process of its own.

``python -m tests.helpers.sending_jobs FILE`` writes what every job found to the file as JSON.
"""

import json
import resource
import sys
import time
import warnings
from pathlib import Path

from datasets import load_dataset

from hf_prune.hub.publish.push import push_card, push_to_hub
from tests.helpers.tiny_publications import images, pruned, scored

WAITS: list[float] = []
NAMES: dict[str, int] = {}


def pushed(name, ds=None, **keywords):
    """What a push ends with, as a user sees it, and how long the client waited in between."""
    WAITS.clear()
    found = {"error": "", "commit": "", "request": None}
    # Every push has content of its own, so that nothing is in the store of the server already.
    ds = pruned(images(200 + NAMES.setdefault(name, len(NAMES)) * 2)) if ds is None else ds
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            commit = push_to_hub(ds, f"somebody/{name}", source="local", **keywords)
            found |= {"commit": commit.oid, "request": commit.pr_url, "address": str(commit)}
        except Exception as error:  # the test compares type and text
            found["error"] = f"{type(error).__name__}: {error}"
    return found | {
        "waits": WAITS.copy(),
        "warnings": [str(item.message) for item in caught if issubclass(item.category, UserWarning)],
    }


def finishing():
    """Trouble that passes."""
    names = (
        "upload-breaks upload-429 upload-500 commit-breaks commit-429 commit-500 commit-lost limited page conflict-409 "
        "read-503 create-500 branch-500 unfilled"
    )
    found = {name: pushed(name, revision="side" if name == "branch-500" else None) for name in names.split()}
    found["request-lost"] = pushed("request-lost", create_pr=True)
    pushed("text-503")
    found["text-503"] = pushed("text-503", pruned(images(4)))
    return found


def failing():
    """Trouble that does not pass, on a repository that has something; then once more."""
    names = (
        "expired-upload expired-commit expired-read always-500 always-breaks always-412 quota store-full "
        "invalid long-wait uncertain"
    )
    found = {}
    for number, name in enumerate(names.split()):
        found[name] = [pushed(name), pushed(name, pruned(images(100 + 2 * number)))]
    found["new"] = [pushed("new"), pushed("new")]
    return found


def unchanged():
    """The same cut again; as a pull request; the card of a native push again."""
    kept = pruned(images(30))
    found = {"first": pushed("same", kept, num_shards=2), "again": pushed("same", kept, num_shards=2)}
    found["request"] = pushed("same", kept, num_shards=2, create_pr=True)
    found["less"] = pushed("same", kept, num_shards=1)
    native = pruned(images(8))
    native.push_to_hub("somebody/native")
    first = push_card(native, "somebody/native", source="local")
    found["cards"] = [first.oid, push_card(native, "somebody/native", source="local").oid]
    return found


def requests():
    """Pull requests to what is there and to what is not."""
    kept = pruned(images(20))
    found = {"fresh": pushed("asked", kept, create_pr=True), "base": pushed("asked", kept)}
    found["second"] = pushed("asked", scored(images(6)), create_pr=True)
    revision = f"refs/pr/{found['second']['request'].rpartition('/')[2]}"
    found["rows"] = [
        len(load_dataset("somebody/asked", split="train", revision=revision)),
        len(load_dataset("somebody/asked", split="train")),
    ]
    return found


def private():
    """Public and private repositories."""
    found = {"hidden": pushed("hidden", private=True), "hidden again": pushed("hidden", images(3), private=True)}
    pushed("open")
    found["open"] = pushed("open", images(3), private=True)
    found["turned"] = pushed("turned", private=True)
    return found


def large():
    """A split of many shards; a disk that is full."""
    kept = pruned(images(200))
    found = {"sent": pushed("large", kept, max_shard_size="1KB")}
    found["rows"] = len(load_dataset("somebody/large", split="train"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    found["full"] = pushed("full", kept)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    return found


if __name__ == "__main__":
    time.sleep = WAITS.append  # the waits are looked at, not waited for
    jobs = (finishing, failing, unchanged, requests, private, large)
    Path(sys.argv[1]).write_text(json.dumps({job.__name__: job() for job in jobs}))
