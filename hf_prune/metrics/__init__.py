"""The metrics: one file per family, named after its best-known member; importing this package registers them."""
