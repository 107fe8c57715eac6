"""Words for people, on stderr; results go to stdout."""

from rich.console import Console


def stderr() -> Console:
    """The console for logs and bars."""
    return Console(stderr=True)


def say(text: str) -> None:
    """A line for people, as it is: not wrapped, not coloured."""
    stderr().print(text, highlight=False, markup=False, soft_wrap=True)
