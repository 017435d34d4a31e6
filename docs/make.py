"""Write what the pages show of the package itself: the list of public names, the pictures of the demo, a card, a report.

    python docs/make.py api                     # docs/api.md, from the docstrings
    python docs/make.py pictures demo           # the pictures of the folder that `make demo` wrote, with fewer colours
    python docs/make.py card digits-pruned      # the card of an exported folder, as a browser shows it; needs Chromium
    python docs/make.py report report.html      # the top of a report, likewise
    python docs/make.py site build/pages        # the pages of the site, for `make docs`

Pictures go to docs/images.
"""

import csv
import inspect
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import PIL.Image  # noqa: TID253 a script, which is run for this
import PIL.ImageOps  # noqa: TID253
import yaml
from markdown_it import MarkdownIt

import hf_prune

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
API = DOCS / "api.md"
CARD_WIDTH, CARD_HEIGHT = 920, 1180  # pixels of the card that are shown
LINK = re.compile(r"""(\]\(|src=")([^)\s"]+)""")
PICTURE = re.compile(r"^!\[.*\]\((.+)\)$", re.MULTILINE)
NUM_COLOURS = 64  # of a picture: lines, text and grey digits need no more

# Heading → the page that explains them, and the names in the order in which a reader meets them.
ORDERS = ("list_orders", "register_order", "unregister_order", "Order", "Reason")
GROUPS = {
    "Score": (
        "score.md",
        ["score_with", "estimate", "combine", "correlate", "Run", "Heads", "train_heads", "Prototypes"],
    ),
    "Several machines": ("several-machines.md", ["score_shard", "merge_shards"]),
    "Prune": ("prune.md", ["prune", "recommend", "keep_curve", "explain", "select", "error_quotas", *ORDERS]),
    "Look at it": ("look-at-it.md", ["report", "gallery", "Gallery", "push_space"]),
    "Clean": ("clean.md", ["duplicates", "leaks", "label_noise"]),
    "Train and record": (
        "train-and-record.md",
        ["watch", "train_teachers", "train_subset_runs", "TrainingRecord", "TrainingDynamicsCallback"],
    ),
    "Train on less": ("train-on-less.md", ["prune_while_training", "break_even"]),
    "Publish and verify": (
        "publish-and-verify.md",
        [
            *("export", "push_to_hub", "push_card", "export_teacher", "push_teacher", "build_card"),
            *("load_scores", "apply", "verify", "rebuild", "provenance"),
        ],
    ),
    "Scaling": ("scaling.md", ["measure_scaling", "fit_law", "compare_laws"]),
    "What the functions return": (
        "how-it-works.md",
        [
            *("BreakEven", "Correlations", "Duplicates", "Estimate", "HeadRuns", "History", "LabelNoise", "Leaks"),
            *("PruningReport", "Recommendation", "Selection", "Step", "Teachers"),
        ],
    ),
    "Errors": (
        "how-it-works.md",
        ["UserError", "InputError", "InputTypeError", "StateError", "MissingPackageError", "HfPruneWarning"],
    ),
    "Metrics, and the methods of data sets": (
        "score.md",
        ["list_metrics", "get_metric", "register_metric", "unregister_metric", "Metric", "install", "uninstall"],
    ),
}
ENCODERS = {
    "pixels": '`"pixels"`, 32 x 32',
    "tiny": '`"tiny"`',
    "efficientnet-lite0": "EfficientNet-Lite0 at 64 x 64 (ImageNet with labels)",
}
# Work; rows; file; a value of its row, or nothing for the first; column of the seconds; by what they are multiplied.
COSTS = """
k-means, 1,000 prototypes of 384 numbers; 200000; benchmarks/clustering.csv; ; cpu_seconds; 1
evidence for `order="auto"`; 50000; benchmarks/evidence_budget.csv; ; cpu_seconds; 1
200 linear heads, twelve epochs; 50000; benchmarks/memorization_heads.csv; linear; cpu_seconds; 1
`memorization`, 200 heads with 256 hidden units; 50000; benchmarks/memorization_heads.csv; 256 hidden units; cpu_seconds; 1
`label_noise`, embeddings at hand; 20000; benchmarks/label_noise.csv; ; cpu_seconds; 1
`duplicates` at 0.95, embeddings at hand; 200000; benchmarks/duplicates.csv; 0.95; cpu_seconds; 1
one epoch of a small ResNet, 32 x 32 pixels; 50000; benchmarks/train_on_less.csv; full; cpu_seconds; 50/64
""".strip().splitlines()
HEADER = """# Public names

Everything in `hf_prune.__all__`, with the first sentence of its docstring. `help(hf_prune.prune)` shows the rest: arguments,
return value, errors, an example. This page is written by `python docs/make.py api`, and a test compares it.
"""


def first_sentence(name: str) -> str:
    """The first sentence of the docstring of a public name."""
    paragraph = (inspect.getdoc(getattr(hf_prune, name)) or "").split("\n\n")[0].replace("\n", " ")
    return re.sub(r"``(.+?)``", r"`\1`", first_of(paragraph)).replace("|", "\\|")


def api_page(*, linked: bool = False) -> str:
    """The whole of api.md; on the site each name leads to its docstring."""
    parts = [HEADER]
    for heading, (page, names) in GROUPS.items():
        shown = {
            name: f"[`{name}`](api/{slug(heading)}.md#hf_prune.{name})" if linked else f"`{name}`" for name in names
        }
        rows = "".join(f"| {shown[name]} | {first_sentence(name)} |\n" for name in names)
        parts.append(
            f"## {heading}\n\nExplained in [{page}]({page}).\n\n| name | what it is for |\n| --- | --- |\n{rows}"
        )
    return "\n".join(parts)


def encoder_lines() -> list[str]:
    """The lines of the encoders in choose.md; minutes are those of a pass over 50,000 images of CIFAR-10."""
    with (ROOT / "recipes/tiny-encoder/results.csv").open(encoding="utf-8") as file:
        found = {(row["data"], row["encoder"], row["train_rows"]): row for row in csv.DictReader(file)}
    lines = []
    for encoder, name in ENCODERS.items():
        cifar, clothes = found["cifar10", encoder, "20000"], found["clothing", encoder, "3068"]
        images = int(cifar["train_rows"]) + int(cifar["test_rows"])
        minutes = float(cifar["embedding_cpu_seconds"]) / images * 50_000 / 60
        lines.append(
            f"| {name} | {100 * float(cifar['knn']):.1f} | {100 * float(clothes['knn']):.1f} | {minutes:.1f} |"
        )
    return lines


def cost_lines() -> list[str]:
    """The lines of the costs in choose.md."""
    lines = []
    for cost in COSTS:
        work, rows, name, value, column, times = cost.split("; ")
        with (ROOT / "recipes" / name).open(encoding="utf-8") as file:
            row = next(row for row in csv.DictReader(file) if not value or value in row.values())
        minutes = float(row[column]) * Fraction(times) / 60
        lines.append(f"| {work} | {int(rows):,} | {minutes:.1f} | [{Path(name).name}](../recipes/{name}) |")
    return lines


def pictures(demo: Path) -> None:
    """Write accuracy.png and extremes.png."""
    for name in ("accuracy.png", "extremes.png"):
        _save(PIL.Image.open(demo / name), name)


def _save(image: PIL.Image.Image, name: str) -> None:
    image.convert("RGB").quantize(NUM_COLOURS, dither=PIL.Image.Dither.NONE).save(
        DOCS / "images" / name, optimize=True
    )


def card(exported: Path) -> None:
    """Write card.png: the card from its first heading on."""
    card = exported / "README.md"
    text = card.read_text(encoding="utf-8").split("---\n", 2)[2]
    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    page = f"<meta charset=utf-8><base href='{card.parent.resolve().as_uri()}/'><style>{STYLE}</style>{body}"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "card.html").write_text(page, encoding="utf-8")
        _save(_screenshot(Path(folder) / "card.html"), "card.png")


def report(page: Path) -> None:
    """Write report.png: the top of the page."""
    _save(_screenshot(page), "report.png")


def _screenshot(page: Path) -> PIL.Image.Image:
    """The top of a page, with a frame."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files"]
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        size = f"--window-size={CARD_WIDTH},{CARD_HEIGHT}"
        command = ["chromium", *options, size, f"--screenshot={shot}", page.resolve().as_uri()]
        subprocess.run(command, check=True, capture_output=True)
        picture = PIL.Image.open(io.BytesIO(shot.read_bytes()))
    return PIL.ImageOps.expand(picture, border=1, fill="#d0d7de")


def site(folder: Path) -> None:
    """Lay out the pages of the site: those in docs and all that they link to, the docstrings, llms.txt."""
    shutil.rmtree(folder, ignore_errors=True)
    for source, text in linked_files().items():
        place = folder / place_of(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            shutil.copyfile(source, place)
        else:
            place.write_text(rewritten(source, text), encoding="utf-8")
    for name, text in reference().items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    for name, text in for_models(folder).items():
        (folder / name).write_text(text, encoding="utf-8")


def linked_files() -> dict[Path, str | None]:
    """Files of the repository that the pages lead to → their text, None for those that are no Markdown."""
    found: dict[Path, str | None] = {}
    waiting = sorted([*DOCS.glob("*.md"), DOCS / "site.css"])
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = text = _text(path)
            waiting += [aim for _, target in LINK.findall(text or "") if (aim := target_of(path, target)[0])]
    return found


def _text(path: Path) -> str | None:
    """The Markdown of a file, without the header of a card; of a folder without a page the list of what it holds."""
    if not path.exists():
        inside = sorted(path.parent.glob("*/README.md")) or sorted(path.parent.glob("*.*"))
        names = [file.relative_to(path.parent).as_posix() for file in inside]
        return f"# {path.parent.name}\n\nWhat is in this folder.\n\n" + "".join(
            f"- [{name.removesuffix('/README.md')}]({name})\n" for name in names
        )
    if path.suffix != ".md":
        return None
    text = re.sub(r"\A---\n.*?\n---\n\s*", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = text.replace("<details>", '<details markdown="1">')  # or the Markdown in it stays as it is
    # Cards of the tests are without their pictures.
    return PICTURE.sub(lambda found: found[0] if target_of(path, found[1])[0] else "", text)


def target_of(page: Path, target: str) -> tuple[Path | None, str]:
    """The file of this repository that a link leads to, a folder's page for a folder, and its anchor."""
    path, _, anchor = target.partition("#")
    if "://" in target or not path or "…" in path:
        return None, anchor
    aim = (page.parent / path).resolve()
    aim = aim / "README.md" if aim.is_dir() else aim
    return aim if aim.exists() or (aim.parent.is_dir() and aim.name == "README.md") else None, anchor


def place_of(source: Path) -> Path:
    """Where a file of the repository stands in the site: pages of docs at the top, the rest as here."""
    path = source.relative_to(ROOT)
    if path == Path("README.md"):
        return Path("project.md")
    path = path.relative_to("docs") if path.parts[0] == "docs" else path
    return Path("index.md") if path == Path("README.md") else path


def rewritten(page: Path, text: str) -> str:
    """The text of a page with links that lead to the same files in the site."""

    def link(match: re.Match[str]) -> str:
        aim, anchor = target_of(page, match[2])
        if aim is None:
            return match[0]
        path = os.path.relpath(place_of(aim), place_of(page).parent).replace(os.sep, "/")
        return match[1] + path + (f"#{anchor}" if anchor else "")

    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)  # code is left alone
    return "".join(part if part.startswith("```") else LINK.sub(link, part) for part in parts)


def reference() -> dict[str, str]:
    """A page for each group of public names, where mkdocstrings puts their docstrings, and api.md, which leads there."""
    pages = {"api.md": api_page(linked=True)}
    for heading, (page, names) in GROUPS.items():
        body = "\n".join(f"::: hf_prune.{name}\n" for name in names)
        listed = ", ".join(f"`{name}`" for name in names)
        title = (DOCS / page).read_text(encoding="utf-8").split("\n")[0].removeprefix("# ")
        pages[f"api/{slug(heading)}.md"] = f"# {heading}\n\n{listed}. Explained in [{title}](../{page}).\n\n{body}"
    return pages


def slug(heading: str) -> str:
    """A heading as the name of a page."""
    return re.sub(r"\W+", "-", heading.lower())


def for_models(folder: Path) -> dict[str, str]:
    """``llms.txt``, a list of the pages by what they are about, and ``llms-full.txt`` with their text."""
    settings = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), yaml.BaseLoader)  # which passes over !ENV
    start, *groups = settings["nav"]
    lines, texts = [f"# {settings['site_name']}", "", f"> {settings['site_description']}"], []
    for group in ({"Start": [start]}, *groups):
        [(heading, pages)] = group.items()
        lines += ["", f"## {heading}", ""]
        for page in pages:
            text = (folder / page).read_text(encoding="utf-8")
            title, *paragraphs = text.split("\n\n")
            first = next(paragraph for paragraph in paragraphs if not paragraph.startswith("#"))
            address = page.replace("README.md", "index.md").removesuffix(".md") + ".html"
            lines.append(f"- [{title.removeprefix('# ')}]({address}): {first_of(first)}")
            texts.append(text)
    return {"llms.txt": "\n".join(lines) + "\n", "llms-full.txt": "\n".join(texts)}


def first_of(paragraph: str) -> str:
    """The first sentence of a paragraph, without links."""
    return re.split(r"(?<=[.]) (?=[A-Z`])", re.sub(r"\[(.+?)\]\(.+?\)", r"\1", " ".join(paragraph.split())))[0]


STYLE = """
body { font: 15px/1.5 sans-serif; color: #1f2328; margin: 24px 32px; width: 856px; }
h1, h2 { border-bottom: 1px solid #d0d7de; padding-bottom: 6px; } h1 { font-size: 28px; } h2 { font-size: 22px; }
table { border-collapse: collapse; margin: 12px 0; } th, td { border: 1px solid #d0d7de; padding: 5px 12px; text-align: left; }
th { background: #f6f8fa; } code { background: #eff1f3; padding: 2px 4px; border-radius: 4px; font-size: 85%; }
pre { background: #f6f8fa; padding: 12px; } pre code { padding: 0; background: none; } td code { word-break: break-all; }
img { max-width: 100%; }
"""

if __name__ == "__main__":
    what, *folders = sys.argv[1:]
    if what == "api":
        API.write_text(api_page(), encoding="utf-8")
    else:
        {"pictures": pictures, "card": card, "report": report, "site": site}[what](Path(folders[0]))
