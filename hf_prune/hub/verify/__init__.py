"""Check what was published: verify its files, rebuild its rows."""
