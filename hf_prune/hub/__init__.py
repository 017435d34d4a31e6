"""What is published: Parquet, card and record, in a folder or on the Hub."""
