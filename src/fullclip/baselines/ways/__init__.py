"""The ways of learning of Figure 2, each in a file of its own, and the table of them."""
