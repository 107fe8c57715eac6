"""Pictures that are there twice, and pictures of evaluation sets: looked at, found, grouped, left out."""
