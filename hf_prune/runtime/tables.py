"""Tables in CSV files."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def write_csv(path: str | Path, header: Iterable[str], lines: Iterable[Iterable[Any]]) -> Path:
    """Write a table as CSV in UTF-8, its lines ending with a line feed; return the path."""
    path = Path(path)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)
    return path
