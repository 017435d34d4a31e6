"""Publish on the Hub: everything is built on disk first, then sent in one commit on the parent that was read."""

from collections.abc import Mapping
from dataclasses import replace

from datasets import Dataset, DatasetDict, IterableDataset
from huggingface_hub import CommitInfo
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, though not marked as such

from hf_prune.hub.card.metadata import config_info, config_patterns, load_card, same_features
from hf_prune.hub.formats import Configuration
from hf_prune.hub.layout import Published, matches
from hf_prune.hub.publish.bundle import Bundle, digest_images
from hf_prune.hub.publish.configurations import describe_configurations, describer, read_configuration
from hf_prune.hub.publish.export import TEXTS, write_texts
from hf_prune.hub.publish.repository import Repository, staging_folder
from hf_prune.hub.publish.shards import ShardOptions, Shards
from hf_prune.hub.publish.stream import StreamPlace, check_stream_options, push_stream
from hf_prune.hub.publish.target import Target, put_all
from hf_prune.runtime.errors import InputError


def push_to_hub(
    ds: Dataset | DatasetDict | IterableDataset,
    repo_id: str,
    *,
    source: str | None = None,
    scores: Dataset | DatasetDict | None = None,
    what: str = "split",
    config_name: str | None = None,
    set_default: bool | None = None,
    split: str | None = None,
    data_dir: str | None = None,
    commit_message: str | None = None,
    commit_description: str | None = None,
    private: bool | None = None,
    token: str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    max_shard_size: int | str | None = None,
    num_shards: int | Mapping[str, int | None] | None = None,
    embed_external_files: bool = True,
    num_proc: int | None = None,
    report: bool = False,
) -> CommitInfo:
    """Push a data set with its card and its record to the Hub, in one commit.

    Prose of an existing card, its other configurations and its other YAML keys stay; of the configuration that is
    pushed, a ``DatasetDict`` replaces all splits and a ``Dataset`` its own.

    Args:
        ds: What to push; of a ``DatasetDict`` all splits that have rows. A stream is read once and sent a file at a time, with
            its steps on the card; it takes none of ``source``, ``scores``, ``what``, ``num_shards`` and ``num_proc``.
        repo_id: Repository, ``"namespace/name"`` or a name of your own; made if it is not there.
        source: Where the data set came from: ``"name@COMMIT"`` on the Hub, ``"local"``, or None to detect it from the
            files that `datasets` loaded.
        scores: The scored data set before it was pruned; adds statistics of its scores to record and card.
        what: ``"split"`` publishes the rows; ``"scores"`` also a configuration ``scores`` with a content key, every score,
            whether it was kept and why for every row of ``scores``; ``"rows"`` that alone and the numbers of the kept
            rows, without any column of the source, where its licence forbids copies.
        config_name: Configuration to write; None calls it after the last pruning, such as ``"prototypes-keep0.8"``, and
            ``"default"`` what was not pruned. Several cuts stand side by side under names of their own.
        set_default: Whether ``load_dataset(repo_id)`` opens it; None does so for a pruned data set, unless there is a
            configuration ``default``.
        split: Name of the split of a ``Dataset``; None takes its own, else ``"train"``.
        data_dir: Folder of the shards; None is ``"data"`` for the default configuration, else its name.
        commit_message: Title of the commit.
        commit_description: Text of the commit.
        private: Whether a repository that is made is private; None leaves it to the account's settings. With True, a
            public repository is refused.
        token: A token with write access; None takes the one that is logged in.
        revision: Branch to push to, made if it is not there.
        create_pr: Whether to open a pull request instead.
        max_shard_size: Upper limit of a shard before compression; None is the 500 MB of `datasets`.
        num_shards: Number of shards instead, for a ``DatasetDict`` also by split.
        embed_external_files: Whether the bytes of files given by path or URL are put into the shards.
        num_proc: Processes that write shards.
        report: Whether the page of `hf_prune.report` is put beside the card for each cut, which links to it; it shows images.

    Returns:
        The commit, as ``Dataset.push_to_hub`` does.

    Raises:
        ValueError: If a name, the source, ``scores`` or what is published does not fit; the message says what does.
        TypeError: If ``ds`` is no data set.
        PermissionError: If the token may not write there.
        OSError: If the Hub or the disk fails, or others keep committing; the message says what became of it.
    """
    _check_target(repo_id, revision, create_pr)
    if isinstance(ds, IterableDataset):
        if report:
            raise InputError("report=True looks at rows again and again, which a stream does not allow: leave it out")
        check_stream_options(source, scores, what, num_shards, embed_external_files, num_proc)
        hub = Repository(repo_id, token, revision, create_pr, private=private)
        place = StreamPlace(config_name or "default", split or str(ds.split or "train").partition("[")[0], data_dir)
        return push_stream(ds, hub, place, set_default, max_shard_size, commit_message, commit_description)
    options = ShardOptions(max_shard_size, num_shards, embed_external_files, num_proc)
    own = read_configuration(
        ds,
        what=what,
        scores=scores,
        config_name=config_name,
        split=split,
        data_dir=data_dir,
        set_default=set_default,
    )
    hub = Repository(repo_id, token, revision, create_pr, private=private)
    there = hub.read()
    own = replace(own, repo_id=hub.repo_id)  # the full name, as the Hub knows it
    configurations = describe_configurations(own, what, describer(source, token), there, report=report)
    with staging_folder() as folder:
        bundles = [Bundle.write(configuration, folder, options) for configuration in configurations]

        def arrange(published: Published) -> tuple[list[str], list[str]]:
            # Compared once more: writing may have taken hours.
            after, stale = put_all(configurations, bundles, published)
            write_texts(folder, after)
            return [*(path for bundle in bundles for path in bundle.files), *TEXTS], stale

        names = " and ".join(configuration.name for configuration in configurations)
        message = commit_message or f"Upload {names} with hf_prune"
        return hub.send(folder, arrange, message, commit_description)


def push_card(
    ds: Dataset | DatasetDict,
    repo_id: str,
    *,
    source: str | None = None,
    scores: Dataset | DatasetDict | None = None,
    config_name: str = "default",
    split: str | None = None,
    commit_message: str | None = None,
    commit_description: str | None = None,
    token: str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
) -> CommitInfo:
    """Add card and record to splits that were pushed with ``ds.push_to_hub``.

    Args:
        ds: The data set as it was pushed.
        repo_id: Where it was pushed to.
        source: As for `push_to_hub`.
        scores: As for `push_to_hub`.
        config_name: Configuration it was pushed as.
        split: Split it was pushed as; None takes that of the ``Dataset``, else ``"train"``.
        commit_message: Title of the commit.
        commit_description: Text of the commit.
        token: A token with write access; None takes the one that is logged in.
        revision: Branch it was pushed to.
        create_pr: Whether to open a pull request instead.

    Returns:
        The commit.

    Raises:
        ValueError: If the repository does not hold these rows with these features.
        PermissionError: If the token may not write there.
        OSError: If the repository changed meanwhile, in which case nothing is published, or the Hub fails.
    """
    _check_target(repo_id, revision, create_pr)
    own = read_configuration(ds, config_name=config_name, split=split, scores=scores, set_default=False)
    hub = Repository(repo_id, token, revision, create_pr)
    published = hub.read()
    own = replace(own, repo_id=hub.repo_id, whole=False)
    shards = _pushed_shards(own, published)
    own = own.format.describe(own, describer(source, token))
    own = replace(own, entries={name: entry | {"published_by": "datasets"} for name, entry in own.entries.items()})
    after = Target(own, published).put(Bundle(shards, {}, digest_images(own)))
    with staging_folder() as folder:
        write_texts(folder, after)
        message = commit_message or f"Say how {config_name} was made, with hf_prune"
        return hub.commit(folder, TEXTS, (), message, commit_description)


def _pushed_shards(own: Configuration, published: Published) -> dict[str, Shards]:
    """Return the files of splits that `datasets` pushed, which must be what the card is going to describe."""
    data = load_card(published.readme).data
    patterns = config_patterns(data).get(own.name, {})
    info = config_info(data, own.name)
    pushed = {split["name"]: split for split in info.get("splits") or []}
    shards = {}
    where = f"{own.repo_id} ({own.name})"
    for name, split in own.splits.items():
        if name not in pushed or name not in patterns:
            raise InputError(f"{where} has no split {name!r}: push it first with ds.push_to_hub, or name split=")
        rows = len(split.rows)
        if pushed[name]["num_examples"] != rows or not same_features(info["features"], own.features):
            raise InputError(
                f"split {name!r} of {where} is not this data set ({pushed[name]['num_examples']} rows there, "
                f"{rows} here, or other features): push it again first"
            )
        sizes = {path: size for path, size in published.files.items() if matches(path, patterns[name])}
        files = {path: {"size": size, "sha256": published.sha256(path)} for path, size in sizes.items()}
        shards[name] = Shards(tuple(patterns[name]), files, pushed[name]["num_bytes"])
    return shards


def _check_target(repo_id: str, revision: str | None, create_pr: bool) -> None:
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise InputError(
            f"repo_id={repo_id!r} is no name of a repository: give 'namespace/name' of letters, digits, '-', '_', '.'"
        ) from error
    if create_pr and revision not in (None, "main"):
        raise InputError(f"create_pr=True starts from main; leave out revision={revision!r}")
