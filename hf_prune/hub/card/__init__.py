"""Cards: sections of a page rendered from records alone."""
