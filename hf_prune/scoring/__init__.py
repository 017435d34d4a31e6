"""From what a metric needs to arrays: handed in, made by models, read from training records, or made by heads."""

from hf_prune.scoring.builder import InputBuilder
from hf_prune.scoring.request import Inputs, Request, store_root

__all__ = ["InputBuilder", "Inputs", "Request", "store_root"]
