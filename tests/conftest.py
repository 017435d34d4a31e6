"""What holds for every test: no network, and caches of its own.

The variables are read when the libraries are first imported, so they are set before anything else.
"""

import os
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="hf-prune-tests-")
os.environ.pop("HF_DATASETS_DISABLE_PROGRESS_BARS", None)
