"""SHA-256 of encoded images, row by row."""

from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from hf_prune.encoded_images import EncodedImages

NO_IMAGE = bytes(32)


def image_hashes(images: EncodedImages) -> NDArray[np.uint8]:
    """Hash the encoded bytes of images.

    Args:
        images: The column, n rows.

    Returns:
        The SHA-256 of each row, shape (n, 32), uint8; zeros for a row without an image.

    Raises:
        OSError: If a file cannot be read; the message names the row.

    Example:
        >>> from datasets import Dataset, Features, Image
        >>> files = [{"bytes": b"pixels", "path": None}, None]
        >>> ds = Dataset.from_dict({"image": files}, features=Features({"image": Image()}))
        >>> bytes(image_hashes(EncodedImages(ds, "image"))[0]) == sha256(b"pixels").digest()
        True
    """
    found = np.zeros((len(images), len(NO_IMAGE)), np.uint8)
    for start, views in images.embedded():
        hashed = b"".join([NO_IMAGE if view is None else sha256(view).digest() for view in views])
        found[start : start + len(views)] = np.frombuffer(hashed, np.uint8).reshape(-1, len(NO_IMAGE))
        for row in [row for row, view in enumerate(views, start) if view is None]:
            content = images.outside(row)
            if content is not None:
                found[row] = np.frombuffer(sha256(content).digest(), np.uint8)
    return found
