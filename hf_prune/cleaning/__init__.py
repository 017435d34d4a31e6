"""Duplicates and wrong labels: what to look at before a data set is pruned."""
