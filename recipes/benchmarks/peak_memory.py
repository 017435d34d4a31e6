"""Time and highest memory of a piece of work, as the kernel of Linux counts it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROCESS = Path("/proc/self")


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
