"""Foundations of all other packages: processes, files that are complete or absent, folders with one owner, seeds, messages."""
