"""The parts of the report: runs in, a section out, or None where nothing of it was measured."""
