"""Data sets: their columns, images and labels, the identity of their rows, their source and their history."""
