"""Many small heads on frozen embeddings: an ensemble of hundreds of runs in minutes."""
