"""Write the results page, its curves, and the table of the README from the tables that the recipes committed.

    python recipes/results/write_page.py

A test makes all of them again and compares: no figure and no verdict of theirs is typed by hand.
"""

import re
import statistics
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from claims import CLAIMS
from judged import FAILS, FEWEST_SEEDS, HOLDS, MARGIN, NOT_RUN, OPEN, figure_words, judge, verdict
from laid_out import (
    CURVES,
    SHARED,
    accuracy_table,
    curve,
    gain,
    gain_table,
    gain_words,
    markdown,
    mean_and_spread,
    seconds_table,
    share,
)
from measured import (
    AUTO,
    EPOCHS,
    FLOORS,
    FULL,
    GRID,
    HARD,
    LAST_BATCH,
    LEARNABLE,
    LESS,
    LONGER,
    NONE,
    NUMBERS,
    PROBE,
    RANDOM,
    RECIPES,
    RS2,
    SHIFTED,
    TRANSFER,
    Runs,
    groups,
    read_all,
    rows_of,
)

from hf_prune.policy.intervals import Interval

ROOT = RECIPES.parent
PAGE, IMAGES = Path("docs/results.md"), "images/results-{}.svg"
SHOWN = 0.7  # share of which seconds are shown where many were measured
START, END = "<!-- made by recipes/results/write_page.py -->", "<!-- until here -->"
README_ARMS = {  # of the README's table, at 70 %
    "all rows": (NONE, FULL, 1.0),
    "random": (NONE, RANDOM, 0.7),
    "EL2N, hard": ("el2n", HARD, 0.7),
    "EL2N, `auto`": ("el2n", AUTO, 0.7),
    "RS2": (NONE, RS2, 0.7),
    "InfoBatch": (NONE, "infobatch", 0.7),
}


class Table(NamedTuple):
    """A table of the page with what stands over it."""

    title: str
    text: str


def judged_claims(runs: Runs) -> list[dict[str, Any]]:
    """Measure every statement of every claim."""
    found = []
    for claim in CLAIMS:
        findings = [judge(statement, runs) for statement in claim.statements]
        lines = [
            [
                finding.statement.says,
                f"{finding.measured.rows:,}" if finding.measured.values else "",
                figure_words(finding),
                f"not below -{finding.statement.margin:g}" if finding.statement.margin else "above 0",
                finding.word,
            ]
            for finding in findings
        ]
        head = ["statement", "rows", "mean [95 % interval] (pairs)", "wanted", "word"]
        found.append({"claim": claim, "word": verdict(findings), "table": markdown(head, lines)})
    return found


def pictures(runs: Runs) -> dict[str, tuple[str, str]]:
    """Name of a picture → its title and text, of the groups whose random rows have three shares or more."""
    found = {}
    for source in (GRID, FLOORS):
        for (data, rows, student, table), arms in groups(runs, source):
            if len({arm.keep for arm in arms if arm.rule == RANDOM}) < 3:
                continue
            plain = {arm: cells for arm, cells in arms.items() if arm.setting in ("", "floor 0.5")}
            for name, wanted in CURVES.items():
                title = f"{data}, {rows:,} rows, {student}, at equal {table}: accuracy over the share kept, {name}"
                text = curve(plain, wanted, title)
                if text:
                    found[f"{data}-{rows}-{student}-{table}-{name}".replace(" ", "-").lower()] = (title, text)
    return found


def grid_tables(runs: Runs) -> list[Table]:
    """Accuracies, the worst class, and gains over random rows of every part of the grid."""
    found = []
    for (data, rows, student, table), arms in groups(runs, GRID):
        title = f"{data}, {rows:,} rows, {student}, at equal {table}{pass_words(arms)}"
        found += [Table(f"{title}: accuracy, %", accuracy_table(arms)), Table("Points", gain_table(arms))]
        if len({arm.keep for arm in arms}) <= 4:
            found.append(Table("Worst class, %", accuracy_table(arms, "worst_class")))
    return found


def source_tables(runs: Runs, source: str, figure: str = "accuracy") -> list[Table]:
    """Accuracies and gains of one file."""
    found = []
    for (data, rows, student, table), arms in groups(runs, source):
        what = {"accuracy": "accuracy, %", "worst_class": "worst class, %", "least_share": "least share, %"}[figure]
        found.append(
            Table(f"{data}, {rows:,} rows, {student}, at equal {table}: {what}", accuracy_table(arms, figure))
        )
        if figure != "least_share" and any(arm.rule == RANDOM for arm in arms):
            found.append(Table("Points", gain_table(arms, figure)))
    return found


def passes(arms: Runs) -> int:
    """How often the students of a group passed over what they were trained on; 0 where that was not counted."""
    counts = {
        round(figures["images_seen"] / (arm.rows * arm.keep))
        for arm, cells in arms.items()
        if arm.table == EPOCHS and arm.rule in (RANDOM, HARD)
        for figures in cells.values()
        if "images_seen" in figures
    }
    return max(counts, default=0)


def pass_words(arms: Runs) -> str:
    """The end of a title that says the passes of a group, nothing where they were not counted."""
    return f", {number} passes" if (number := passes(arms)) else ""


def seeds_apart(runs: Runs) -> str:
    """What hard rows gain in the trainings of 30 passes by the first seeds, and by those that were added when these were known."""
    hard = next((arm for arm in runs if arm.source == LONGER[30] and arm.rule == HARD), None)
    if hard is None or len(runs[hard]) <= FEWEST_SEEDS:
        return ""
    random, lines = hard._replace(metric=NONE, rule=RANDOM), []
    for name, first in (("the first five", True), ("those that were added", False)):
        some = {
            arm: {seed: cells for seed, cells in runs[arm].items() if (seed < FEWEST_SEEDS) == first}
            for arm in (hard, random)
        }
        lines.append([name, gain_words(gain(some, hard, random))])
    lines.append(["all", gain_words(gain(runs, hard, random))])
    return markdown(["seeds", f"{hard.name} less random rows, {share(hard.keep)}"], lines)


def last_batches(recipes: Path) -> str:
    """Lay out accuracies by the rows of the last batch of a pass, with the batch size asked for and with the one chosen instead."""
    found: dict[tuple[int, bool], list[float]] = {}
    lines = rows_of(recipes / LAST_BATCH)
    asked = max((int(line["batch_size"]) for line in lines), default=0)
    for line in lines:
        rest, is_asked = int(line["rows"]) % asked, int(line["batch_size"]) == asked
        found.setdefault((rest, is_asked), []).append(float(line["accuracy"]))
    rests = sorted({rest for rest, _ in found})
    words = {
        key: mean_and_spread(dict(enumerate({"accuracy": value} for value in known))) for key, known in found.items()
    }
    rows = [[str(rest), words.get((rest, True), ""), words.get((rest, False), "the same")] for rest in rests]
    return markdown(["rows of the last batch", f"batches of {asked}, %", "a few rows less, %"], rows) if rows else ""


def seconds(runs: Runs) -> list[Table]:
    """Seconds of every group that recorded them."""
    found = []
    for source in (GRID, *LONGER.values(), LESS):
        for (data, rows, student, table), arms in groups(runs, source):
            if len({arm.keep for arm in arms}) > 4:  # too many lines to read, each like the others
                arms = {arm: cells for arm, cells in arms.items() if arm.keep in (1.0, SHOWN)}
            if table == EPOCHS and (text := seconds_table(arms)):
                found.append(Table(f"{data}, {rows:,} rows, {student}{pass_words(arms)}", text))
    return found


def worst_group(recipes: Path) -> str:
    """Error of the worst class as the data grow, from the summary of the scaling recipe."""
    lines = [line for line in rows_of(recipes / "scaling-cifar10/summary.csv") if line["measure"] == "worst class"]
    sizes = sorted({int(line["size"]) for line in lines}, reverse=True)
    orders = [("full", "1.0"), *((order, keep) for keep in ("0.8", "0.4") for order in ("random", "hard", "easy"))]
    rows = []
    for order, keep in orders:
        known = {int(line["size"]): line for line in lines if line["order"] == order and line["keep"] == keep}
        cells = [_error(known[size]) if size in known else "" for size in sizes]
        rows.append([f"{order}, {share(float(keep))}" if order != "full" else "all rows", *cells])
    return markdown(["kept", *(f"{size:,} rows" for size in sizes)], rows)


def agreement(recipes: Path) -> str:
    """Rank correlations of scores by networks from pixels with those by heads, and of prototypes by two encoders."""
    rows = []
    networks = {line["column"]: line for line in rows_of(recipes / "benchmark-cifar10/correlations.csv")}
    for name, line in networks.items():
        rows += [
            [f"`{name.split(',')[0]}`", name.split(", ")[1], other.split(", ")[1], f"{float(value):.2f}"]
            for other, value in line.items()
            if name.endswith(", networks") and other.split(", ")[:1] == name.split(", ")[:1] and other != name
        ]
    prototypes = {line["column"]: line for line in rows_of(recipes / "tiny-encoder/agreement.csv")}
    pairs = [
        float(value)
        for name, line in prototypes.items()
        for other, value in line.items()
        if name.startswith("tiny") and other.startswith("efficientnet")
    ]
    if pairs:
        rows.append(["`prototypes`", "`tiny`", "EfficientNet-Lite0", f"{statistics.fmean(pairs):.2f}"])
    return markdown(["scores", "by", "and by", "Spearman correlation"], rows) if rows else ""


def _error(line: dict[str, str]) -> str:
    mean, low, high = (100 * float(line[name]) for name in ("error", "error_low", "error_high"))
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"


def counted(runs: Runs) -> dict[str, list[str]]:
    """Metrics by whether hard rows at 70 % beat random rows, where the grid has both."""
    found: dict[str, list[str]] = {"above": [], "below": [], "open": []}
    for _, arms in groups(runs, GRID):
        hard = [arm for arm in arms if arm.rule == HARD and arm.keep == 0.7 and arm.table == EPOCHS]
        if len(hard) <= 3 or any(found.values()):
            continue
        for arm in sorted(hard):
            gained = gain(arms, arm, arm._replace(metric=NONE, rule=RANDOM))
            found[_sign(gained)].append(f"`{arm.metric}`")
    return found


def _sign(gained: tuple[Interval, int] | None) -> str:
    if gained is None or gained[1] < FEWEST_SEEDS:
        return "open"
    return "above" if gained[0].low > 0 else "below" if gained[0].high < 0 else "open"


def readme_table(runs: Runs, claims: list[dict[str, Any]]) -> str:
    """The few lines of the README: what holds, and the main arms of networks from pixels."""
    lines = []
    for word in (HOLDS, FAILS, OPEN):
        named = [f"{found['claim'].title} ({found['claim'].number})" for found in claims if found["word"] == word]
        lines.append([word, "; ".join(named) or "none"])
    parts = [markdown(["of the paper's seven claims", "which, on real images: [Results](docs/results.md)"], lines)]
    rows = []
    for source in (GRID, *LONGER.values()):
        for (data, number, _, _), arms in islice(groups(runs, source), 1):  # the largest set
            known = {arm[5:8]: mean_and_spread(cells) for arm, cells in arms.items() if arm.table == EPOCHS}
            cells = [known.get(arm, NOT_RUN) for arm in README_ARMS.values()]
            if cells.count(NOT_RUN) < len(cells) / 2:
                rows.append([f"{data}, {number:,} rows{pass_words(arms)}", *cells])
    if rows:
        parts.append(markdown(["at 70 %, network from pixels", *README_ARMS], rows))
    return "\n\n".join(parts)


def tables_of_heads(runs: Runs) -> dict[str, list[Table]]:
    """Tables of the recipes of the paper, by their names in the page."""
    sources = {
        "floors": FLOORS,
        "probe": PROBE,
        "numbers": NUMBERS,
        "learnable": LEARNABLE,
        "shifted": SHIFTED,
        "transfer": TRANSFER,
    }
    tables = {name: source_tables(runs, source) for name, source in sources.items()}
    others = {"worst": "worst_class", "least": "least_share"}
    return tables | {name: source_tables(runs, FLOORS, figure) for name, figure in others.items()}


def page(recipes: Path = RECIPES) -> tuple[dict[Path, str], str]:
    """The files that are written, by their place in the repository, and the table of the README."""
    runs = read_all(recipes)
    claims, drawn = judged_claims(runs), pictures(runs)
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    template = environment.from_string((RECIPES / "results/page.md.jinja").read_text(encoding="utf-8"))
    text = template.render(
        claims=claims,
        words={word: [found for found in claims if found["word"] == word] for word in (HOLDS, FAILS, OPEN)},
        fewest=FEWEST_SEEDS,
        margin=MARGIN,
        shared=SHARED,
        pictures={name: (title, IMAGES.format(name)) for name, (title, _) in drawn.items()},
        grid=grid_tables(runs),
        longer={number: found for number, source in LONGER.items() if (found := source_tables(runs, source))},
        passes=next((passes(arms) for _, arms in groups(runs, GRID)), 0),
        counted=counted(runs),
        seeds_apart=seeds_apart(runs),
        last_batches=last_batches(recipes),
        seconds=seconds(runs),
        tables=tables_of_heads(runs),
        worst_group=worst_group(recipes),
        agreement=agreement(recipes),
    )
    files = {PAGE: re.sub(r"\n{3,}", "\n\n", text)}
    files |= {PAGE.parent / IMAGES.format(name): picture for name, (_, picture) in drawn.items()}
    return files, readme_table(runs, claims)


def with_table(readme: str, table: str) -> str:
    """The README with the table between its marks."""
    head, _, rest = readme.partition(START)
    _, _, tail = rest.partition(END)
    return f"{head}{START}\n\n{table}\n\n{END}{tail}"


def main() -> None:
    """Write all of them, and take away pictures that are drawn no more."""
    files, table = page()
    for old in (ROOT / "docs/images").glob("results-*.svg"):
        old.unlink()
    for place, text in files.items():
        (ROOT / place).write_text(text, encoding="utf-8")
    readme = ROOT / "README.md"
    readme.write_text(with_table(readme.read_text(encoding="utf-8"), table), encoding="utf-8")
    print(*files, "README.md", sep="\n")


if __name__ == "__main__":
    main()
