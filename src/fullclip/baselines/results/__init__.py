"""Rows of a comparison: kept in a folder, put in order, held against each other. Knows nothing of models or pairs."""
