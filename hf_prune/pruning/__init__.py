"""Prune a scored data set: decide, keep the classes, record the cut and say of every row what became of it."""
