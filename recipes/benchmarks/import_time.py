"""What ``import hf_prune`` adds to ``import datasets``: the median of fresh processes, printed.

python recipes/benchmarks/import_time.py
"""

import statistics
import subprocess
import sys

RUNS = 9
LIMIT = 0.15  # seconds
MEASURE = """
import time
start = time.perf_counter()
import datasets
between = time.perf_counter()
import hf_prune
print(between - start, time.perf_counter() - between)
"""


def measure() -> tuple[float, float]:
    """Return the seconds of ``import datasets`` and of ``import hf_prune`` after it, in a process of their own."""
    run = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    base, added = map(float, run.stdout.split())
    return base, added


def main() -> None:
    """Print the medians; the first run, which fills the file cache, is left out."""
    runs = [measure() for _ in range(RUNS + 1)][1:]
    base, added = (statistics.median(column) for column in zip(*runs, strict=True))
    print(f"import datasets {base:.3f} s, import hf_prune adds {added:.3f} s (limit {LIMIT} s), medians of {RUNS}")


if __name__ == "__main__":
    main()
