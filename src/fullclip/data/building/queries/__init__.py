"""The list of queries that texts are matched with (CLIP, Radford et al. 2021, section 2.2): built, written, read."""
