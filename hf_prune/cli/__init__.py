"""Command line: ``hf-prune demo | metrics | score | prune | export | push | cache | run``."""

from hf_prune.cli.app import main

__all__ = ["main"]
