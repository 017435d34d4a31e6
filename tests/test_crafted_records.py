"""Records that somebody crafted to harm whoever reads them end in one line, soon, and without filling the memory.

``CRAFTED_RECORDS=1000 make test ARGS="-s tests/test_crafted_records.py"`` reads a thousand of them and says what the worst took.
"""

import json
import os

from tests.helpers.process_parent import ON_CPU, TIMEOUT, fork_jobs

FEW = 30


def test_crafted_records_end_in_one_line(tmp_path):
    count = int(os.environ.get("CRAFTED_RECORDS", FEW))
    variables = ON_CPU | {"CRAFTED_RECORDS": str(count)}
    fork_jobs("tests.helpers.foreign_jobs", tmp_path, variables, timeout=TIMEOUT + 5 * count)
    found = json.loads((tmp_path / "found.json").read_text())
    assert sum(found["calls"].values()) >= count, found
    if count != FEW:
        os.write(1, f"\n{found}\n".encode())
