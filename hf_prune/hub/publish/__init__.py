"""Publish a pruned data set, in a folder or on the Hub."""
