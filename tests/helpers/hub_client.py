"""Runs a module of the tests as a user of the Hub server, in a process of its own: the client reads its settings at import."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.helpers.hub_server import TOKEN, Hub

ROOT = Path(__file__).resolve().parents[2]


def work(hub: Hub, folder: Path, module: str, *arguments: str, **variables: str):
    """Run ``python -m tests.MODULE FILE ARGUMENTS`` and return the JSON that it wrote to the file."""
    settings = {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(folder / "home"),
        "HF_TOKEN": TOKEN,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TMPDIR": str(folder),
        **variables,
    }
    out = folder / "found.json"
    command = [sys.executable, "-m", f"tests.helpers.{module}", str(out), *arguments]
    run = subprocess.run(command, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return json.loads(out.read_text())
