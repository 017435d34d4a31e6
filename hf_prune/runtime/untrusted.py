"""Files and JSON of strangers, read within stated bounds.

A published record, a card, a history or a row of a data set may be written to harm whoever opens it. Files must be regular
and no larger than a limit, and JSON must be no deeper and hold no more values than a limit.
"""

import json
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_prune.runtime.errors import InputError

MAX_TEXT_BYTES = 64 << 20  # of a record, a card or another text that is read whole
MAX_VALUES = 4_000_000  # in a JSON file: each takes some hundred bytes of memory
MAX_DEPTH = 64  # of lists and mappings inside each other
_DECIMALS = re.compile(r"-?\d{1,400}")


def read_bytes(path: Path, limit: int = MAX_TEXT_BYTES) -> bytes:
    """Read a regular file of at most ``limit`` bytes.

    An OSError says that it is none, but a device, a pipe or a folder, and a ValueError that it is larger.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{str(path)!r} is no regular file: give one")
    if status.st_size <= limit:
        with path.open("rb") as file:
            data = file.read(limit + 1)  # the system does not know the size of some files
        if len(data) <= limit:
            return data
    raise InputError(f"{path.name} has more than {limit:,} bytes, which is more than is read of such a file")


def read_json(data: str | bytes, *, allow_nan: bool = False) -> Any:
    """Parse JSON that anybody may have written.

    Args:
        data: The text.
        allow_nan: Whether numbers may be NaN or infinite, which Python writes though JSON has no such numbers.

    Returns:
        The value: at most `MAX_VALUES` values, `MAX_DEPTH` deep, every text valid Unicode, every number finite unless
        ``allow_nan``.

    Raises:
        ValueError: If it is not of that kind.

    Example:
        >>> read_json('{"a": [1]}')
        {'a': [1]}
        >>> read_json("[" * 100_000)
        Traceback (most recent call last):
        ...
        hf_prune.InputError: its lists and mappings are more than 64 deep
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if sum(map(raw.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise InputError(f"it holds more than {MAX_VALUES:,} values")
    try:
        value = json.loads(data, parse_constant=float if allow_nan else _refuse_constant, parse_int=_whole)
        check_nesting(value)
        # Writing, at the speed of C, refuses half a character and a number beyond all bounds.
        json.dumps(value, ensure_ascii=False, allow_nan=allow_nan).encode()
    except RecursionError as error:
        raise InputError(f"its lists and mappings are more than {MAX_DEPTH} deep") from error
    except UnicodeEncodeError as error:
        raise InputError("one of its texts is no valid Unicode") from error
    return value


def _refuse_constant(name: str) -> None:
    raise InputError(f"{name} is no number of JSON")


def _whole(digits: str) -> int:
    if not _DECIMALS.fullmatch(digits):
        raise InputError("one of its numbers has more than 400 digits")
    return int(digits)


def check_nesting(value: Any, most_values: int = MAX_VALUES) -> None:
    """Raise a one-line ValueError if lists and mappings are too deep, or hold too much when aliases are followed.

    Args:
        value: Lists, mappings and plain values, as JSON or YAML has them.
        most_values: Most values that are accepted, where one that is referred to twice counts twice.

    Example:
        >>> laughs = ["ha"] * 10
        >>> for _ in range(9):
        ...     laughs = [laughs] * 10
        >>> check_nesting(laughs)
        Traceback (most recent call last):
        ...
        hf_prune.InputError: it holds more than 4,000,000 values
    """
    level, count = [value], 0
    for _ in range(MAX_DEPTH + 1):
        inside: list[Any] = []
        for one in level:
            if isinstance(one, Mapping):
                inside += one.values()
            elif isinstance(one, list | tuple | set):
                inside += one
            if count + len(inside) > most_values:
                raise InputError(f"it holds more than {most_values:,} values")
        count += len(inside)
        level = inside
        if not level:
            return
    raise InputError(f"its lists and mappings are more than {MAX_DEPTH} deep")
