"""Shows the examples of docstrings as code: `make docs` runs this as an extension of Griffe, which knows only "Examples:"."""

import re
from typing import Any

import griffe


class Examples(griffe.Extension):
    """Reads the section "Example:" of a docstring as "Examples:"."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of an object when it has been read."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
