"""A shifted test set: students on what each rule keeps, judged on test images with common corruptions.

    python recipes/paper/shifted.py --data data --work work

The first 5,000 test images with noise, blur, contrast and JPEG at severities 3 and 5 of CIFAR-10-C; constants are those of
Hendrycks & Dietterich (2019), arXiv:1903.12261, in ``make_cifar_c.py`` of hendrycks/robustness. Their packages need OpenCV and
ImageMagick; four of their formulas need Pillow and NumPy alone. Pillow blurs 8-bit images by boxes, theirs floats by a Gaussian.
"""

import io

import numpy as np
import PIL.Image
import PIL.ImageFilter
from datasets import Dataset
from numpy.typing import NDArray
from paper_draws import (
    DATA,
    ENCODER,
    Draw,
    Line,
    Selection,
    all_rows,
    arguments,
    cut,
    draws_of,
    hits_of,
    line_of,
    measure,
    references,
    shown,
)

import hf_prune
from hf_prune.data.columns import find_image_column, find_label_column
from hf_prune.data.loading import open_dataset
from hf_prune.scoring import Request
from hf_prune.scoring.embeddings import all_embeddings
from hf_prune.scoring.scores import read_scores

NUM_IMAGES = 5_000
SEVERITIES = (3, 5)
KEEPS = (0.6, 0.3)
# Of severities 1 to 5.
NOISE = (0.04, 0.06, 0.08, 0.09, 0.10)  # standard deviation, of a range of 1
BLUR = (0.4, 0.6, 0.7, 0.8, 1.0)  # standard deviation in pixels
CONTRAST = (0.75, 0.5, 0.4, 0.3, 0.15)  # factor about the mean of the image
QUALITY = (80, 65, 58, 50, 40)  # of JPEG
CORRUPTIONS = ("gaussian_noise", "gaussian_blur", "contrast", "jpeg_compression")


def corrupted(image: PIL.Image.Image, kind: str, severity: int, generator: np.random.Generator) -> PIL.Image.Image:
    """Corrupt an image of three colours."""
    place = severity - 1
    if kind == "gaussian_blur":
        return image.filter(PIL.ImageFilter.GaussianBlur(BLUR[place]))
    if kind == "jpeg_compression":
        file = io.BytesIO()
        image.save(file, "JPEG", quality=QUALITY[place])
        return PIL.Image.open(file).convert("RGB")
    values = np.asarray(image, np.float64) / 255
    if kind == "gaussian_noise":
        values = values + generator.normal(scale=NOISE[place], size=values.shape)
    else:
        means = values.mean(axis=(0, 1), keepdims=True)
        values = (values - means) * CONTRAST[place] + means
    return PIL.Image.fromarray((np.clip(values, 0, 1) * 255).astype(np.uint8))


def embedded(test: Dataset) -> dict[str, NDArray[np.float32]]:
    """Embeddings (m, d) of the images as they are and with each corruption."""
    column = find_image_column(test)
    images = [image.convert("RGB") for image in test[column]]
    kinds = [("none", 0), *((kind, severity) for kind in CORRUPTIONS for severity in SEVERITIES)]
    found = {}
    for kind, severity in kinds:
        generator = np.random.default_rng(severity)
        made = images if kind == "none" else [corrupted(image, kind, severity, generator) for image in images]
        ds = Dataset.from_dict({column: made}, features=test.select_columns(column).features)
        request = Request(encoder=ENCODER, run=hf_prune.Run(load_from_cache_file=False))
        found[f"{kind} {severity}".removesuffix(" 0")] = all_embeddings(ds, request)[0]
        print(f"{kind} {severity} embedded", flush=True)
    return found


def main() -> None:
    """Measure the draws that are missing, and print the table."""
    given = arguments(__doc__, "shifted")
    test = open_dataset(str(given.data / DATA / "test.parquet")).select(range(NUM_IMAGES))
    kept = given.work / "corrupted.npz"
    if not kept.exists():
        np.savez(kept, **embedded(test))
    tests = dict(np.load(kept))
    labels = np.asarray(test[find_label_column(test)])

    def lines_of(draw: Draw) -> list[Line]:
        scored = hf_prune.score_with(
            Dataset.from_dict({"row": draw.rows}),
            "prototypes",
            inputs={"embeddings": draw.points},
            seed=draw.number,
            evidence=False,
        )
        scores = {"el2n": draw.scores(), "prototypes": np.ma.getdata(read_scores(scored, "prototypes"))}
        lines = []
        for keep in (1.0, *KEEPS):
            chosen = references(draw, keep) if keep < 1 else all_rows(draw)
            if keep < 1:
                chosen += [
                    Selection({"metric": metric, "rule": rule}, cut(draw, scores[metric], keep, rule))
                    for metric in scores
                    for rule in ("hard", "easy")
                ]
            hits = hits_of(draw, chosen, np.concatenate(list(tests.values())), np.tile(labels, len(tests)))
            for selection, found in zip(chosen, hits.reshape(len(chosen), len(tests), -1), strict=True):
                for name, right in zip(tests, found, strict=True):
                    lines.append(line_of(draw, keep, selection, right, labels) | {"corruption": name})
        return lines

    table = measure(given.csv, draws_of(given), lines_of)
    mean = table.assign(corruption=np.where(table["corruption"] == "none", "none", "mean of eight"))
    mean = mean.groupby(["corruption", "metric", "rule", "keep", "seed"], as_index=False)["accuracy"].mean()
    print(shown(mean, ["corruption", "metric", "rule"]))


if __name__ == "__main__":
    main()
