"""The fields of a record that somebody else may have written: each is checked before it is used."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from datasets import Features

from hf_prune.runtime.errors import InputError
from hf_prune.runtime.messages import one_line, shortened
from hf_prune.runtime.untrusted import check_nesting, read_json

MAX_CONFIGS, MAX_SPLITS = 1000, 1000
MAX_PATTERNS = 1000  # of one split; hf_prune writes one
MAX_COUNT = 1 << 48
MAX_FEATURES = 1_000_000  # values in the features of a configuration, the names of its classes among them
_NAME = 1000  # characters of the name of a configuration or split, or of a path
# What a feature in a record may not say: numbers and files that `datasets` would make names of classes of.
_NOT_OF_A_RECORD = ("num_classes", "names_file")


Check = Callable[[Any], bool]


def _is(*kinds: type) -> Check:
    return lambda value: isinstance(value, kinds) and not isinstance(value, bool)


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list_of(check: Check, most: int | None = None) -> Check:
    return lambda value: isinstance(value, list) and (most is None or len(value) <= most) and all(map(check, value))


def _dict_of(check: Check, most: int | None = None) -> Check:
    return lambda value: (
        isinstance(value, dict) and (most is None or len(value) <= most) and all(map(check, value.values()))
    )


def _fields(**fields: Check) -> Check:
    """Return the check of a mapping whose fields, as far as they are named here, are of their kind."""
    return lambda value: (
        isinstance(value, dict) and all(check(value[name]) for name, check in fields.items() if name in value)
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_COUNT


def _is_class(value: Any) -> bool:
    """Whether it is the name of a class with its rows before and after."""
    return isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and all(map(_is_count, value[1:]))


def _is_models(value: Any) -> bool:
    """Whether it is a model, or several."""
    return _MODEL(value) or (bool(value) and _list_of(_MODEL)(value))


_TEXT, _TEXTS = _is(str), _list_of(_is(str))
_STEP = _fields(rows_in=_is_count, rows_out=_is_count, unscored=_list_of(_is_count), inputs=_dict_of(_is(dict)))
# Of the model that a step was made with, or of each of several, and of what else it was made from.
_MODEL = _fields(id=_or_none(_TEXT), commit=_or_none(_TEXT), kind=_TEXT, dtype=_TEXT, image_size=_or_none(_is_count))
_MADE_FROM = _fields(
    encoder=_is_models,
    teachers=_is_models,
    student=_is_models,
    prototypes=_MODEL,
    heads=_is(dict),
    boxes=_is(dict),
    label_column=_TEXT,
    target_rows=_is_count,
    target_sha256=_TEXT,
)
_ENTRY: dict[str, Check] = {
    "source": _fields(
        repo_id=_or_none(_TEXT), commit=_or_none(_TEXT), split=_or_none(_TEXT), config_name=_or_none(_TEXT)
    ),
    "rows": _is_count,
    "rows_before": _or_none(_is_count),
    "image_column": _or_none(_TEXT),
    "class_columns": _TEXTS,
    "rows_sha256": _or_none(_TEXT),
    "images_sha256": _or_none(_TEXT),
    "keys_sha256": _or_none(_TEXT),
    "class_counts": _or_none(_fields(label_column=_TEXT, classes=_list_of(_is_class))),
    "scores": _or_none(_is(dict)),
    "references": _TEXTS,
    "limits": _dict_of(_TEXT),
    "pictures": _dict_of(_TEXT),
    "steps": _list_of(_STEP),
    "versions": _dict_of(_TEXT),
    "data_files": _list_of(_TEXT, MAX_PATTERNS),
    "num_bytes": _is_count,
    "score_columns": _TEXTS,
}
_RECORD: dict[str, Check] = {
    "config_name": _TEXT,
    "holds": _TEXT,
    "repo_id": _or_none(_TEXT),
    "set_default": lambda value: isinstance(value, bool),
    "download_size": _is_count,
    "left_out": _TEXTS,
    "other_splits": _TEXTS,
    "references": _TEXTS,
    "files": _dict_of(_fields(size=_is_count, sha256=_or_none(_TEXT))),
    "key_columns": _dict_of(_TEXTS),
    "cut": _or_none(_TEXT),
    "record_sha256": _or_none(_TEXT),
}


def check_records(records: Mapping[str, Any]) -> None:
    """Raise a one-line ValueError if a field of a record is not of its kind, or there are too many of something.

    A field that is not there is left to whoever needs it: earlier versions wrote fewer.

    Args:
        records: Name of the configuration → its record, as `manifest.parse` gives them.

    Example:
        >>> check_records({"default": {"splits": {"train": {"rows": -1}}}})
        Traceback (most recent call last):
        ...
        hf_prune.InputError: configuration 'default', split 'train': its 'rows' is -1, which it cannot be
    """
    if len(records) > MAX_CONFIGS:
        raise InputError(f"it has {len(records):,} configurations, more than {MAX_CONFIGS:,}")
    for config, record in records.items():
        where = f"configuration {_name(config)}"
        if not isinstance(record, dict):
            raise InputError(f"{where} describes nothing that can be read")
        _check_fields(record, _RECORD, where)
        splits = record.get("splits")
        if splits is None:
            continue
        if not isinstance(splits, dict) or len(splits) > MAX_SPLITS:
            raise InputError(f"{where}: its 'splits' are no mapping of up to {MAX_SPLITS:,}")
        for split, entry in splits.items():
            _check_entry(entry, f"{where}, split {_name(split)}")


def _name(name: str) -> str:
    if len(name) > _NAME or not name.isprintable():
        raise InputError(f"{shortened(repr(name), 100)} is no name of a configuration or split")
    return repr(name)


def _check_entry(entry: Any, where: str) -> None:
    if not isinstance(entry, dict):
        raise InputError(f"{where} describes nothing that can be read")
    _check_fields(entry, _ENTRY, where)
    for step in entry.get("steps") or ():
        for made_from in step.get("inputs", {}).values():
            if not _MADE_FROM(made_from):
                raise InputError(f"{where}: what a step was made from cannot be read")


def _check_fields(data: Mapping[str, Any], fields: Mapping[str, Check], where: str) -> None:
    for name, check in fields.items():
        if name in data and not check(data[name]):
            raise InputError(f"{where}: its {name!r} is {shortened(repr(data[name]), 100)}, which it cannot be")


def read_features(listed: Any) -> Features:
    """Read the features of a configuration.

    Args:
        listed: As the record or the header of a card lists them.

    Raises:
        ValueError: If they cannot be read, or would have `datasets` read a file or count up classes.

    Example:
        >>> read_features([{"name": "x", "dtype": "int8"}])
        {'x': Value('int8')}
    """
    return _features(listed, Features._from_yaml_list)


def schema_features(schema: Any) -> Features:
    """Read the features that a file says it has, with the same limits."""
    metadata = schema.metadata or {}
    if b"huggingface" in metadata:
        try:
            listed = read_json(metadata[b"huggingface"])
        except ValueError as error:
            raise InputError(f"its features cannot be read ({one_line(error)})") from error
        return _features(listed, lambda _: Features.from_arrow_schema(schema))
    return _features([], lambda _: Features.from_arrow_schema(schema))


def _features(listed: Any, read: Callable[[Any], Features]) -> Features:
    check_nesting(listed, MAX_FEATURES)
    odd = next(
        (name for name, value in _items(listed) if name in _NOT_OF_A_RECORD and isinstance(value, str | int)), None
    )
    if odd is not None:
        raise InputError(f"its features have {odd!r}, which no record of hf_prune has")
    try:
        return read(listed)
    except (ValueError, TypeError, KeyError, AttributeError, LookupError, RecursionError) as error:
        raise InputError(f"its features cannot be read ({type(error).__name__}: {one_line(error)})") from error


def _items(listed: Any) -> Iterator[tuple[Any, Any]]:
    """Yield keys and values of every mapping inside; a column may have any name, and its value is no text or number."""
    level = [listed]
    while level:
        inside: list[Any] = []
        for one in level:
            if isinstance(one, Mapping):
                yield from one.items()
                inside += one.values()
            elif isinstance(one, list):
                inside += one
        level = inside
