"""Licence and citation as the card of a source states them, at the commit that was used."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from hf_prune.data.source import HTTP_ERROR, TIMEOUT_S, Source
from hf_prune.hub.card.metadata import load_card
from hf_prune.hub.card.rules import LICENSES

MAX_CARD = 1_000_000  # bytes: a longer README is not read
MAX_CITATION = 10_000  # characters taken over
_HEADING = re.compile(r"(?im)^#{1,6} .*\b(?:cit\w*|bibtex)\b")
_ENTRY = re.compile(
    r"@(?:article|book|conference|data|dataset|inbook|incollection|inproceedings|manual|mastersthesis|misc|online|"
    r"phdthesis|proceedings|report|software|techreport|thesis|unpublished)\s*\{",
    re.IGNORECASE,
)
_LINK = re.compile(r"https://[\w./~%?=&#+-]+|[\w-][\w.-]*", re.ASCII)
_LICENSE_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]{0,95}")


def read_source_card(source: Source, token: str | bool | None = None) -> dict[str, Any] | None:
    """Read licence and citation from the README.md of a source.

    The Hub is asked only if it confirmed the source, else the local cache of the Hub.

    Returns:
        ``license`` (list of ids), ``license_name`` and ``license_link`` of another licence, and ``citation`` (BibTeX),
        each where the card has it; None where the card cannot be read.
    """
    if source.repo_id is None:
        return None
    try:
        path = hf_hub_download(
            source.repo_id,
            "README.md",
            repo_type="dataset",
            revision=source.commit,
            token=token,
            etag_timeout=TIMEOUT_S,
            local_files_only=not source.checked,
        )
    except LocalEntryNotFoundError:  # not in the cache, and the Hub was not asked or did not answer
        return None
    except EntryNotFoundError:
        return {}
    except (OSError, HTTP_ERROR):
        return None
    return parse_source_card(Path(path), str(source.repo_id), str(source.commit))


def parse_source_card(path: Path, repo_id: str, commit: str) -> dict[str, Any] | None:
    """Read licence and citation from a README.md; None where it is too large or no text."""
    if path.stat().st_size > MAX_CARD:
        return None
    try:
        text = path.read_bytes().decode()
        card = load_card(text)
    except ValueError:  # no UTF-8, or a header that is no YAML
        return None
    citation = "\n\n".join(_entries(card.text))
    found = {"license": _licenses(card.data.get("license"))} | _other_license(card.data, repo_id, commit)
    return {name: value for name, value in found.items() if value} | (
        {"citation": citation} if 0 < len(citation) <= MAX_CITATION else {}
    )


def _licenses(stated: Any) -> list[str]:
    ids = stated if isinstance(stated, list) else [stated]
    return [name for name in ids if isinstance(name, str) and name in LICENSES]


def _other_license(data: Any, repo_id: str, commit: str) -> dict[str, str]:
    """Return name and address of a licence that the Hub does not list; a file of the source gets its full address."""
    if "other" not in _licenses(data.get("license")):
        return {}
    name, link = data.get("license_name"), data.get("license_link")
    found = {"license_name": name} if isinstance(name, str) and _LICENSE_NAME.fullmatch(name) else {}
    if isinstance(link, str) and _LINK.fullmatch(link):
        file = f"https://huggingface.co/datasets/{repo_id}/blob/{commit}/{link}"
        found["license_link"] = link if link.startswith("https://") else file
    return found


def _entries(text: str) -> Iterator[str]:
    """Yield the BibTeX entries under a heading about citation, else in the whole text."""
    heading = _HEADING.search(text)
    found = list(_balanced(text[heading.end() :])) if heading else []
    yield from found or _balanced(text)


def _balanced(text: str) -> Iterator[str]:
    start = 0
    while match := _ENTRY.search(text, start):
        depth = 0
        for brace in re.finditer(r"[{}]", text[match.start() :]):
            depth += 1 if brace[0] == "{" else -1
            if depth == 0:
                break
        if depth:  # an entry that never ends
            return
        start = match.start() + brace.end()
        yield text[match.start() : start]
