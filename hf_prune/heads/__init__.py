"""Many small heads on frozen embeddings: the ensemble that whoever has an encoder can afford, hundreds of runs in minutes."""
