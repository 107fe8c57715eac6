"""Numbers about a model, each with its interval."""
