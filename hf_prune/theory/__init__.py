"""Teacher and student perceptrons: what pruning does to the test error, in theory and in simulation."""

from hf_prune.theory.information import information_at, information_gain
from hf_prune.theory.optimum import minimum_keep, optimal_keep, pareto_frontier
from hf_prune.theory.perceptron import Order, PerceptronPoint, test_error
from hf_prune.theory.simulation import Simulation, max_margin, simulate

__all__ = [
    "Order",
    "PerceptronPoint",
    "Simulation",
    "information_at",
    "information_gain",
    "max_margin",
    "minimum_keep",
    "optimal_keep",
    "pareto_frontier",
    "simulate",
    "test_error",
]
