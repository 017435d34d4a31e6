"""Duplicates and wrong labels, to look at before a data set is pruned."""
