"""``croissant.json``: published files, columns and lineage in the Croissant format 1.1 of MLCommons, from the records alone."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from datasets import ClassLabel, Image, Value

from hf_prune.data.history import CLEAN
from hf_prune.hub.record_fields import read_features
from hf_prune.selection.orders import is_random

_HUB = "https://huggingface.co/datasets"
_PARQUET = "application/x-parquet"
# The context of the specification, version 1.1, and the vocabulary of provenance that it recommends.
_OWN_TERMS = """
arrayShape citeAs column containedIn equivalentProperty extract field fileObject fileProperty fileSet format
includes isArray isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace
samplingRate separator source subField transform
"""
_CONTEXT: dict[str, Any] = {term: f"cr:{term}" for term in _OWN_TERMS.split()} | {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}
_TYPES = {"int": "sc:Integer", "uint": "sc:Integer", "float": "sc:Float", "bool": "sc:Boolean", "string": "sc:Text"}
_DONE = {"score": "scored with", "combine": "combined by", "prune": "pruned by", "clean": "cleaned by"}

Node = dict[str, Any]


def croissant(records: Mapping[str, Any]) -> str:
    """Describe published configurations as JSON-LD, from their records by name; the same records give the same bytes.

    A record that somebody edited beyond reading is left out.
    """
    ordered = [part for name in sorted(records) for part in _parts(records[name])]
    repo_id = next((part["repo_id"] for part in ordered if part["repo_id"]), None)
    entities = {node["@id"]: node for part in ordered for node in part["entities"]}
    found: Node = {
        "@context": dict(sorted(_CONTEXT.items())),
        "@type": "sc:Dataset",
        "name": str(repo_id).rpartition("/")[2] if repo_id else "pruned-data-set",
        "description": "Rows chosen by hf_prune, or scores of rows; provenance.json says how.",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        **({"url": f"{_HUB}/{repo_id}"} if repo_id else {}),
        **_rights([card for part in ordered for card in part["cards"]]),
        "prov:wasDerivedFrom": list(entities.values()),
        "prov:wasGeneratedBy": [node for part in ordered for node in part["activities"]],
        "distribution": [*_repository(repo_id), *(node for part in ordered for node in part["files"])],
        "recordSet": [node for part in ordered for node in part["record_sets"]],
    }
    whole = {key: value for key, value in found.items() if value != []}
    return json.dumps(whole, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def _parts(record: Any) -> list[Node]:
    """Return all parts of the file about one configuration, as a list of one; empty where the record is damaged."""
    try:
        sources = [split["source"] for split in record["splits"].values()]
        return [
            {
                "repo_id": record["repo_id"],
                "cards": [_card(source) for source in sources],
                "entities": _entities(sources),
                "activities": list(_activities(record)),
                "files": list(_files(record)),
                "record_sets": list(_record_sets(record)),
            }
        ]
    except (KeyError, TypeError, AttributeError, ValueError):  # anybody may have edited provenance.json
        return []


def _card(source: Mapping[str, Any]) -> Node:
    card = source.get("card") or {}
    return {"license": [str(name) for name in card.get("license", ())], "citation": str(card.get("citation", ""))}


def _rights(cards: list[Node]) -> Node:
    licenses = list(dict.fromkeys(name for card in cards for name in card["license"]))
    citations = list(dict.fromkeys(card["citation"] for card in cards if card["citation"]))
    return ({"license": licenses} if licenses else {}) | ({"citeAs": "\n".join(citations)} if citations else {})


def _entities(sources: list[Mapping[str, Any]]) -> list[Node]:
    """Return every source once, at its commit."""
    known = {_source_url(source): source for source in sources if source["known"] != "local"}
    return [
        {"@type": "prov:Entity", "@id": url, "prov:label": f"{source['repo_id']} at commit {source['commit']}"}
        for url, source in known.items()
    ]


def _source_url(source: Mapping[str, Any]) -> str:
    return f"{_HUB}/{source['repo_id']}/tree/{source['commit']}"


def _activities(record: Mapping[str, Any]) -> Iterator[Node]:
    """Yield every step of every split, in its order, with the source and the models that it used."""
    for split, entry in record["splits"].items():
        place = f"{quote(record['config_name'])}/{quote(split)}"
        source = [_source_url(entry["source"])] if entry["source"]["known"] != "local" else []
        for number, step in enumerate(entry["steps"], start=1):
            removed = step["kind"] in ("prune", CLEAN)
            kept = f", {step['rows_out']} of {step['rows_in']} rows kept" if removed else ""
            used = [{"@id": address} for address in [*source, *_models(step.get("inputs", {}))]]
            version = step.get("versions", {}).get("hf-prune")
            yield {
                "@type": "prov:Activity",
                "@id": f"activity/{place}/{number}",
                "prov:label": f"{_summary(step)}{kept}",
                **({"prov:used": used} if used else {}),
                **({"prov:wasInformedBy": {"@id": f"activity/{place}/{number - 1}"}} if number > 1 else {}),
                **({"prov:wasAssociatedWith": _agent(version)} if version else {}),
            }


def _summary(step: Mapping[str, Any]) -> str:
    if step["kind"] == "prune" and is_random(step):  # by no column
        return "pruned at random"
    return f"{_DONE.get(step['kind'], 'step by')} {step['column' if step['kind'] == 'prune' else 'metric']}"


def _agent(version: str) -> Node:
    return {
        "@type": "prov:SoftwareAgent",
        "@id": f"agent/hf-prune-{quote(version)}",
        "prov:label": f"hf-prune {version}",
    }


def _models(inputs: Mapping[str, Any]) -> list[str]:
    """Return the addresses of the models of the Hub that the inputs of a step were made by."""
    kinds = ("encoder", "teachers", "student", "prototypes")
    groups = [made.get(who) or [] for made in inputs.values() for who in kinds]
    models = [model for group in groups for model in (group if isinstance(group, list) else [group])]
    found = [f"https://huggingface.co/{model['id']}/tree/{model['commit']}" for model in models if model.get("commit")]
    return list(dict.fromkeys(found))


def _repository(repo_id: str | None) -> list[Node]:
    if repo_id is None:
        return []
    return [
        {
            "@type": "cr:FileObject",
            "@id": "repo",
            "name": "repo",
            "description": "The repository on the Hub.",
            "contentUrl": f"{_HUB}/{repo_id}",
            "encodingFormat": "git+https",
            "sha256": "https://github.com/mlcommons/croissant/issues/80",  # as the Hub's own files: a repository has none
        }
    ]


def _files(record: Mapping[str, Any]) -> Iterator[Node]:
    """Yield the files one by one with their digests, and the set of them that the columns are read from."""
    within = {"containedIn": {"@id": "repo"}} if record["repo_id"] else {}
    for path, file in record.get("files", {}).items():
        digest = {"sha256": file["sha256"]} if file["sha256"] else {}
        if not digest and not within:  # the format wants one or the other
            continue
        yield {
            "@type": "cr:FileObject",
            "@id": f"file/{quote(path)}",
            "name": path,
            "contentUrl": path,
            "contentSize": f"{file['size']} B",
            "encodingFormat": _PARQUET if path.endswith(".parquet") else "image/png",
            **digest,
            **within,
        }
    patterns = [pattern for entry in record["splits"].values() for pattern in entry["data_files"]]
    if patterns:
        yield {
            "@type": "cr:FileSet",
            "@id": _set_id(record),
            "name": _set_id(record),
            "description": f"Parquet files of the configuration {record['config_name']}.",
            "encodingFormat": _PARQUET,
            "includes": [pattern if pattern.endswith(".parquet") else f"{pattern}.parquet" for pattern in patterns],
            **within,
        }


def _set_id(record: Mapping[str, Any]) -> str:
    return f"parquet-files-for-{quote(record['config_name'])}"


def _record_sets(record: Mapping[str, Any]) -> Iterator[Node]:
    """Describe the columns of a configuration; those that the format has no type for are named and left out."""
    if not any(entry["data_files"] for entry in record["splits"].values()):
        return
    place = quote(record["config_name"])
    features = read_features(record["features"])
    types = {column: _data_type(feature) for column, feature in features.items()}
    left_out = [column for column, kind in types.items() if kind is None]
    rows = ", ".join(f"{split} {entry['rows']}" for split, entry in record["splits"].items())
    named = f" Columns not described: {', '.join(left_out)}." if left_out else ""
    yield {
        "@type": "cr:RecordSet",
        "@id": place,
        "name": place,
        "description": f"Rows of {record['config_name']} ({rows}).{named}",
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{place}/{quote(column)}",
                "name": f"{place}/{quote(column)}",
                "dataType": kind,
                "source": {
                    "fileSet": {"@id": _set_id(record)},
                    "extract": {"column": column},
                    **({"transform": {"jsonPath": "bytes"}} if isinstance(features[column], Image) else {}),
                },
            }
            for column, kind in types.items()
            if kind is not None
        ],
    }


def _data_type(feature: Any) -> str | None:
    """Return the type of a feature in the format, None where it has none.

    Example:
        >>> _data_type(Value("float32")), _data_type(ClassLabel(num_classes=2)), _data_type([Value("int8")])
        ('sc:Float', 'sc:Integer', None)
    """
    if isinstance(feature, Image):
        return "sc:ImageObject"
    if isinstance(feature, ClassLabel):
        return "sc:Integer"
    if not isinstance(feature, Value):
        return None
    return _TYPES.get(re.sub(r"\d+$", "", feature.dtype).removeprefix("large_"))
