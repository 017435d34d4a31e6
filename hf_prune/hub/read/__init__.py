"""Read what others published: scores, cuts and records."""
