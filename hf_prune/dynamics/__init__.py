"""Training dynamics: a record of each row of the data set of a `transformers.Trainer`."""
