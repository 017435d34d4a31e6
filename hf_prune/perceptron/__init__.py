"""Teacher and student perceptrons: what pruning does to the test error, in theory and in simulation."""

from hf_prune.perceptron.information import information_at, information_gain
from hf_prune.perceptron.optimum import minimum_keep, optimal_keep, pareto_frontier
from hf_prune.perceptron.simulation import Simulation, max_margin, simulate
from hf_prune.perceptron.theory import Order, PerceptronPoint, test_error

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
