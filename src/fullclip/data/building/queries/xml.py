"""XML of any length, block by block, in bounded memory; what is broken or hostile ends it with a problem.

Knows nothing of what the elements mean.
"""

from collections.abc import Callable, Iterator
from xml.parsers import expat

from fullclip.data.building.queries.streams import Stream

_MAX_TOKEN = 8 << 20
_MAX_DEPTH = 32


class BrokenError(Exception):
    """What follows cannot be read. A handler may raise it."""


class Parsing:
    """Calls the handlers for the elements of a stream; `problem` says at the end what was wrong, and was not read.

    root: the name of the outermost element.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        root: str,
        start: Callable[[str, dict[str, str]], None],
        end: Callable[[str], None],
        characters: Callable[[str], None],
    ) -> None:
        self._stream, self._root, self._on_start, self._on_end = stream, root, start, end
        self._depth = 0
        self.problem: str | None = None
        self._parser = expat.ParserCreate("utf-8")
        self._parser.buffer_text = True
        self._parser.buffer_size = 1 << 16
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = characters
        self._parser.StartDoctypeDeclHandler = self._doctype

    def __iter__(self) -> Iterator[None]:
        """Once after every block."""
        fed = 0
        for block in self._stream:
            if self.problem is None:  # otherwise only to the end, for the hash
                fed += len(block)
                self._feed(block, fed)
                yield
        if self.problem is None:
            self._feed(b"", fed)

    def _feed(self, block: bytes, fed: int) -> None:
        try:
            self._parser.Parse(block, not block)
            if block and fed - self._parser.CurrentByteIndex > _MAX_TOKEN:
                raise BrokenError(f"a tag of more than {_MAX_TOKEN:,} bytes")
        except (expat.ExpatError, BrokenError) as error:
            self.problem = (None if block else self._stream.torn) or str(error)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._depth == 0 and name != self._root:
            raise BrokenError(f"begins with <{name[:40]}>")
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise BrokenError(f"more than {_MAX_DEPTH} elements within each other")
        self._on_start(name, attributes)

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._on_end(name)

    def _doctype(self, _name: str, _system: str | None, _public: str | None, has_subset: int) -> None:
        """Definitions of entities, of which one may stand for billions of characters."""
        if has_subset:
            raise BrokenError("a DOCTYPE with definitions")
