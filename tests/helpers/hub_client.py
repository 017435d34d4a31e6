"""Runs a module of the tests as a user of the Hub server, in a process of its own whose client has settings of its own."""

import importlib
import json
import runpy
import sys
from pathlib import Path

import datasets
import huggingface_hub

from tests.helpers.hub_server import TOKEN, Hub
from tests.helpers.process_parent import fork_call


def work(hub: Hub, folder: Path, module: str, *arguments: str, **variables: str):
    """Run ``python -m tests.helpers.MODULE FILE ARGUMENTS`` and return the JSON that it wrote to the file."""
    settings = {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(folder / "home"),
        "HF_TOKEN": TOKEN,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TMPDIR": str(folder),
        **variables,
    }
    out = folder / "found.json"
    fork_call(_run, (f"tests.helpers.{module}", str(out), *arguments), folder, settings)
    return json.loads(out.read_text())


def _run(module: str, *arguments: str) -> None:
    for settings in (huggingface_hub.constants, datasets.config):  # they were read when the libraries were loaded
        importlib.reload(settings)
    huggingface_hub.hf_api.api.endpoint = huggingface_hub.constants.ENDPOINT
    huggingface_hub.utils.disable_progress_bars()
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)
