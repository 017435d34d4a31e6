"""Crafted records read one by one, each in a process of its own whose time and memory are measured; run by ``test_crafted_records.py``."""

import hashlib
import json
import os
import resource
import signal
import sys
import warnings
from collections import Counter
from pathlib import Path

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import hf_prune
from hf_prune.cli.errors import is_user_error, message
from hf_prune.data.history import MARK, parse_history
from hf_prune.hub import manifest
from hf_prune.hub.read.place import read_text
from hf_prune.hub.verify.report import Report
from tests.helpers.crafted_records import changes, copied, craft
from tests.helpers.tampered import publish
from tests.helpers.tiny_publications import images

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
    return manifest.parse(read_text(folder / "provenance.json"))


def history(folder, _):
    """The steps in the description of a data set, as whoever made it may have written them."""
    try:
        level = list(filter(_holds_more, [json.loads((folder / "provenance.json").read_bytes())]))
    except (ValueError, RecursionError):
        level = []
    steps = []
    while level:
        steps += [one for one in level if isinstance(one, dict) and "kind" in one]
        level = [
            part for one in level for part in (one.values() if isinstance(one, dict) else one) if _holds_more(part)
        ]
    # With ids that fit, as somebody would write them who wants to be believed.
    lines = [f"{MARK}{json.dumps(step | {'id': _fitting(step)})}" for step in steps]
    return parse_history("\n".join(lines)).source_rows()


def _holds_more(part):
    return isinstance(part, dict | list)


def _fitting(step):
    content = {name: value for name, value in step.items() if name != "id"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


CALLS = (verify, rebuild, rebuild_from_the_record, rescore, load_scores, apply, find_rows, parse, history)


def said(call, folder, out):
    """What a call says, and whether it is what a user may be told."""
    try:
        found = call(folder, out)
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
    child = os.fork()
    if child == 0:
        try:
            os.chdir(work)
            before = _kilobytes("VmRSS")
            resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
            resource.setrlimit(resource.RLIMIT_CPU, (4 * SECONDS, 4 * SECONDS))
            signal.alarm(120)
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                text, fine = said(call, folder, work / "out")
            found = text, fine and all(str(warning.message).isprintable() for warning in told)
            answer.write_text(json.dumps([*found, (_kilobytes("VmHWM") - before) / 1000]))
        finally:
            os._exit(0)
    _, status, used = os.wait4(child, 0)
    text, fine, megabytes = json.loads(answer.read_text()) if answer.exists() else (f"ended by {status}", False, 0.0)
    strangers = sorted({path.name for path in work.iterdir()} - {"out"})
    return text, fine and not strangers, used.ru_utime + used.ru_stime, megabytes, strangers


def _kilobytes(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1])


def main(folder):
    """Read as many crafted records as ``CRAFTED_RECORDS`` says, and write down the most that one took."""
    original = publish(folder / "original", _scored_for_real())
    worst, outcomes = {"seconds": 0.0, "megabytes": 0.0}, Counter()

    @settings(
        max_examples=int(os.environ["CRAFTED_RECORDS"]),
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
    )
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
    return images(20).score_with(
        "prototypes", encoder="pixels", run=hf_prune.Run(image_size=2), num_prototypes=3, evidence=False
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
