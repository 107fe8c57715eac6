"""An index of pictures: LanceDB holds the rows, segments beside it make a million of them quick to search."""

from fullclip.search.index.opened import Index, Stats

__all__ = ["Index", "Stats"]
