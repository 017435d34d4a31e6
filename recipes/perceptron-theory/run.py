"""Figures 1 and 2 of "Beyond neural scaling laws" and the information of one more example, theory and simulation.

    python recipes/perceptron-theory/run.py

Writes results.csv, figure1.png, figure2.png and information.png beside this file, or into --out.
"""

import argparse
import csv
import math
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hf_prune.runtime.figures import new_figure
from hf_prune.theory import Order, information_gain, optimal_keep, pareto_frontier, simulate, test_error
from hf_prune.theory.plots import plot_frontiers, plot_information, plot_pruning_curves

KEEPS = 10 ** (-np.arange(10) / 9)
ALPHAS = np.geomspace(0.3, 10, 60)  # examples trained on, per dimension: theory
SIMULATED = np.array([0.5, 1.0, 2.0, 4.0])  # and simulations
NUM_DIMENSIONS = 200
FIELDS = ("theta_degrees", "order", "keep", "alpha_tot", "alpha_prune", "theory", "simulation", "standard_error")


@dataclass(frozen=True)
class Panel:
    """One picture of ten curves."""

    degrees: int
    order: Order

    @property
    def theta(self) -> float:
        """Angle in radians."""
        return math.radians(self.degrees)

    @property
    def title(self) -> str:
        """What the panel shows."""
        return f"keep {self.order}, probe at {self.degrees}°"


FIGURE_1 = (Panel(0, "hard"), Panel(0, "easy"))
FIGURE_2 = (Panel(10, "hard"), Panel(20, "hard"))


def simulate_one(job: tuple[Panel, float, float, int, int]) -> tuple[float, float]:
    """Mean test error and standard error at one point."""
    panel, keep, alpha_prune, draws, seed = job
    run = simulate(NUM_DIMENSIONS, alpha_prune / keep, keep, panel.theta, panel.order, draws, seed)
    return run.mean, run.standard_error


def simulations(panels: tuple[Panel, ...], draws: int, workers: int) -> dict[Panel, NDArray[np.float64]]:
    """Mean and standard error, shape (fractions, sizes, 2), for each panel."""
    jobs = [(panel, float(keep), float(alpha), draws) for panel in panels for keep in KEEPS for alpha in SIMULATED]
    with ProcessPoolExecutor(workers) as pool:
        done = np.array(list(pool.map(simulate_one, [(*job, seed) for seed, job in enumerate(jobs)])))
    return dict(zip(panels, done.reshape(len(panels), len(KEEPS), len(SIMULATED), 2), strict=True))


def table(panel: Panel, found: NDArray[np.float64]) -> list[dict[str, str | int]]:
    """Rows of results.csv: the simulated points beside their theory."""
    alpha_tot = SIMULATED / KEEPS[:, None]
    theory = test_error(alpha_tot, KEEPS[:, None], panel.theta, panel.order)
    values = (theory.keep, alpha_tot, theory.alpha_prune, theory.error, found[..., 0], found[..., 1])
    columns = [np.ravel(value) for value in values]
    return [
        dict(zip(FIELDS, (panel.degrees, panel.order, *(f"{value:.6g}" for value in row)), strict=True))
        for row in zip(*columns, strict=True)
    ]


def figure(panels: tuple[Panel, ...], found: dict[Panel, NDArray[np.float64]], path: Path, *, angles: bool) -> None:
    """Draw the panels on one scale, and beside them, if asked for, the frontiers of several angles."""
    picture = new_figure(4.6 * (len(panels) + angles), 4.4)
    axes = picture.subplots(1, len(panels) + angles, sharey=True, sharex=not angles)
    for panel, ax in zip(panels, axes, strict=False):
        curves = [test_error(ALPHAS / keep, keep, panel.theta, panel.order) for keep in KEEPS]
        dots = [(SIMULATED, row[:, 0], row[:, 1]) for row in found[panel]]
        frontier = pareto_frontier(ALPHAS, panel.theta, panel.order, min_keep=KEEPS[-1])
        plot_pruning_curves(curves, ax, simulated=dots, frontier=frontier).set_title(panel.title)
    if angles:
        sizes = np.geomspace(0.3, 100, 40)
        frontiers = [pareto_frontier(sizes, math.radians(degrees), min_keep=0.01) for degrees in (5, 10, 20, 40)]
        plot_frontiers(frontiers, axes[-1], random=test_error(sizes, 1.0)).set_title("best fraction, down to 0.01")
    for ax in axes:
        ax.set_ylim(8e-4 if angles else 3e-3, 0.6)
        ax.label_outer()
    picture.savefig(path, dpi=130)


def information(path: Path) -> None:
    """Draw nats per example for fixed fractions and for the fraction that suits the data set."""
    alpha_tot = np.geomspace(1, 1e4, 81)
    gains = {f"keep {keep:g}": information_gain(alpha_tot, keep) for keep in (1.0, 0.3, 0.1)}
    gains["keep what suits the size"] = information_gain(alpha_tot, optimal_keep(alpha_tot))
    ax = plot_information(alpha_tot, gains)
    ax.set_title("keep hard, perfect probe")
    ax.figure.savefig(path, dpi=130)


def main() -> None:
    """Simulate, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    found = simulations(FIGURE_1 + FIGURE_2, options.draws, options.workers)
    rows = [row for panel, values in found.items() for row in table(panel, values)]
    with (options.out / "results.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    figure(FIGURE_1, found, options.out / "figure1.png", angles=False)
    figure(FIGURE_2, found, options.out / "figure2.png", angles=True)
    information(options.out / "information.png")
    print(f"{len(rows)} simulated points, 3 pictures in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
