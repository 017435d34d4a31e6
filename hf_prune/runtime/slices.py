"""A length cut into parts, which are read, hashed or computed one after the other so that memory stays bounded."""

from collections.abc import Iterator


def slices(length: int, step: int) -> Iterator[slice]:
    """Yield slices that cut a length into consecutive parts, the last of which may be shorter.

    Example:
        >>> list(slices(5, 3))
        [slice(0, 3, None), slice(3, 5, None)]
    """
    return (slice(start, min(start + step, length)) for start in range(0, length, step))
