"""Runs a module of the tests as a user of the Hub server, in a process of its own: the client reads its settings at import."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.helpers.hub_server import TOKEN, Hub

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 300  # seconds


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
        "PYTHONFAULTHANDLER": "1",
        **variables,
    }
    out = folder / "found.json"
    command = [sys.executable, "-m", f"tests.helpers.{module}", str(out), *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | settings, text=True, **pipes) as process:
        try:
            _, said = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # so that it says where it stands
            _, said = process.communicate()
    assert process.returncode == 0, said
    return json.loads(out.read_text())
