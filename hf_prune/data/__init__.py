"""Data sets: their columns, images and labels, the identity of their rows, where they come from and what was done to them."""
