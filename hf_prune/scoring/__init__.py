"""Scores of rows: the inputs of metrics, given by the user or made by models, heads and training records, and score columns."""

from hf_prune.scoring.builder import InputBuilder
from hf_prune.scoring.request import Inputs, Request
from hf_prune.scoring.run import Run

__all__ = ["InputBuilder", "Inputs", "Request", "Run"]
