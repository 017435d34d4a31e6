"""From what a metric needs to arrays: handed in, made by models, read from training records, or made by heads."""

from hf_prune.inputs.builder import InputBuilder
from hf_prune.inputs.request import Inputs, Request, store_root

__all__ = ["InputBuilder", "Inputs", "Request", "store_root"]
