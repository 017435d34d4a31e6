"""Scaling laws of test error: fits with intervals, which law the points speak for, and the frontier over fractions kept."""

from hf_prune.scaling.choice import LawComparison, compare_laws
from hf_prune.scaling.fitting import Estimate, Prediction, ScalingLaw, fit_law
from hf_prune.scaling.frontier import pareto_frontier

__all__ = ["Estimate", "LawComparison", "Prediction", "ScalingLaw", "compare_laws", "fit_law", "pareto_frontier"]
