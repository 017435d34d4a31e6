"""Two processes at once on every kind of folder: each is done or is refused in one line, and nothing is lost or mixed."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datasets import load_from_disk

from hf_prune import Heads, Prototypes, Run, Teachers, export_teacher, measure_scaling, train_teachers
from hf_prune.cli.folders import save
from hf_prune.heads.runs import train_heads
from hf_prune.hub.publish.export import export
from hf_prune.hub.verify.verify import verify
from hf_prune.runtime.folders import FolderInUseError
from hf_prune.scaling.runs.grid import ORDERS
from hf_prune.scaling.runs.report import write_report
from hf_prune.scaling.runs.results import ScalingRun, read_runs
from hf_prune.training.commands import run_command
from tests.helpers import teacher_jobs
from tests.helpers.forking import ended, fork, in_fork
from tests.helpers.scaling_sets import make_rows
from tests.helpers.tiny_publications import SOURCE, contents, records

REFUSED = 7
Work = Callable[[Path], Any]
# A training command that needs no interpreter: it is started for every cell of a study.
SHELL = ["sh", "-c", """echo '{"wrong": 3, "total": 9}' > "$1/result.json" """, "sh"]


class Kind(NamedTuple):
    """A kind of folder.

    Attributes:
        works: What the two processes do.
        first: Makes what is there before.
        holds: Raises unless the folder holds what those made that were done; None compares with what each makes alone.
    """

    works: Sequence[Work]
    first: Work | None = None
    holds: Callable[[Path, list[int]], None] | None = None


def at_once(works: Sequence[Work], out: Path) -> list[int]:
    """Start them together; their exit codes."""
    gates = [os.pipe() for _ in works]

    def start(work: Work, gate: int) -> None:
        os.read(gate, 1)
        _code(lambda: work(out))

    processes = [
        fork(lambda work=work, gate=gate: start(work, gate[0])) for work, gate in zip(works, gates, strict=True)
    ]
    for _, writer in gates:
        os.write(writer, b"!")
    codes = [ended(process) for process in processes]
    for gate in gates:
        for end in gate:
            os.close(end)
    return codes


def _code(work: Callable[[], Any]) -> None:
    try:
        work()
    except FolderInUseError:
        sys.exit(REFUSED)


def check(kind: Kind, out: Path, alone: Sequence[dict[str, bytes]]) -> list[str]:
    """What is wrong after two at once, and after those that were refused have come again."""
    if kind.first is not None and in_fork(lambda: kind.first(out)):
        return ["no former content"]
    codes = at_once(kind.works, out)
    if not {*codes} <= {0, REFUSED} or codes == [REFUSED, REFUSED]:
        return [f"ended with {codes}"]
    problems = []
    for again in (False, True):
        done = [number for number, code in enumerate(codes) if code == 0]
        if kind.holds is not None:
            problems += ["not whole"] if in_fork(lambda done=done: kind.holds(out, done)) else []
        elif contents(out) not in [alone[number] for number in done]:
            problems.append(f"neither of the two after {codes}")
        if again:
            break
        codes = [code and in_fork(lambda number=number: kind.works[number](out)) for number, code in enumerate(codes)]
        if codes != [0, 0]:
            return [*problems, f"came again and ended with {codes}"]
    left = [path.name for place in (out.parent, out) for path in place.glob(".*")]
    return problems + ([f"left over: {left}"] if left else [])


class Cuts:
    """Two cuts that are exported into one folder, beside a former one and words of the user's.

    Args:
        kept: Folder of a data set that was pruned.
        other: Folder of another one.
    """

    def __init__(self, kept: str, other: str) -> None:
        self.works = [lambda out, name=name: self.export(out, kept, name) for name in ("one", "two")]
        self.other = other

    def export(self, out: Path, place: str, name: str) -> None:
        export(load_from_disk(place), out, source=SOURCE, config_name=name)

    def first(self, out: Path) -> None:
        self.export(out, self.other, "former")
        (out / "README.md").write_text((out / "README.md").read_text() + "\nMy own words.\n")

    def hold_both(self, out: Path, done: list[int]) -> None:
        assert {*records(out)} >= {("one", "two")[number] for number in done}
        assert verify(out).exit_code == 0

    def hold_all(self, out: Path, done: list[int]) -> None:
        self.hold_both(out, done)
        assert "former" in records(out)
        assert "My own words." in (out / "README.md").read_text()


def holds_each_once(out: Path, done: list[int]) -> None:
    keys = [run.key for run in read_runs(out / "results.csv")]
    assert sorted(keys) == sorted({*keys})
    assert len(keys) == 16


def holds_nothing(out: Path, done: list[int]) -> None:
    assert list(out.parent.iterdir()) in ([], [out])


def kinds(root: Path, few: bool) -> dict[str, Kind]:
    """All kinds; a few leave out new folders and what loads much."""
    kept, other = str(root / "kept"), str(root / "scored")
    cuts = Cuts(kept, other)
    saves = [lambda out, place=place: save(load_from_disk(place), out, overwrite=True) for place in (kept, other)]
    found = {
        "export again": Kind(cuts.works, cuts.first, cuts.hold_all),
        "save again": Kind(saves, saves[0]),
        "study": Kind([study, study], holds=holds_each_once),
        "training command": Kind([command, command], holds=holds_nothing),
    }
    if few:
        return found
    places = root / "teachers"
    # Of one source: a card that is written over another keeps a key of its header, also one after the other.
    sending = [lambda out: sent(places, out)] * 2
    assert in_fork(lambda: train(places)) == 0
    return found | {
        "export": Kind(cuts.works, holds=cuts.hold_both),
        "save": Kind(saves),
        "report": Kind([lambda out, wrong=wrong: report(out, wrong) for wrong in (1, 2)]),
        "prototypes": Kind([fitting(kept, 1), fitting(kept, 2)], fitting(kept, 0)),
        "heads": Kind([heads, heads]),
        "teachers": Kind([train, train]),
        "teacher with a card": Kind(sending),
    }


def fitting(kept: str, seed: int) -> Work:
    options = {"num_prototypes": 2, "run": Run(image_size=2, load_from_cache_file=False)}
    return lambda out: Prototypes.fit(load_from_disk(kept), "pixels", seed=seed, **options).save_pretrained(out)


def study(out: Path) -> None:
    ds = make_rows(16, 0)[0]
    measure_scaling(ds, "difficulty", folder=out, sizes=[8, 16], keeps=[0.5], num_draws=2, command=SHELL)


def report(out: Path, wrong: int) -> None:
    cuts = [*((0.5, order) for order in ORDERS), (1.0, "full")]
    cells = [(8, *cut, draw) for cut in cuts for draw in (0, 1)]
    runs = [ScalingRun("0", "difficulty", "all rows", "linear student", *cell, 4, wrong, 9, {}) for cell in cells]
    write_report(runs, out)


def command(out: Path) -> None:
    run_command(SHELL, make_rows(4, 0)[0], {"num_rows": 4})


def heads(out: Path) -> None:
    ds, points = make_rows(24, 0)
    train_heads(points, ds["label"][:], Heads(num_heads=4, subset=0.5), folder=out)


def train(out: Path) -> None:
    settings = {"num_epochs": 1, "batch_size": 8, "image_size": 8}
    train_teachers(teacher_jobs.make_set(), teacher_jobs.Watched(), num_teachers=1, folder=out, **settings)


def sent(teachers: Path, out: Path) -> None:
    export_teacher(Teachers.load(teachers), out, trained_on=teacher_jobs.make_set(), source=SOURCE)


def races(root: Path, times: int) -> list[str]:
    """What is wrong when two processes work at once on each kind of folder, so many times."""
    problems = []
    for name, kind in kinds(root, times == 1).items():
        place = root / f"at once, {name}"
        works = kind.works if kind.holds is None else ()
        alone = [_alone(work, place / f"alone {number}" / "out") for number, work in enumerate(works)]
        found = []
        for time in range(times):
            (place / str(time)).mkdir(parents=True)
            found += [f"two at once, {name}: {problem}" for problem in check(kind, place / str(time) / "out", alone)]
        sys.stdout.write(f"two at once, {name}: {times} times, {len(found)} problems\n")
        sys.stdout.flush()
        problems += found
    return problems


def _alone(work: Work, out: Path) -> dict[str, bytes]:
    out.parent.mkdir(parents=True)
    assert in_fork(lambda: work(out)) == 0
    return contents(out)
