"""Whole runs: recipes and the demo."""
