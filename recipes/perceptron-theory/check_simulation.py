"""Compare the theory with simulations at points drawn at random, extrapolated to infinitely many dimensions.

    python recipes/perceptron-theory/check_simulation.py

Writes check_simulation.csv beside this file and says how far the simulations lie from the theory, in standard errors.
"""

import argparse
import csv
import math
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hf_prune.theory import Order, simulate, test_error

# Dimensions and runs at each. A single run scatters by about 1 / sqrt(N), so the means are about equally sharp.
RUNS = {100: 120, 200: 80, 400: 50}
THETAS = (0, 10, 20, 30)
ORDERS: tuple[Order, ...] = ("hard", "easy")
FIELDS = ("alpha_tot", "keep", "theta_degrees", "order", "theory")
FIELDS += tuple(f"{name}_{size}" for size in RUNS for name in ("error", "se"))
FIELDS += ("extrapolated", "standard_error", "deviations")


def draw_points(count: int, seed: int) -> list[tuple[float, float, int, Order]]:
    """Points (alpha_tot, keep, theta in degrees, order) whose numbers of examples are whole at every size."""
    rng = np.random.default_rng(seed)
    points: list[tuple[float, float, int, Order]] = []
    for number in range(count):
        alpha_tot = round(rng.uniform(0.5, 12), 2)
        alpha_prune = round(alpha_tot * rng.uniform(0.1, 1), 2)
        theta, order = THETAS[number % len(THETAS)], ORDERS[number // len(THETAS) % len(ORDERS)]
        points.append((alpha_tot, alpha_prune / alpha_tot, theta, order))
    return points


def extrapolate(
    sizes: NDArray[np.float64], means: NDArray[np.float64], errors: NDArray[np.float64]
) -> tuple[float, float]:
    """Value at 1 / N = 0 of the weighted straight line in 1 / N, and its standard error."""
    design = np.column_stack((np.ones_like(sizes), 1 / sizes)) / errors[:, None]
    covariance = np.linalg.inv(design.T @ design)
    return float((covariance @ design.T @ (means / errors))[0]), math.sqrt(covariance[0, 0])


def compare(point: tuple[float, float, int, Order], seed: int) -> dict[str, float | int | str]:
    """Theory and simulations at one point, as a row of the table."""
    alpha_tot, keep, degrees, order = point
    theta = math.radians(degrees)
    theory = float(test_error(alpha_tot, keep, theta, order).error)
    row: dict[str, float | int | str] = dict(zip(FIELDS, (*point, theory), strict=False))
    runs = [simulate(size, alpha_tot, keep, theta, order, draws, seed + size) for size, draws in RUNS.items()]
    for size, run in zip(RUNS, runs, strict=True):
        row |= {f"error_{size}": run.mean, f"se_{size}": run.standard_error}
    means, errors = (
        np.array(values) for values in zip(*((run.mean, run.standard_error) for run in runs), strict=True)
    )
    limit, error = extrapolate(np.array([*RUNS], dtype=float), means, errors)
    return row | {"extrapolated": limit, "standard_error": error, "deviations": (limit - theory) / error}


def main() -> None:
    """Simulate every point, write each row as it is ready, and sum up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=30)
    parser.add_argument("--seed", type=int, default=2206)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("check_simulation.csv"))
    options = parser.parse_args()
    deviations = []
    with options.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        for number, point in enumerate(draw_points(options.points, options.seed)):
            row = compare(point, seed=options.seed + 1000 * number)
            writer.writerow(
                {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
            )
            file.flush()
            deviations.append(abs(float(row["deviations"])))
            print(f"{number + 1:2d}/{options.points} {point}: {row['deviations']:+.2f} standard errors", flush=True)
    beyond = sum(value > 2 for value in deviations)
    print(f"{beyond} of {len(deviations)} beyond 2 standard errors, the largest {max(deviations):.2f}")
    sys.exit(beyond > 4 / 30 * len(deviations) or max(deviations) > 3.5)


if __name__ == "__main__":
    main()
