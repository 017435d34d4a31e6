"""Time and highest memory of a piece of work, as the kernel of Linux counts it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROCESS = Path("/proc/self")
PAUSE = 0.2  # seconds between two looks at the memory of processes, each of which takes some milliseconds


def resident(name: str = "VmRSS") -> int:
    """Read the memory of this process in bytes: what it has now, or with ``"VmHWM"`` the most that it has had."""
    line = next(line for line in (PROCESS / "status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def measured(work: Callable[[], Any], start: int) -> tuple[Any, float, float]:
    """Do something: its result, the seconds that it took, and the highest memory above the start in MB."""
    (PROCESS / "clear_refs").write_text("5")  # the highest is now what there is
    begun = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begun, (resident("VmHWM") - start) / 1e6


def shared_out(process: int | str = "self") -> int:
    """Read the memory of a process in bytes, a page that several have mapped shared out among them; 0 once it has ended.

    So the sum over some processes counts a page that all of them have once.
    """
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def watched(processes: list[int], are_running: Callable[[], bool]) -> int:
    """Look at processes together every `PAUSE` seconds while they run: the most bytes that they have had at one time."""
    most = 0
    while are_running():
        most = max(most, sum(map(shared_out, processes)))
        time.sleep(PAUSE)
    return most
