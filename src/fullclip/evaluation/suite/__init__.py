"""An evaluation from its tasks to its folder of results."""
