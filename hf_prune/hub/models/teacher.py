"""Trained models, published with a card that names the rows they were trained on."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets import Dataset
from huggingface_hub import CommitInfo

from hf_prune.data.splits import check_one
from hf_prune.hub.card.model_card import teacher_card
from hf_prune.hub.layout import README
from hf_prune.hub.models.record import Trained, check_trained_on, describe_trained, open_trained
from hf_prune.hub.models.repository import read_readme, send_model
from hf_prune.hub.models.rows import describe_trained_rows
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.folders import is_ours, owned, recover
from hf_prune.runtime.integrity import check_digests
from hf_prune.training.teachers import Teachers

RECORD = "training.json"


def push_teacher(
    teacher: Teachers | str | Path,
    repo_id: str,
    *,
    trained_on: Dataset,
    cut: str | None = None,
    source: str | None = None,
    dynamics: bool = False,
    private: bool | None = None,
    token: str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    commit_message: str = "Upload teacher with hf_prune",
) -> CommitInfo:
    """Publish a teacher as a model repository, with a card that names the data cut it was trained on, in one commit.

    Config, weights (safetensors) and image processor are sent, with ``training.json``, the record that the card is made from;
    no checkpoint, no state of an optimiser and no pickle. The rows are compared with the training's description of its own.

    Args:
        teacher: Result of `train_teachers`, or its folder, with one training; or the folder of one model.
        repo_id: Repository, ``"namespace/name"`` or a name of your own; made if it is not there.
        trained_on: The rows it was trained on, n of them, as they were pruned or as they were loaded from the Hub.
        cut: Where these rows were published, ``"namespace/name:configuration"``, which is checked; None finds that where
            `datasets` loaded them from there, and else takes their history.
        source: Where the rows came from before they were pruned, as for `hf_prune.push_to_hub`.
        dynamics: Whether the record of the training is sent too.
        private: Whether a repository that is made is private; None leaves it to the account's settings. With True, a
            public repository is refused.
        token: A token with write access; None takes the one that is logged in.
        revision: Branch to push to, made if it is not there.
        create_pr: Whether to open a pull request instead.
        commit_message: Title of the commit.

    Returns:
        The commit.

    Raises:
        FileNotFoundError: If there is no finished model, or a file of it is missing.
        ValueError: If there are several, ``trained_on`` holds other rows than the training or the cut, no source is found, or
            a file is not the one that was finished.
        PermissionError: If the token may not write there.
        OSError: If the Hub or the disk fails; the message says what was published.
    """
    write = _writer(teacher, trained_on, cut, source, dynamics, token)
    return send_model(
        repo_id,
        write,
        private=private,
        token=token,
        revision=revision,
        create_pr=create_pr,
        commit_message=commit_message,
    )


def export_teacher(
    teacher: Teachers | str | Path,
    folder: str | Path,
    *,
    trained_on: Dataset,
    cut: str | None = None,
    source: str | None = None,
    dynamics: bool = False,
) -> Path:
    """Write what `push_teacher` sends to a folder.

    Args:
        teacher: As for `push_teacher`.
        folder: A new or empty folder, or one that was exported to before; in the teacher's own folder, card and record are
            written beside the model.
        trained_on: As for `push_teacher`.
        cut: As for `push_teacher`; a folder that was exported is named as ``"folder:configuration"``.
        source: As for `push_teacher`.
        dynamics: As for `push_teacher`.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: As `push_teacher`.
        ValueError: As `push_teacher`, or if the folder holds something else.
        OSError: If it cannot be written, or another process writes there; the folder is then as it was.
    """
    folder = Path(folder).expanduser()
    recover(folder)
    own = folder.resolve() == open_trained(teacher).folder.resolve()
    held = folder.exists() and not all(is_ours(path.name) for path in folder.iterdir())
    if held and not own and not (folder / RECORD).is_file():
        raise InputError(f"{str(folder)!r} is not empty and holds no {RECORD}: name a new or an empty folder")
    write = _writer(teacher, trained_on, cut, source, dynamics, None)
    write(folder, None)
    return folder


def _writer(
    teacher: Teachers | str | Path, ds: Any, cut: str | None, source: str | None, dynamics: bool, token: str | None
) -> Callable[[Path, str | None], None]:
    """Check everything, and return a function that writes the files to a folder for a repository of some name."""
    check_one(ds, "trained_on=")
    trained = open_trained(teacher)
    names = trained.files(dynamics)
    check_digests(trained.folder, only=set(names).__contains__)
    compared = check_trained_on(trained, ds)
    data = describe_trained_rows(ds, cut, source, token)

    def write(folder: Path, repo_id: str | None) -> None:
        with owned(folder) as own:
            new = own.stage()
            files = _copy(trained, names, own.path, new)
            record = describe_trained(trained, data, compared, files)
            card = teacher_card(record, repo_id, read_readme(folder))
            text = json.dumps(record, indent=1, sort_keys=True, ensure_ascii=True, allow_nan=False) + "\n"
            (new / RECORD).write_bytes(text.encode())
            (new / README).write_bytes(card.encode())
            own.commit()

    return write


def _copy(trained: Trained, names: list[str], folder: Path, new: Path) -> dict[str, Path]:
    """Copy the files of a folder to the folder ``new``, except onto themselves, and return where each of them lies."""
    files = {}
    for name in names:
        origin, files[name] = trained.folder / name, folder / name
        if files[name].exists() and files[name].samefile(origin):
            continue
        files[name] = new / name
        files[name].parent.mkdir(parents=True, exist_ok=True)
        own = trained.content(name)
        if own is None:
            shutil.copyfile(origin, files[name])
        else:
            files[name].write_bytes(own)
    return files
