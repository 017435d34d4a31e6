"""Command lines that need processes of their own, forked here; ``python -m tests.helpers.cli_jobs FILE`` writes their exit codes."""

import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path

from hf_prune.cli import main

SCORE = [
    "prototypes",
    "--encoder",
    "pixels",
    "--image-size",
    "2",
    "--num-prototypes",
    "2",
    "--no-load-from-cache-file",
]


def start_jobs(folder: Path) -> dict[str, int]:
    """Exit codes of all commands, by name."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    score = ["score", str(folder / "data"), *SCORE, "--out", str(folder / "scored")]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = [
        fork(folder, f"rank-{rank}", score, common | {"RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in (0, 1)
    ]
    codes = {f"rank-{rank}": wait(process) for rank, process in enumerate(ranks)}
    codes["push"] = wait(fork(folder, "push", ["push", str(folder / "data"), "somebody/tiny", "--source", "local"]))
    codes["interrupted"] = interrupt(folder, "interrupted", signal.SIGINT)
    codes["terminated"] = interrupt(folder, "terminated", signal.SIGTERM)
    codes["unheard"] = wait(fork(folder, "unheard", ["metrics"], stdout=closed_pipe()))
    return codes


def fork(
    folder: Path, name: str, arguments: list[str], variables: dict[str, str] | None = None, stdout: int | None = None
) -> int:
    process = os.fork()
    if process:
        return process
    code = 99
    try:
        os.environ.update(variables or {})
        signal.signal(
            signal.SIGINT, signal.default_int_handler
        )  # work in the background is started with Ctrl-C ignored
        out = os.open(folder / f"{name}.out", os.O_WRONLY | os.O_CREAT) if stdout is None else stdout
        os.dup2(out, 1)
        os.dup2(os.open(folder / f"{name}.err", os.O_WRONLY | os.O_CREAT), 2)
        code = main(arguments)
        sys.stdout.flush()
    finally:
        os._exit(code)


def wait(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def interrupt(folder: Path, name: str, number: int) -> int:
    """A signal while the command waits for its recipe, which comes through a pipe."""
    recipe = folder / f"{name}.yaml"
    os.mkfifo(recipe)
    process = fork(folder, name, ["run", str(recipe)])
    ended: list[int] = []

    def open_if_it_ends() -> None:
        """A command that fails before it opens its end would leave this one waiting for ever."""
        ended.append(wait(process))
        os.close(os.open(recipe, os.O_RDONLY | os.O_NONBLOCK))

    watcher = threading.Thread(target=open_if_it_ends)
    watcher.start()
    writer = os.open(recipe, os.O_WRONLY)  # waits until the command has opened the other end
    if not ended:
        os.kill(process, number)
    # A signal that comes just before the command begins to read does not wake it; the end of the pipe does, and then Python
    # looks at its signals before anything else.
    os.close(writer)
    watcher.join()
    return ended[0]


def closed_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.write_text(json.dumps(start_jobs(out.parent)))
