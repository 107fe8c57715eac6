"""Figures as SVG elements: arrays and names in. Knows nothing of runs and records."""
