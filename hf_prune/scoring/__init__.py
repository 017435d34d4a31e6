"""From what a metric needs to arrays: given by the user, made by models, read from training records, or made by heads."""

from hf_prune.scoring.builder import InputBuilder
from hf_prune.scoring.request import Inputs, Request
from hf_prune.scoring.run import Run

__all__ = ["InputBuilder", "Inputs", "Request", "Run"]
