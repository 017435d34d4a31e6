# /// script
# requires-python = ">=3.11"
# dependencies = ["hf-prune"]
# ///
"""Run ``hf-prune`` in an environment of its own, such as that of a job of the Hub; README.md has the commands.

The arguments are those of ``hf-prune``. The package is on no index, so uv finds it as a wheel, in the folder that UV_FIND_LINKS
names.
"""

import sys

from hf_prune.cli import main

if __name__ == "__main__":
    sys.exit(main())
