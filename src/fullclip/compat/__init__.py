"""Other projects' names for what this package does."""
