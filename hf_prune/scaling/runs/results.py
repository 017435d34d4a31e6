"""The results of a study, one line of CSV per training, whole or absent even after a kill."""

import csv
import io
import json
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

from hf_prune.runtime.errors import InputError

# What a training was; a study has at most one line of each.
Key: TypeAlias = tuple[int, float, str, int]

FULL = "full"  # no pruning
ALL, WORST_CLASS, WORST_GROUP = "all", "worst class", "worst group"


@dataclass(frozen=True)
class ScalingRun:
    """One training.

    Attributes:
        study: Digest of everything that lines of one file share: data, scores, student, seed.
        metric: The score that rows were chosen by.
        scored_on: ``"all rows"``, or ``"initial set"``: scored anew on the rows that a user of that size would have.
        student: What was trained.
        size: Initial rows.
        keep: Fraction of them kept; 1.0 for ``"full"``.
        order: ``"hard"``, ``"easy"``, ``"random"`` or ``"full"``.
        draw: Number of the draw of initial rows, from 0; it seeds the student, too.
        num_rows: Rows trained on.
        wrong: Test rows got wrong.
        total: Test rows.
        groups: Wrong and total of each class (``"class cat"``) and group (``"group 3"``) of test rows.
    """

    study: str
    metric: str
    scored_on: str
    student: str
    size: int
    keep: float
    order: str
    draw: int
    num_rows: int
    wrong: int
    total: int
    groups: Mapping[str, tuple[int, int]]

    @property
    def key(self) -> Key:
        """Size, fraction, order and draw."""
        return self.size, self.keep, self.order, self.draw

    def counts(self, measure: str = ALL) -> tuple[int, int]:
        """Return wrong and total of a measure: ``"all"``, one of the groups, ``"worst class"`` or ``"worst group"``.

        The worst class is the one with the highest error in this training. As the highest of several noisy errors it lies
        above the expected error of each; that is so for all trainings that are compared.

        Raises:
            ValueError: If there is no such group.
        """
        if measure == ALL:
            return self.wrong, self.total
        if measure in (WORST_CLASS, WORST_GROUP):
            kind = measure.removeprefix("worst ")
            own = [counts for name, counts in self.groups.items() if name.startswith(f"{kind} ")]
        else:
            own = [self.groups[measure]] if measure in self.groups else []
        if not own:
            raise InputError(f"no {measure!r} in these results; there are {', '.join([ALL, *self.groups])}")
        return max(own, key=lambda counts: counts[0] / counts[1])

    def error(self, measure: str = ALL) -> float:
        """Return the test error of a measure, in [0, 1]."""
        wrong, total = self.counts(measure)
        return wrong / total


FIELDS = [field.name for field in fields(ScalingRun)]
CHECK = "crc32"  # of the other cells of a line; files of earlier versions have no such column
_ORDERS = ("hard", "easy", "random", FULL)


def read_runs(path: str | Path) -> list[ScalingRun]:
    """Read the trainings of a file; a last line that was cut off is left out.

    Args:
        path: As `measure_scaling` writes it.

    Returns:
        The trainings, in the order in which they ended.

    Raises:
        ValueError: If the file holds anything else.
        OSError: If it cannot be read.
    """
    data = Path(path).read_bytes()
    whole = _whole_lines(data)
    lines = csv.DictReader(io.StringIO(whole.decode("utf-8", "replace"), newline=""))
    if whole and lines.fieldnames not in (FIELDS, [*FIELDS, CHECK]):
        raise InputError(f"{str(path)!r} holds no results of a scaling study: name another file")
    runs = [_parse(line, f"{str(path)!r}, line {number}") for number, line in enumerate(lines, start=2)]
    if not _is_cut_off(data[len(whole) :].decode("utf-8", "replace")):
        raise _refusal(f"{str(path)!r}, line {len(runs) + 2}", "its end is damaged")
    return runs


def append_run(path: Path, run: ScalingRun) -> None:
    """Add a line that is on the disk when this returns, and whole or absent whatever happens."""
    cells = asdict(run) | {"groups": json.dumps(run.groups, ensure_ascii=False)}
    cells[CHECK] = _checksum(str(cells[name]) for name in FIELDS)
    line = io.StringIO(newline="")
    with path.open("r+b" if path.exists() else "w+b") as file:
        held = _whole_lines(file.read())
        earlier = held.partition(b"\n")[0] == ",".join(FIELDS).encode()
        names = FIELDS if earlier else [*FIELDS, CHECK]
        writer = csv.DictWriter(line, names, lineterminator="\n", extrasaction="ignore")
        file.truncate(len(held))
        file.seek(len(held))
        if not held:
            writer.writeheader()
        writer.writerow(cells)
        file.write(line.getvalue().encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())


def _whole_lines(data: bytes) -> bytes:
    return data[: data.rfind(b"\n") + 1]


def _is_cut_off(tail: str) -> bool:
    """Whether what follows the last whole line is the beginning of a line, rather than a line whose end was altered."""
    cells = next(csv.reader([tail]), [])[len(FIELDS) :]
    return not cells or (len(cells) == 1 and len(cells[0]) <= len(_checksum([])) and tail.endswith(cells[0]))


def _checksum(cells: Iterable[str]) -> str:
    return f"{zlib.crc32(json.dumps(list(cells)).encode()):08x}"


def _refusal(where: str, reason: str = "is no result of a scaling study") -> ValueError:
    return InputError(f"{where}, {reason}: remove the line, or name another file")


def _is_possible(run: ScalingRun) -> bool:
    """Whether a training can have had these numbers."""
    counts = [(run.wrong, run.total), *run.groups.values()]
    return (
        1 <= run.num_rows <= run.size
        and 0 < run.keep <= 1
        and run.order in _ORDERS
        and run.draw >= 0
        and run.total >= 1
        and all(0 <= wrong <= total for wrong, total in counts)
    )


def _parse(line: dict[Any, Any], where: str) -> ScalingRun:
    if None in line or None in line.values():
        raise _refusal(where)
    if CHECK in line and line[CHECK] != _checksum(line[name] for name in FIELDS):
        raise _refusal(where, "is not the line that was written")
    try:
        numbers: dict[str, Any] = {name: int(line[name]) for name in ("size", "draw", "num_rows", "wrong", "total")}
        groups = {str(name): (int(wrong), int(total)) for name, (wrong, total) in json.loads(line["groups"]).items()}
        words: dict[str, Any] = {
            name: str(line[name]) for name in ("study", "metric", "scored_on", "student", "order")
        }
        run = ScalingRun(**words, **numbers, keep=float(line["keep"]), groups=groups)
    except (TypeError, ValueError, AttributeError) as error:
        raise _refusal(where) from error
    if not _is_possible(run):
        raise _refusal(where, f"has numbers that no training can have ({run.wrong} wrong of {run.total}, ...)")
    return run
