"""A model behind HTTP: embeddings, labels, search and reranking, for many clients at a time (docs/serving.md).

Its modules import FastAPI at their top; `fullclip.cli.serve` asks for the packages of fullclip[serve] first.
"""
