"""The commands. typer only here; what a command runs is imported inside its function, so that --help answers at once."""

from fullclip.cli.app import main

__all__ = ["main"]
