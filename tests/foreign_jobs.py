"""Crafted records read one by one, each in a process of its own whose time and memory are measured; run by ``test_crafted_records.py``."""

import json
import os
import resource
import signal
import sys
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

import hf_prune
from hf_prune.cli.errors import is_user_error, message
from hf_prune.hub import manifest
from hf_prune.hub.report import Report
from hf_prune.provenance import MARK, parse_history
from tests.crafted_records import changes, copied, craft
from tests.tampered import publish
from tests.tiny_publications import images

SECONDS, MEGABYTES = 5, 500  # of CPU and beyond what the process had, for each call
_ADDRESSES = 8 << 30  # bytes that a process may ask for at most: a guard for the machine


def verify(folder, _):
    return hf_prune.verify(folder)


def rebuild(folder, out):
    return hf_prune.rebuild(folder, out, source=images(20))


def rebuild_from_the_record(folder, out):
    return hf_prune.rebuild(folder, out)


def rescore(folder, out):
    return hf_prune.rebuild(folder, out, source=images(20), rescore=True)


def load_scores(folder, _):
    return hf_prune.load_scores(folder, images(20))


def apply(folder, _):
    return hf_prune.apply(folder, images(20))


def find_rows(folder, _):
    return hf_prune.apply(folder, images(25).select(range(3, 25)))


def parse(folder, _):
    return manifest.parse((folder / "provenance.json").read_bytes().decode())


def history(folder, _):
    """The steps in the description of a data set, as whoever made it may have written them."""
    records = parse(folder, None)
    steps = [step for record in records.values() for entry in record["splits"].values() for step in entry["steps"]]
    found = parse_history("\n".join(f"{MARK}{json.dumps(step)}" for step in steps))
    return found.source_rows()


CALLS = (verify, rebuild, rebuild_from_the_record, rescore, load_scores, apply, find_rows, parse, history)


def said(call, folder, out):
    """What a call says, and whether it is what a user may be told."""
    try:
        found = call(folder, out)
    except (KeyError, TypeError, AttributeError) if call is history else () as error:
        return type(error).__name__, True  # of the records, which this reads without looking
    except Exception as error:
        # No text of an error may act on the terminal either, whoever prints it.
        return message(error), is_user_error(error) and str(error).isprintable()
    if isinstance(found, Report):
        return str(found), len(str(found).split("\n")) == len(found.findings) + 1
    return type(found).__name__, True


def in_a_child(call, folder, place):
    """Make a call in a fork: what it said, its seconds of CPU, its megabytes beyond those it began with."""
    answer, work = place / "answer.json", place / "work"
    work.mkdir(exist_ok=True)
    answer.unlink(missing_ok=True)
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    child = os.fork()
    if child == 0:
        try:
            os.chdir(work)
            resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
            resource.setrlimit(resource.RLIMIT_CPU, (4 * SECONDS, 4 * SECONDS))
            signal.alarm(120)
            answer.write_text(json.dumps(said(call, folder, work / "out")))
        finally:
            os._exit(0)
    _, status, used = os.wait4(child, 0)
    text, fine = json.loads(answer.read_text()) if answer.exists() else (f"ended by signal {status}", False)
    strangers = sorted({path.name for path in work.iterdir()} - {"out"})
    seconds, megabytes = used.ru_utime + used.ru_stime, (used.ru_maxrss * 1024 - before) / 1e6
    return text, fine and not strangers, seconds, megabytes, strangers


def main(folder):
    """Read as many crafted records as ``CRAFTED_RECORDS`` says, and write down the most that one took."""
    original = publish(folder / "original", _scored_for_real())
    worst, outcomes = {"seconds": 0.0, "megabytes": 0.0}, Counter()

    @settings(max_examples=int(os.environ["CRAFTED_RECORDS"]), derandomize=True, database=None, deadline=None)
    @given(call=st.sampled_from(CALLS), made=st.lists(changes(), min_size=1, max_size=3))
    def check(call, made):
        copy = copied(original, folder / "copy")
        for change in made:
            craft(copy, change)
        text, fine, seconds, megabytes, strangers = in_a_child(call, copy, folder)
        worst["seconds"], worst["megabytes"] = max(worst["seconds"], seconds), max(worst["megabytes"], megabytes)
        outcomes[call.__name__] += 1
        assert fine, f"{call.__name__}: {text!r}, written outside: {strangers}"
        assert all(line.isprintable() for line in text.split("\n")), text
        assert seconds < SECONDS, f"{call.__name__} took {seconds:.1f} s: {text}"
        assert megabytes < MEGABYTES, f"{call.__name__} took {megabytes:.0f} MB: {text}"

    check()
    (folder / "found.json").write_text(json.dumps({**worst, "calls": dict(outcomes)}))


def _scored_for_real():
    """Rows whose record names an encoder that a reader can open."""
    return images(20).score_with("prototypes", encoder="pixels", image_size=2, num_prototypes=3, evidence=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
