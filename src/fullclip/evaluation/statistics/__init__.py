"""Numbers of arrays, each with its interval. Knows nothing of models, tasks or files."""
