"""Streams: scored and pruned shard by shard, in memory that does not grow with the number of rows.

A first pass reads the stream once and leaves its scores in small files; what is returned is a stream again, which reads the
rows a second time and puts each beside its score.
"""
