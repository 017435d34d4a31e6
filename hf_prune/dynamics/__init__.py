"""What rides along in a training of `transformers.Trainer` so that it leaves a record per row of its data set."""
