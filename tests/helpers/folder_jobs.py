"""Processes that are killed while they write a folder, each at another operation of the file system.

An audit hook counts what a process does to files below a folder, whichever library does it, and kills it before one of these
operations, so that the same number always dies at the same place. Each process is a fork of one that has loaded the libraries
and has done nothing yet. All operations of all jobs, and fifty times two processes at once on every kind of folder:

    python -m tests.helpers.folder_jobs 1000 50
"""

import json
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from datasets import disable_progress_bars, load_from_disk

from hf_prune.cli.folders import save
from hf_prune.data.loading import open_dataset
from hf_prune.hub.publish.export import export
from hf_prune.hub.verify.verify import verify
from hf_prune.runtime.folders import ownership
from tests.helpers.folder_races import races
from tests.helpers.forking import in_fork
from tests.helpers.tiny_publications import SOURCE, images, pruned, scored

_EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "shutil.rmtree", "os.truncate")
PROSE, LICENCE = "\nMy own words.\n", "mine"
_CODES = {3: "cannot be read", 4: "neither old nor new once it was read"}
FEW_KILLS = 2  # of each job, in the tests that always run; those that replace something die at its last operations too
Files = dict[str, bytes]
Work = Callable[[Path], Any]


def die_at(number: int, folder: Path) -> list[int]:
    """Kill this process before its operation of that number below a folder; the list counts them."""
    counted, start = [0], str(folder)

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        # The call that exchanges folders has no event of its own; that its function is looked up has one.
        is_exchange = event == "ctypes.dlsym" and arguments[1] == "renameat2"
        below = any(start in _text(argument) for argument in arguments)
        removing = event in ("os.remove", "os.rmdir") and arguments[1] != -1  # of a folder, by its descriptor
        if is_exchange or (event in _EVENTS and (below or removing)):
            if counted[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)
            counted[0] += 1

    sys.addaudithook(count)
    return counted


def _text(argument: Any) -> str:
    return os.fsdecode(argument) if isinstance(argument, str | bytes | os.PathLike) else ""


def contents(folder: Path) -> Files:
    """Path → bytes of all files that are not there for the time of writing."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in found}
    return {name: path.read_bytes() for name, path in names.items() if not name.startswith(".hf_prune")}


class Job:
    """Something that writes a folder, killed at one operation after another.

    Args:
        root: A folder for it to work in.
        first: Makes the former content of a folder; does nothing where it is new.
        work: Writes the new content.
        read: Opens the folder in the way of a user, and raises where that fails.
        links: Whether folders can change places on this file system.
    """

    def __init__(self, root: Path, first: Work, work: Work, read: Work, links: bool) -> None:
        self.root, self.work, self.read, self.links = root, work, read, links
        root.mkdir()
        self.former, self.place = root / "former", root / "place"
        self.former.mkdir()
        assert in_fork(lambda: first(self.former / "out")) == 0
        self.old = contents(self.former / "out")
        assert self.run(None) == 0
        self.new = contents(self.place / "out")
        assert self.old != self.new
        self.operations = int((root / "count").read_text())

    def run(self, number: int | None) -> int:
        """Write over the former content in a fork that dies at an operation; None lets it live and counts."""
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.former, self.place)

        def work() -> None:
            if not self.links:
                ownership.exchange = lambda *_: False  # type: ignore[assignment]
            counted = die_at(-1 if number is None else number, self.place)
            self.work(self.place / "out")
            (self.root / "count").write_text(str(counted[0]))

        return in_fork(work)

    def check(self, number: int) -> list[str]:
        """What is wrong after a kill; nothing should be."""
        if self.run(number) != -signal.SIGKILL:
            return [f"operation {number}: not killed"]
        problems, out = [], self.place / "out"
        if self.links and contents(out) not in (self.old, self.new):
            problems.append("neither old nor new right after the kill")
        code = in_fork(lambda: self._go_on(out))
        if code:
            problems.append(_CODES.get(code, f"ended with {code}"))
        if contents(out) != self.new:
            problems.append("the next call makes something else")
        left = [path.name for place in (self.place, out) for path in place.glob(".*")]
        if left:
            problems.append(f"left over: {left}")
        return [f"operation {number} of {self.operations}: {problem}" for problem in problems]

    def _go_on(self, out: Path) -> None:
        """Read the folder and write it again, in a process whose exit code says what is wrong."""
        try:
            self.read(out)
        except (OSError, ValueError):
            if self.old or contents(out):
                traceback.print_exc()
                os._exit(3)
        if contents(out) not in (self.old, self.new):
            os._exit(4)
        self.work(out)


def make_sets(root: Path) -> None:
    """The data sets that the jobs write, on disk, since a fork of a process that has used Arrow's threads may hang."""
    pruned(images()).save_to_disk(str(root / "kept"))
    scored(images(6)).save_to_disk(str(root / "scored"))


class Works:
    """What is written first, with files of the user's, and what replaces a part of it.

    Args:
        kept: Folder of a data set that was pruned.
        other: Folder of another one.
    """

    def __init__(self, kept: str, other: str) -> None:
        self.kept, self.other = kept, other

    def export_first(self, out: Path) -> None:
        export(load_from_disk(self.kept), out, source=SOURCE, config_name="default", max_shard_size=200)
        export(load_from_disk(self.other), out, source=SOURCE, config_name="all-rows")
        readme = out / "README.md"
        readme.write_text(readme.read_text() + PROSE)
        (out / "notes").mkdir()
        for name in ("LICENSE", "notes/mine.txt"):
            (out / name).write_text(LICENCE)

    def export_again(self, out: Path) -> None:
        export(load_from_disk(self.kept), out, source=SOURCE, config_name="default")

    def save_first(self, out: Path) -> None:
        save(load_from_disk(self.other), out, overwrite=False)

    def save_again(self, out: Path) -> None:
        save(load_from_disk(self.kept), out, overwrite=True)


def agrees(out: Path) -> None:
    """As a reader checks an exported folder."""
    if verify(out).exit_code:
        raise ValueError(str(verify(out)))


def opens(out: Path) -> None:
    """As a step opens a saved data set."""
    assert len(open_dataset(out)) == 6


def nothing(_: Path) -> None:
    """A folder that is new."""


def jobs_of(root: Path, few: bool) -> dict[str, Callable[[], Job]]:
    """Name → what makes the job; a few leave out those whose folder is new."""
    works = Works(str(root / "kept"), str(root / "scored"))
    made = {
        "export again": (works.export_first, works.export_again, agrees),
        "save again": (works.save_first, works.save_again, opens),
    }
    if not few:
        made |= {"export": (nothing, works.export_again, agrees), "save": (nothing, works.save_again, opens)}
    ways = {"": True, ", files moved": False}
    return {
        f"{name}{way}": lambda name=name, way=way, links=links: Job(root / f"{name}{way}", *made[name], links)
        for name in made
        for way, links in ways.items()
    }


def kill(root: Path, kills: int) -> list[str]:
    """Kill each job at operations spread evenly over all of its own, and say what is wrong."""
    assert in_fork(lambda: make_sets(root)) == 0
    few, problems = kills <= FEW_KILLS, []
    for name, make in jobs_of(root, few).items():
        job = make()
        if "README.md" in job.old:
            assert PROSE.encode() in job.new["README.md"]
        first = job.operations * 2 // 3 if few else 0  # the last third replaces what is there
        numbers = sorted(
            {int(number) for number in np.linspace(first, job.operations - 1, min(kills, job.operations))}
        )
        found = [f"{name}, {problem}" for number in numbers for problem in job.check(number)]
        sys.stdout.write(f"{name}: {len(numbers)} kills at {job.operations} operations, {len(found)} problems\n")
        sys.stdout.flush()
        problems += found
    return problems


def main(folder: Path, kills: int = FEW_KILLS, times: int = 1) -> None:
    """Write to ``problems.json`` what is wrong after kills, and after two processes at once on every kind of folder."""
    disable_progress_bars()
    found = {"kills": kill(folder, kills), "races": races(folder, times)}
    (folder / "problems.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        main(Path(place), *map(int, sys.argv[1:]))
        sys.stdout.write((Path(place) / "problems.json").read_text() + "\n")
