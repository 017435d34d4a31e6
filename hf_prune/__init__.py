"""Data pruning for Hugging Face datasets: score, prune, push, with provenance."""

__version__ = "0.1.0"
