"""Encoders and teachers: opened by whatever names them, lazily, with the identity that the record and the cache need."""
