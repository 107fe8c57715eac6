"""Many images and texts -> embeddings on disk."""
