"""Processes that are killed while they write a folder, each at another operation of the file system.

An audit hook counts what a process does to files below a folder, whichever library does it, and kills it before one of these
operations, so that the same number always dies at the same place. Each process is a fork of one that has loaded the libraries
and has done nothing yet.
"""

import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, disable_progress_bars, load_from_disk

import hf_prune
from hf_prune.cli.folders import save
from hf_prune.folders import ownership
from hf_prune.hub.export import export
from hf_prune.hub.verify import verify
from hf_prune.loading import open_dataset
from tests.tiny_publications import SOURCE, images, pruned, scored

_EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "shutil.rmtree", "os.truncate")
PROSE, LICENCE = "\nMy own words.\n", "mine"
_CODES = {3: "cannot be read", 4: "neither old nor new once it was read"}
Files = dict[str, bytes]


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


def in_fork(work: Callable[[], Any]) -> int:
    """Do something in a fork; its exit code, negative for the signal that ended it."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def contents(folder: Path) -> Files:
    """Path → bytes of all files that are not ours to take away."""
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

    def __init__(
        self,
        root: Path,
        first: Callable[[Path], Any],
        work: Callable[[Path], Any],
        read: Callable[[Path], Any],
        links: bool = True,
    ) -> None:
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
        self.problems: list[str] = []
        out = self.place / "out"
        if self.links and contents(out) not in (self.old, self.new):
            self.problems.append("neither old nor new right after the kill")
        code = in_fork(lambda: self._go_on(out))
        if code:
            self.problems.append(_CODES.get(code, f"ended with {code}"))
        if contents(out) != self.new:
            self.problems.append("the next call makes something else")
        left = [path.name for place in (self.place, out) for path in place.glob(".*")]
        if left:
            self.problems.append(f"left over: {left}")
        return [f"operation {number} of {self.operations}: {problem}" for problem in self.problems]

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
    kept = pruned(images())
    kept.save_to_disk(str(root / "kept"))
    scored(images(6)).save_to_disk(str(root / "scored"))


def former_export(root: Path) -> Callable[[Path], None]:
    """An exported folder with two cuts and files of the user's."""

    def first(out: Path) -> None:
        export(load_from_disk(str(root / "kept")), out, source=SOURCE, config_name="default", max_shard_size=200)
        export(load_from_disk(str(root / "scored")), out, source=SOURCE, config_name="all-rows")
        readme = out / "README.md"
        readme.write_text(readme.read_text() + PROSE)
        (out / "LICENSE").write_text(LICENCE)
        (out / "notes").mkdir()
        (out / "notes" / "mine.txt").write_text(LICENCE)

    return first


def jobs_of(root: Path) -> dict[str, Job]:
    """A job of every kind."""
    kept, other = root / "kept", root / "scored"

    def again(out: Path) -> None:
        export(load_from_disk(str(kept)), out, source=SOURCE, config_name="default")

    def saved(out: Path) -> None:
        save(load_from_disk(str(kept)), out, overwrite=True)

    def agrees(out: Path) -> None:
        if verify(out).exit_code:
            raise ValueError(str(verify(out)))

    def opens(out: Path) -> None:
        assert len(open_dataset(out)) == 6

    def fitted(seed: int) -> Callable[[Path], Any]:
        centroids = np.random.default_rng(seed).normal(size=(2 + seed, 4))
        encoder = {"kind": "pixels", "size": [2, 2]}
        config = {"encoder": encoder, "image_column": "image", "seed": seed}
        return lambda out: hf_prune.Prototypes(centroids, config).save_pretrained(out)

    nothing, first = (lambda _: None), former_export(root)
    made = {
        "export": lambda at, links: Job(at, nothing, again, agrees, links),
        "export again": lambda at, links: Job(at, first, again, agrees, links),
        "save": lambda at, links: Job(at, nothing, saved, opens, links),
        "save over": lambda at, links: Job(
            at, lambda out: save(load_from_disk(str(other)), out, overwrite=False), saved, opens, links
        ),
    }
    del fitted
    return {
        f"{name}{'' if links else ', no exchange'}": make(root / f"{name} {links}", links)
        for name, make in made.items()
        for links in (True, False)
    }


def main(folder: Path, kills: int) -> list[str]:
    """Kill every job at operations spread evenly over all of its own, ``kills`` of them, and say what is wrong."""
    disable_progress_bars()
    assert in_fork(lambda: make_sets(folder)) == 0
    problems = []
    for name, job in jobs_of(folder).items():
        started = time.time()
        numbers = sorted({int(n) for n in np.linspace(0, job.operations - 1, min(kills, job.operations))})
        found = [f"{name}, {problem}" for number in numbers for problem in job.check(number)]
        print(name, job.operations, len(numbers), round(time.time() - started, 1), found[:3], flush=True)
        problems += found
    return problems


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), int(sys.argv[2])))
