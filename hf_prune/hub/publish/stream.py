"""Publish a stream: one file at a time is written, sent and taken away, then one commit holds them all."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow.parquet as pq
from datasets import ClassLabel, Image, IterableDataset
from datasets.table import embed_table_storage
from datasets.utils.py_utils import convert_file_size_to_int
from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete

from hf_prune.data.history import CLEAN, Step, provenance
from hf_prune.hub.card.metadata import config_patterns, load_card, merge_metadata
from hf_prune.hub.card.page import put_section
from hf_prune.hub.card.text import code, number, words
from hf_prune.hub.layout import README, folder_of
from hf_prune.hub.publish.repository import Repository, staging_folder
from hf_prune.runtime.errors import InputError
from hf_prune.selection.orders import get_order
from hf_prune.streams.source import StreamSource

if TYPE_CHECKING:
    from markupsafe import Markup

_GROUP_ROWS = 100  # of a Parquet file, as `datasets` writes images
_SHARD_SIZE = "500MB"
_NOT_RECORDED = (
    "The rows were read as a stream. Where they came from and what their columns hold was not recorded, so that nobody can "
    "verify the selection without scoring again."
)


class StreamPlace(NamedTuple):
    """Where the rows of a stream go in a repository.

    Attributes:
        config_name: Configuration.
        split: Name of the split.
        data_dir: Folder of the files; None is ``"data"`` for the default configuration, else its name.
    """

    config_name: str
    split: str
    data_dir: str | None = None

    @property
    def folder(self) -> str:
        """Return the folder of the files."""
        return self.data_dir or folder_of(self.config_name)


def push_stream(
    ds: IterableDataset,
    hub: Repository,
    place: StreamPlace,
    set_default: bool | None = None,
    max_shard_size: int | str | None = None,
    commit_message: str | None = None,
    commit_description: str | None = None,
) -> CommitInfo:
    """Push the rows of a stream with a card and the steps on its record; the arguments are those of `push_to_hub`.

    Raises:
        ValueError: If the stream is a share of one, or has no rows.
        OSError: If the Hub or the disk fails, or others commit meanwhile.
    """
    if ds._distributed is not None:
        raise InputError(
            "the stream is the share of one process: push the stream before it is split, from one process"
        )
    source = StreamSource(ds)
    ds = source.given  # with its features
    published = hub.read()
    hub.make()
    where: dict[str, Any] = {"repo_type": "dataset", "revision": hub.revision, "create_pr": hub.create_pr}
    with staging_folder() as folder:
        shards = _shards(source, folder, convert_file_size_to_int(max_shard_size or _SHARD_SIZE))
        prefix = f"{place.folder}/{place.split}-"
        sent, rows, size = _send(hub, shards, prefix, where)
        record = _record(ds, place, rows, size, sum(file.upload_info.size for file in sent))
        texts = _texts(published.readme, hub.repo_id, ds, record | {"set_default": set_default}, place)
        new = {file.path_in_repo for file in sent}
        stale = [name for name in published.files if name.startswith(prefix) and name not in new]
        with hub._plain_errors(ValueError):
            return hub.api.create_commit(
                hub.repo_id,
                [*sent, *texts, *map(CommitOperationDelete, stale)],
                commit_message=commit_message or f"Upload {place.config_name} with hf_prune",
                commit_description=commit_description,
                parent_commit=hub.head or None,
                **where,
            )


def _send(
    hub: Repository, shards: Iterator[Path], prefix: str, where: Mapping[str, Any]
) -> tuple[list[CommitOperationAdd], int, int]:
    """Send each file as it comes and take it away; return what a commit is to add, the rows, and their uncompressed bytes."""
    sent: list[CommitOperationAdd] = []
    rows = size = 0
    for path in shards:
        metadata = pq.read_metadata(path)
        rows += metadata.num_rows
        size += sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
        sent.append(CommitOperationAdd(f"{prefix}{len(sent):05d}.parquet", path))
        with hub._plain_errors(ValueError, OSError):  # such as a quota that is used up
            hub.api.preupload_lfs_files(hub.repo_id, sent[-1:], free_memory=False, **where)
        if getattr(sent[-1], "_is_uploaded", True):  # the Hub takes a file that it calls small with the commit
            path.unlink()
    if not rows:
        raise InputError("there are no rows to publish, and an empty split cannot be loaded")
    return sent, rows, size


def check_stream_options(
    source: Any, scores: Any, what: str, num_shards: Any, embed_external_files: bool, num_proc: Any
) -> None:
    """Raise a one-line ValueError if an argument of `push_to_hub` was given that a stream does not take."""
    given = {"source": source, "scores": scores, "num_shards": num_shards, "num_proc": num_proc}
    refused = {name: value for name, value in given.items() if value is not None}
    refused |= {"what": what} if what != "split" else {}
    refused |= {} if embed_external_files else {"embed_external_files": False}
    for name, value in refused.items():
        raise InputError(f"{name}={value!r} is not for a stream, which is read once: leave it out")


def _shards(source: StreamSource, place: Path, limit: int) -> Iterator[Path]:
    """Write files of so many bytes before compression; each is to be taken away before the next is asked for."""
    schema = source.features.arrow_schema
    writer, path, written = None, place / "shard.parquet", 0
    for block in (block for shard in range(source.num_shards) for block in source.blocks(shard)):
        table = embed_table_storage(block.rows.data.table, source.given._token_per_repo_id).cast(schema)
        writer = writer or pq.ParquetWriter(path, schema)
        writer.write_table(table, row_group_size=_GROUP_ROWS)
        written += table.nbytes
        if written >= limit:
            writer.close()
            yield path
            writer, path, written = None, path.with_suffix(f".{block.shard}-{block.number}.parquet"), 0
    if writer is not None:
        writer.close()
        yield path


def _record(ds: IterableDataset, place: StreamPlace, rows: int, size: int, download_size: int) -> dict[str, Any]:
    """Collect what the header of a card says of one split; the other splits of the configuration stay."""
    features = ds.features
    images = [name for name, feature in features.items() if isinstance(feature, Image)]
    classes = [name for name, feature in features.items() if isinstance(feature, ClassLabel)]
    entry = {"rows": rows, "num_bytes": size, "data_files": [f"{place.folder}/{place.split}-*"], "source": {}}
    return {
        "config_name": place.config_name,
        "features": features._to_yaml_list(),
        "splits": {place.split: entry | {"image_column": (images or [None])[0], "class_columns": classes}},
        "download_size": download_size,
    }


def _texts(
    readme: str | None, repo_id: str, ds: IterableDataset, record: Mapping[str, Any], place: StreamPlace
) -> list[CommitOperationAdd]:
    """Write the card and the steps."""
    card, steps, steps_file = load_card(readme), provenance(ds).steps, f"{place.folder}/steps.json"
    others = [split for split in config_patterns(card.data).get(place.config_name, {}) if split != place.split]
    merge_metadata(card.data, {**record, "other_splits": others})
    rows = record["splits"][place.split]["rows"]
    lines = [f"## How the rows of {code(place.config_name)} were chosen", *map(_sentence, steps)]
    lines += [_NOT_RECORDED, f"{number(rows)} rows. The steps, as plain JSON: {code(steps_file)}."]
    put_section(card, place.config_name, "\n\n".join(lines), repo_id.rpartition("/")[2])
    content = json.dumps({"format": 1, "steps": [step.to_dict() for step in steps]}, indent=2)
    return [CommitOperationAdd(README, str(card).encode()), CommitOperationAdd(steps_file, content.encode())]


def _sentence(step: Step) -> "Markup":
    """Say of one step what was done."""
    from markupsafe import Markup

    if step.kind == CLEAN:
        left = number(step.rows_out)
        return Markup("- Removed rows that another split holds, too: {} of {} are left.").format(
            left, number(step.rows_in)
        )
    if step.kind != "prune":
        models = [model for made in step.inputs.values() for model in _models(made)]
        by = Markup(", by {}").format(Markup(", ").join(map(code, models))) if models else Markup("")
        return Markup("- Scored {} rows with {}{} (options: {}).").format(
            number(step.rows_in), code(step.metric), by, words(step.options)
        )
    kept = Markup("{} of {} rows").format(number(step.rows_out), number(step.rows_in))
    if step.options.get("passes") == 1:
        kept = Markup("a share of {} of the rows, within 1 %, cut in one pass").format(code(step.keep))
    return Markup("- Kept {}: {} (options: {}).").format(
        kept, Markup(get_order(step.order).keeps).format(column=code(step.column)), words(step.options)
    )


def _models(made: Any) -> list[str]:
    """List ids and commits of the models that made an input."""
    found = made.values() if isinstance(made, Mapping) else []
    models = [model for value in found for model in (value if isinstance(value, list) else [value])]
    named = [model for model in models if isinstance(model, Mapping) and "id" in model]
    return [f"{model['id']}@{model['commit']}" if model.get("commit") else str(model["id"]) for model in named]
