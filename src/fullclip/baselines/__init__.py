"""What the paper compares CLIP with: other ways of learning from the same pairs, at a scale that a processor carries."""
