import importlib.metadata
import re

import hf_prune
from hf_prune.version import __version__


def test_one_version_everywhere():
    assert hf_prune.__version__ == __version__
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", __version__)
    assert importlib.metadata.version("hf-prune") == __version__  # read from this file when the package is built
