import ast
from pathlib import Path

import hf_prune

PACKAGE = Path(hf_prune.__file__).parent
BUILT_IN = {"ValueError", "TypeError", "RuntimeError", "ImportError", "KeyError", "LookupError", "Exception"}
# Caught a few lines below, or a defect of whoever calls.
EXCEPTIONS = {
    ("dynamics/files.py", "TypeError"),
    ("dynamics/files.py", "ValueError"),
    ("engine/store.py", "KeyError"),
    ("hub/read/shelf.py", "ValueError"),
}


def raised(tree: ast.AST):
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and node.exc is not None:
            error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            if isinstance(error, ast.Name):
                yield error.id


def test_errors_for_the_user_are_told_by_their_class():
    found = {
        (path.relative_to(PACKAGE).as_posix(), name)
        for path in PACKAGE.rglob("*.py")
        for name in raised(ast.parse(path.read_text(encoding="utf-8")))
        if name in BUILT_IN
    }
    assert found <= EXCEPTIONS, "raise one of hf_prune.runtime.errors, which the command line shows as one line"
