"""Write what the pages show of the package itself: the list of public names, the pictures of the demo, and a card.

    python docs/make.py api                     # docs/api.md, from the docstrings
    python docs/make.py pictures demo           # the pictures of the folder that `make demo` wrote, with fewer colours
    python docs/make.py card digits-pruned      # the card of an exported folder, as a browser shows it; needs Chromium

Pictures go to docs/images.
"""

import inspect
import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import PIL.Image  # noqa: TID253 a script, which is run for this
import PIL.ImageOps  # noqa: TID253
from markdown_it import MarkdownIt

import hf_prune

DOCS = Path(__file__).parent
API = DOCS / "api.md"
CARD_WIDTH, CARD_HEIGHT = 920, 1180  # pixels of the card that are shown
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
            *("BreakEven", "Correlations", "Duplicates", "Estimate", "HeadRuns", "History", "LabelNoise"),
            *("PruningReport", "Recommendation", "Selection", "Step", "Teachers"),
        ],
    ),
    "Errors": ("how-it-works.md", ["UserError", "InputError", "InputTypeError", "StateError", "MissingPackageError"]),
    "Metrics, and the methods of data sets": (
        "score.md",
        ["list_metrics", "get_metric", "register_metric", "unregister_metric", "Metric", "install", "uninstall"],
    ),
}
HEADER = """# Public names

Everything in `hf_prune.__all__`, with the first sentence of its docstring. `help(hf_prune.prune)` shows the rest: arguments,
return value, errors, an example. This page is written by `python docs/make.py api`, and a test compares it.
"""


def first_sentence(name: str) -> str:
    """The first sentence of the docstring of a public name."""
    paragraph = (inspect.getdoc(getattr(hf_prune, name)) or "").split("\n\n")[0].replace("\n", " ")
    sentence = re.split(r"(?<=[.]) (?=[A-Z])", paragraph)[0]
    return re.sub(r"``(.+?)``", r"`\1`", sentence).replace("|", "\\|")


def api_page() -> str:
    """The whole of api.md."""
    parts = [HEADER]
    for heading, (page, names) in GROUPS.items():
        rows = "".join(f"| `{name}` | {first_sentence(name)} |\n" for name in names)
        parts.append(
            f"## {heading}\n\nExplained in [{page}]({page}).\n\n| name | what it is for |\n| --- | --- |\n{rows}"
        )
    return "\n".join(parts)


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
        shot = Path(folder) / "card.png"
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--allow-file-access-from-files",
        ]
        size = f"--window-size={CARD_WIDTH},{CARD_HEIGHT}"
        command = ["chromium", *options, size, f"--screenshot={shot}", f"file://{folder}/card.html"]
        subprocess.run(command, check=True, capture_output=True)
        _save(PIL.ImageOps.expand(PIL.Image.open(io.BytesIO(shot.read_bytes())), border=1, fill="#d0d7de"), "card.png")


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
        {"pictures": pictures, "card": card}[what](Path(folders[0]))
