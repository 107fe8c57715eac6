"""Images into features, once for each model: computed on all processes, kept on disk."""
