"""A file for each group of routes: parts in, a router out."""
