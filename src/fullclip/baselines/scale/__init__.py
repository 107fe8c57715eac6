"""CLIP's accuracy by the share of the pairs that it learns from, and by the size of its batches."""
