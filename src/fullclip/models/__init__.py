"""The two encoders on a single device, and their weights in every common format. Knows nothing of ranks."""
