"""Encoders and teachers, opened lazily, with the identity that records and the cache need."""
