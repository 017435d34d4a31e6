"""The command line ``hf-prune``."""

from hf_prune.cli.app import main

__all__ = ["main"]
