"""What figures were measured on, as the column ``machine`` of a table says it; the machine's own name is nobody's business."""

import os
import platform
import sys
from pathlib import Path


def device() -> str:
    """Name the accelerator, or else the processor with its cores and threads.

    Only of a script that imports torch is an accelerator named, and the threads are torch's: no memory is measured more for it.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    threads = os.environ.get("OMP_NUM_THREADS", os.cpu_count()) if torch is None else torch.get_num_threads()
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, {threads} thread(s)"


def machine() -> str:
    """Name the `device` and the versions of Python and, where it is imported, torch."""
    torch = sys.modules.get("torch")
    return f"{device()}, Python {platform.python_version()}" + (
        "" if torch is None else f", torch {torch.__version__}"
    )
