"""Tables and curves of arms, as Markdown and SVG."""

import math
import statistics
from collections.abc import Iterable, Sequence

from judged import FEWEST_SEEDS, LEVEL, NOT_RUN
from measured import AUTO, AUTO_UNASKED, EASY, FULL, HARD, NONE, RANDOM, RS2, SHIFTED, Arm, Runs, pairs

from hf_prune.policy.intervals import Interval, paired_interval
from hf_prune.runtime.svg import Line, curves

SHARED = 10  # students that share the cost of scoring
WHITE = '<rect width="100%" height="100%" fill="#ffffff"/>'  # a page that is dark shows the picture on white
ORDER = (FULL, RANDOM, RS2, "infobatch", HARD, EASY, AUTO, AUTO_UNASKED)
CURVES = {  # picture → arms by metric and rule; random rows are grey
    "rules": ((NONE, RS2), ("el2n", HARD), ("el2n", EASY), ("el2n", AUTO)),
    "metrics": (("el2n", HARD), ("forgetting", HARD), ("memorization", HARD), ("prototypes", HARD)),
}


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def share(keep: float) -> str:
    """Write a share kept."""
    return f"{100 * keep:g} %"


def values(found: dict[int, dict[str, float]], figure: str = "accuracy") -> list[float]:
    """Figures of an arm in the order of the seeds, those that are there."""
    return [found[seed][figure] for seed in sorted(found) if figure in found[seed]]


def mean_and_spread(found: dict[int, dict[str, float]], figure: str = "accuracy") -> str:
    """Write mean ± standard deviation in %, with the number of seeds where they are fewer than five."""
    known = [100 * value for value in values(found, figure)]
    if not known:
        return NOT_RUN
    words = f"{statistics.fmean(known):.2f}"
    words += f" ± {statistics.stdev(known):.2f}" if len(known) > 1 else ""
    return words if len(known) >= FEWEST_SEEDS else f"{words} ({len(known)})"


def gain(runs: Runs, arm: Arm, other: Arm, figure: str = "accuracy") -> tuple[Interval, int] | None:
    """Return the paired difference of two arms in points, with its interval and the number of pairs; one pair has no interval."""
    found = pairs(runs, arm, other, figure)
    if not found:
        return None
    return paired_interval(found, LEVEL) if len(found) > 1 else Interval(found[0], -math.inf, math.inf), len(found)


def gain_words(found: tuple[Interval, int] | None) -> str:
    """Write a difference with its interval, bold where five seeds or more tell it from 0."""
    if found is None:
        return NOT_RUN
    (mean, low, high), count = found
    if count == 1:
        return f"{_signed(mean)} (1)"
    words = f"{_signed(mean)} [{_signed(low)}, {_signed(high)}]"
    if count < FEWEST_SEEDS:
        return f"{words} ({count})"
    return f"**{words}**" if low > 0 or high < 0 else words


def _signed(value: float) -> str:
    words = f"{value:+.2f}"
    return words[1:] if float(words) == 0 else words


def reference(arm: Arm, runs: Runs) -> Arm:
    """Return the random rows that an arm is compared with; settings that random rows know nothing of are left out."""
    random = arm._replace(metric=NONE, rule=RANDOM)
    return random if random in runs else random._replace(setting=_shared_setting(arm))


def _shared_setting(arm: Arm) -> str:
    return ", ".join(part for part in arm.setting.split(", ") if "redrawn" in part or arm.source == SHIFTED)


def names(runs: Runs) -> list[tuple[str, str, str]]:
    """Metric, rule and setting of all arms, references first."""

    def place(key: tuple[str, str, str]) -> tuple[object, ...]:
        metric, rule, setting = key
        number = [float(part) for part in setting.replace(",", " ").split() if part.replace(".", "").isdigit()]
        rank = ORDER.index(rule) if rule in ORDER else len(ORDER)
        return metric != NONE, metric, rank, rule, number, setting

    return sorted({(arm.metric, arm.rule, arm.setting) for arm in runs}, key=place)


def accuracy_table(runs: Runs, figure: str = "accuracy") -> str:
    """Lay out mean ± standard deviation, a line per rule and a column per share."""
    keeps = sorted({arm.keep for arm in runs}, reverse=True)
    rows = []
    for name in names(runs):
        found = {arm.keep: cells for arm, cells in runs.items() if (arm.metric, arm.rule, arm.setting) == name}
        arm = next(arm for arm in runs if (arm.metric, arm.rule, arm.setting) == name)
        rows.append([arm.name, *("" if keep not in found else mean_and_spread(found[keep], figure) for keep in keeps)])
    return markdown(["kept", *map(share, keeps)], rows)


def gain_table(runs: Runs, figure: str = "accuracy") -> str:
    """Lay out differences to random rows of the same share, in points."""
    keeps = sorted({arm.keep for arm in runs if arm.keep < 1}, reverse=True)
    rows = []
    for name in [name for name in names(runs) if name[:2] not in ((NONE, FULL), (NONE, RANDOM))]:
        arms = {arm.keep: arm for arm in runs if (arm.metric, arm.rule, arm.setting) == name}
        cells = [
            gain_words(gain(runs, arms[keep], reference(arms[keep], runs), figure)) if keep in arms else ""
            for keep in keeps
        ]
        rows.append([next(iter(arms.values())).name, *cells])
    return markdown(["less random rows", *map(share, keeps)], rows)


def seconds_table(runs: Runs) -> str:
    """Lay out what training and scoring take, against all rows for as many epochs."""
    full = next((arm for arm in runs if arm.rule == FULL), None)
    if full is None:
        return ""
    whole = statistics.fmean(values(runs[full], "train_cpu_s"))
    rows = []
    for arm in sorted(runs, key=lambda arm: (-arm.keep, names(runs).index((arm.metric, arm.rule, arm.setting)))):
        training = values(runs[arm], "train_cpu_s")
        scoring = values(runs[arm], "score_cpu_s")
        if not training:
            continue
        once = statistics.fmean(scoring) if scoring else 0.0
        seconds = statistics.fmean(training)
        against = "" if arm == full else gain_words(gain(runs, arm, full))
        part = 100 * (seconds + once / SHARED) / whole
        known = f"{once:,.0f}" if scoring or arm.metric == NONE else "not recorded"
        rows.append(
            [arm.name, share(arm.keep), against, f"{seconds:,.0f}", f"{whole - seconds:,.0f}", known, f"{part:.0f} %"]
        )
    head = [
        "trained on",
        "share",
        "less all rows",
        "training, s",
        "saved, s",
        "scoring, s",
        f"training and a {SHARED}th of scoring",
    ]
    return markdown(head, rows)


def curve(runs: Runs, wanted: Sequence[tuple[str, str]], title: str, figure: str = "accuracy") -> str:
    """Draw accuracy over the share kept; random rows and RS2 have a band of a standard deviation to either side."""
    lines = []
    for metric, rule in ((NONE, RANDOM), *wanted):
        arms = sorted((arm for arm in runs if (arm.metric, arm.rule) == (metric, rule)), key=lambda arm: arm.keep)
        known = [(arm.keep, values(runs[arm], figure)) for arm in arms if len(values(runs[arm], figure)) > 1]
        if len(known) < 2:
            continue
        points = [(keep, statistics.fmean(found)) for keep, found in known]
        spreads = [statistics.stdev(found) for _, found in known]
        has_band = rule in (RANDOM, RS2)
        band = [(mean - spread, mean + spread) for (_, mean), spread in zip(points, spreads, strict=True)]
        lines.append(Line(arms[0].name.split(",")[0], points, band if has_band else (), rule == RANDOM))
    if len(lines) < 2:
        return ""
    picture = str(curves(lines, title, width=560, height=300))
    start = picture.index(">") + 1
    return f"{picture[:start]}{WHITE}{picture[start:]}\n".replace("currentColor", "#1f2328")
