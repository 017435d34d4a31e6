"""Published data sets checked against their records: every digest, count and feature computed again from the files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_prune.data.history import package_versions
from hf_prune.data.source import Source, check_source
from hf_prune.hub import manifest
from hf_prune.hub.card import croissant
from hf_prune.hub.card.build import build_card
from hf_prune.hub.card.metadata import config_patterns, load_card
from hf_prune.hub.formats import format_of
from hf_prune.hub.layout import CROISSANT_FILE, README, RECORD_FILE, matching
from hf_prune.hub.read.place import DamagedError, Place, open_published
from hf_prune.hub.verify.report import Report
from hf_prune.hub.verify.rows import CHECKS
from hf_prune.runtime.errors import InputError
from hf_prune.runtime.integrity import file_sha256, json_sha256
from hf_prune.runtime.messages import error_line, one_line, shortened
from hf_prune.runtime.untrusted import read_bytes
from hf_prune.selection.orders import find_order

# The first schema whose records have digests of files and of themselves.
_WITH_DIGESTS = 2
_MAX_RENDERED = 20_000_000  # characters of all cards that are rendered: one for each configuration


def verify(name: str | Path, *, revision: str | None = None, token: str | None = None) -> Report:
    """Check a published data set against its own record.

    Computed again from the files: the SHA-256 of each of them and of each record, the card, features, row and class
    counts, the digests of row numbers and images, and that cuts and scores are of the same rows. The Hub is asked
    whether it has the source at its commit. Whether the cut follows from the source is for `rebuild` to tell.

    Args:
        name: A repository of the Hub (``id@revision`` is one with its ``revision``) or a folder that `export` or
            `push_to_hub` filled.
        revision: Branch, tag or commit of the repository.
        token: Token for a private repository.

    Returns:
        A report; its ``exit_code`` is 0 where all agrees, 1 where something differs, 2 where that cannot be checked.

    Raises:
        ValueError: If hf_prune published nothing there, or a later version did.
        OSError: If there is no such place, or a file cannot be read.

    Example:
        >>> import tempfile, hf_prune
        >>> from datasets import Dataset
        >>> with tempfile.TemporaryDirectory() as place:
        ...     _ = hf_prune.export(Dataset.from_dict({"x": [1, 2]}), place, source="local")
        ...     verify(place).exit_code
        0
    """
    try:
        place = open_published(name, revision, token)
    except DamagedError as error:
        report = Report(str(name))
        report.differs(RECORD_FILE, str(error))
        return report
    report = Report(place.shown)
    verify_records(place, report)
    _verify_card(place, report)
    _verify_croissant(place, report)
    _verify_files(place, report)
    damaged = {finding.subject for finding in report.differences}
    for config, record in place.records.items():
        if damaged & set(record.get("files") or ()):
            report.note(config, "its rows were not read, since its files are not those of the record")
            continue
        try:
            for split in place.splits(config):
                CHECKS[format_of(record).name](place, config, split, report)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            report.differs(config, f"the record is damaged ({error_line(error)})")
    _verify_sources(place, report, token)
    return report


def verify_records(place: Place, report: Report) -> None:
    """Check that nobody edited the records."""
    if place.schema < manifest.SCHEMA:
        missing = ("files", "images that can be checked", "score columns")[max(place.schema, 1) - 1]
        report.unknown(RECORD_FILE, f"schema {place.schema} has no digests of {missing}: publish again to have them")
    elif manifest.dump(place.records) != place.provenance:
        report.differs(RECORD_FILE, "it is not as hf_prune writes it, so somebody edited it")
    else:
        report.same(RECORD_FILE, "written by hf_prune, byte by byte")
    for config, record in place.records.items():
        if "record_sha256" in record or place.schema >= _WITH_DIGESTS:
            found = json_sha256(record)
            report.compare(config, "SHA-256 of the record", record.get("record_sha256"), found)


def _verify_card(place: Place, report: Report) -> None:
    """Check that the card says what the records say."""
    from jinja2 import UndefinedError

    if place.readme is None:
        report.differs(README, "it is gone")
        return
    missing = [
        config
        for config, record in place.records.items()
        if record.get("record_sha256") and str(record["record_sha256"]) not in place.readme
    ]
    if missing:
        report.differs(README, f"it does not show the SHA-256 of the record of {missing[0]!r}: one of them was edited")
    if len(place.readme) * len(place.records) > _MAX_RENDERED:
        report.unknown(README, f"it is too long to be rendered again for {len(place.records):,} configurations")
        return
    if others := _other_versions(place):
        versions = ", ".join(sorted(others))
        report.note(README, f"written by another hf-prune ({versions}): its text was not rendered again")
        return
    try:
        rendered = _rendered(place)
    except (ValueError, KeyError, TypeError, AttributeError, UndefinedError) as error:
        report.differs(README, f"it cannot be rendered again ({error_line(error)})")
        return
    if rendered != place.readme:
        _report_difference(place, report, rendered)
    elif not missing:
        report.same(README, "header and sections are those of the records")
        report.note(README, "words outside the sections of hf_prune are the owner's and have no digest")


def _other_versions(place: Place) -> set[str]:
    """Return the versions of hf-prune that wrote the records, but for this one, and the schema if it is an earlier one."""
    named = {str((entry.get("versions") or {}).get("hf-prune")) for entry in _entries(place)}
    earlier = {f"schema {place.schema}"} if place.schema < manifest.SCHEMA else set()
    return named - {package_versions(["hf-prune"])["hf-prune"]} | earlier


def _entries(place: Place) -> list[dict[str, Any]]:
    return [entry for config in place.records for entry in place.splits(config).values()]


def _report_difference(place: Place, report: Report, rendered: str) -> None:
    """Say where a card differs from its records; the words for an order stand where it is registered."""
    orders = [step.get("order") for entry in _entries(place) for step in entry["steps"]]
    unknown = next((order for order in orders if isinstance(order, str) and find_order(order) is None), None)
    if unknown is None:
        report.differs(README, _first_difference(place.readme or "", rendered))
    else:
        shown = shortened(repr(unknown), 100)
        report.unknown(README, f"it names the order {shown}, which is not registered here: import what registers it")


def _rendered(place: Place) -> str:
    """Render the card again from the records, around the text that is not theirs."""
    configs = load_card(place.readme).data.get("configs") or []
    defaults = [config["config_name"] for config in configs if config.get("default")]
    wrong = [name for name in defaults if not place.records.get(name, {"set_default": True})["set_default"]]
    if wrong:
        raise InputError(f"{wrong[0]!r} is the default configuration, which its record does not say")
    text = place.readme
    # The configuration that is rendered last becomes the default, as the one that was published last did.
    for _, record in sorted(place.records.items(), key=lambda item: item[0] in defaults):
        text = build_card(record, text, place.records)
    return str(text)


def _verify_croissant(place: Place, report: Report) -> None:
    """Check that ``croissant.json`` says what the records say; earlier versions wrote none."""
    if CROISSANT_FILE not in place.files:
        if place.schema >= _WITH_DIGESTS:
            report.differs(CROISSANT_FILE, "it is gone")
        return
    if _other_versions(place):
        report.note(CROISSANT_FILE, "written by another hf-prune: it was not made again")
        return
    try:
        same = read_bytes(place.fetch(CROISSANT_FILE)) == croissant.croissant(place.records).encode()
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        report.differs(CROISSANT_FILE, f"it cannot be made again ({error_line(error)})")
        return
    if same:
        report.same(CROISSANT_FILE, "made again from the records, byte by byte")
    else:
        report.differs(CROISSANT_FILE, "it is not what the records say")


def _first_difference(readme: str, rendered: str) -> str:
    pairs = zip(readme.splitlines(), rendered.splitlines(), strict=False)
    found = next((line for line, (ours, theirs) in enumerate(pairs, start=1) if ours != theirs), None)
    line = min(len(readme.splitlines()), len(rendered.splitlines())) + 1 if found is None else found
    return f"line {line} is not what the records say"


def _verify_files(place: Place, report: Report) -> None:
    """Check every file against the size and SHA-256 in its record, and that no other file would be loaded."""
    listed: dict[str, Any] = {}
    for record in place.records.values():
        listed |= record.get("files") or {}
    for path, expected in listed.items():
        _verify_file(place, path, expected, report)
    own = {README, RECORD_FILE, CROISSANT_FILE, ".gitattributes", *listed}
    others = sorted(set(place.files) - own)
    try:
        header = config_patterns(load_card(place.readme).data)
        patterns = [pattern for splits in header.values() for paths in splits.values() for pattern in paths]
        loaded = set(matching(others, patterns))
    except ValueError as error:
        report.differs(README, one_line(error))
        return
    for path in others:
        if path in loaded and place.schema >= _WITH_DIGESTS:
            report.differs(path, "it would be loaded with the others, and no record has it")
        else:
            report.note(path, "no record has it")


def _verify_file(place: Place, path: str, expected: Mapping[str, Any], report: Report) -> None:
    if path not in place.files:
        report.differs(path, "it is gone")
    elif place.files[path] != expected.get("size"):
        report.differs(path, f"it has {place.files[path]:,} bytes instead of {expected.get('size'):,}")
    elif expected.get("sha256") is None:
        report.note(path, "its SHA-256 was not known when the record was made")
    else:
        report.compare(path, "SHA-256", expected["sha256"], file_sha256(place.fetch(path)))


def _verify_sources(place: Place, report: Report, token: str | None) -> None:
    """Ask the Hub for each source once."""
    sources = [entry.get("source") or {} for entry in _entries(place)]
    named = {(source.get("repo_id"), source.get("commit")) for source in sources}
    for repo_id, commit in sorted(named, key=str):
        subject = f"source {repo_id}@{commit}" if repo_id else "source"
        if not repo_id:
            report.note(subject, "it is local, so nobody else can look it up")
            continue
        try:
            found = check_source(Source(str(repo_id), str(commit), "recorded"), token)
        except ValueError as error:
            report.differs(subject, str(error).partition(";")[0])
            continue
        if found.checked:
            report.same(subject, "the Hub has it")
        else:
            report.note(subject, "the Hub could not be asked")
