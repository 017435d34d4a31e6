"""Trainings of a made-up study whose means, intervals and flips can be computed by hand."""

from hf_prune.scaling.runs import ScalingRun

SIZES, DRAWS = (500, 1000, 2000, 4000), 5
SCATTER = (-10, -5, 0, 5, 10)  # test rows of 10,000, by draw, the same for every cut


def cut(size: int, keep: float, order: str, draw: int, extra: int) -> ScalingRun:
    """A training that gets a few rows more wrong than its size and draw alone would."""
    wrong = round(10_000 * (3 * size**-0.5)) + extra + SCATTER[draw]
    groups = {"class cat": (wrong, 8000), "class dog": (wrong // 20, 2000), "group night": (wrong // 4, 4000)}
    return ScalingRun(
        "s", "el2n", "all rows", "linear student", size, keep, order, draw, round(size * keep), wrong, 10_000, groups
    )


def runs(extras) -> list[ScalingRun]:
    """Wrong rows beyond those of no pruning, by order and size; each draw of a cut differs by one more row."""
    found = []
    for size in SIZES:
        for draw in range(DRAWS):
            found.append(cut(size, 1.0, "full", draw, 0))
            found += [cut(size, 0.5, order, draw, extra(size) + draw) for order, extra in extras.items()]
    return found


FLIPS = runs({"hard": lambda size: 400 if size < 1500 else 0, "easy": lambda _: 200, "random": lambda _: 300})
STAYS = runs({"hard": lambda _: 400, "easy": lambda _: 200, "random": lambda _: 300})
