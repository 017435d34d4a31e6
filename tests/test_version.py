import re
import tomllib
from pathlib import Path

import hf_prune
from hf_prune.version import __version__

ROOT = Path(__file__).resolve().parents[1]


def test_one_version_everywhere():
    assert hf_prune.__version__ == __version__
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", __version__)
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["version"]["path"]
    assert f'__version__ = "{__version__}"' in (ROOT / built).read_text()
