"""The features and names of all columns are read as often for many columns as for few: each reading copies them all."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset

import hf_prune
from hf_prune.data.row_keys import row_keys

PACKAGE = str(Path(hf_prune.__file__).parent)


@pytest.fixture
def reads(monkeypatch) -> Counter[str]:
    """How often each function of the package reads them, by file and name of the function."""
    found: Counter[str] = Counter()
    for name in ("features", "column_names"):
        original = getattr(Dataset, name)

        def read(self, original=original):
            # A comprehension has a frame of its own in Python 3.11, and none from 3.12 on.
            frame = sys._getframe(1)
            while frame.f_code.co_name.startswith("<") and frame.f_back is not None:
                frame = frame.f_back
            if frame.f_code.co_filename.startswith(PACKAGE):
                found[f"{Path(frame.f_code.co_filename).name}: {frame.f_code.co_name}"] += 1
            return original.fget(self)

        monkeypatch.setattr(Dataset, name, property(read))
    return found


def use_everything(num_columns: int, folder: Path) -> None:
    columns = {f"column {number}": np.arange(12) for number in range(num_columns)}
    ds = Dataset.from_dict({**columns, "s": np.arange(12) / 12, "t": np.arange(12)[::-1] / 12})
    scored = ds.score_with("random")
    hf_prune.combine(scored, ["s", "t"], column="both")
    pruned = scored.prune("random", keep=0.5, order="hard")
    hf_prune.explain(scored, pruned)
    hf_prune.correlate(scored, ["random", "s"])
    hf_prune.export(pruned, folder / "out", source="local", scores=scored)
    assert hf_prune.verify(folder / "out").exit_code == 0
    row_keys(ds)
    renamed = pruned.rename_column("s", "u")
    assert not hf_prune.provenance(renamed).changed_since(renamed)


def test_reads_do_not_grow_with_the_columns(reads, tmp_path):
    counts = []
    for num_columns in (4, 24):
        reads.clear()
        (tmp_path / str(num_columns)).mkdir()
        use_everything(num_columns, tmp_path / str(num_columns))
        counts.append(Counter(reads))
    assert counts[1] == counts[0]
