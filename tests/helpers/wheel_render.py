"""Run by ``make wheel-check`` with a fresh environment that holds the built wheel: exports a data set with its card.

It is no test module, because pytest's own environment holds the checkout and would prove nothing about the wheel.
"""

import os
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Score, prune and export eight images with the installed package; raise where a file of the wheel is missing."""
    import numpy as np
    from datasets import ClassLabel, Dataset, Features, Image
    from PIL import Image as PILImage

    import hf_prune

    package = Path(hf_prune.__file__).resolve().parent
    if not package.is_relative_to(Path(sys.prefix).resolve()):
        raise SystemExit(f"hf_prune was imported from {package}, not from the wheel in {sys.prefix}")
    sources = {path.relative_to(CHECKOUT) for path in (CHECKOUT / "hf_prune").rglob("*") if path.is_file()}
    sources = {path for path in sources if "__pycache__" not in path.parts}
    if missing := sorted(str(path) for path in sources if not (package.parent / path).is_file()):
        raise SystemExit(f"the wheel lacks {', '.join(missing)}")

    pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    features = Features({"image": Image(), "label": ClassLabel(names=["cat", "dog"])})
    rows = {"image": [PILImage.fromarray(image) for image in pixels], "label": [0, 1] * 4}
    ds = Dataset.from_dict(rows, features=features).score_with("prototypes", encoder="tiny", num_prototypes=2)
    with tempfile.TemporaryDirectory() as folder:
        hf_prune.export(ds.prune("prototypes", keep=0.5, order="hard"), folder, source="local")
        for name in ("README.md", "provenance.json"):
            if not (Path(folder) / name).stat().st_size:
                raise SystemExit(f"the wheel exported an empty {name}")
    print(f"hf_prune {hf_prune.__version__} from {package}: exported a data set with its card")  # noqa: T201 (a script)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        # Read when datasets is imported, so set before main runs.
        os.environ.update(HF_HOME=home, HF_HUB_OFFLINE="1", HF_DATASETS_DISABLE_PROGRESS_BARS="1")
        main()
