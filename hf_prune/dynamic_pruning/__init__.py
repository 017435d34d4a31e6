"""Dynamic pruning: a `transformers.Trainer` that trains on another part of the rows in each epoch."""
