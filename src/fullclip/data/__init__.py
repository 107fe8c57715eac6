"""Pairs -> shards -> batches."""
