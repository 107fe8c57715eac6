"""Where a task's images, labels and words come from."""
