"""Files that may be compressed (bz2, also many streams in one, gzip, xz), as blocks of bounded size; what was read is hashed.

A torn file gives what can be read of it, and then says so. Knows nothing of what the bytes mean.
"""

import bz2
import hashlib
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fullclip.core.storage import open_file

_BLOCK = 1 << 20
_BROKEN = (OSError, EOFError, lzma.LZMAError, zlib.error)


@dataclass(frozen=True, kw_only=True)
class Input:
    """A file that was read: its name without folders, size and SHA-256."""

    name: str
    num_bytes: int
    sha256: str


class _Gzip:
    """zlib's decompressor with the face of bz2's."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self._tail = b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out = self._inner.decompress(self._tail + data, max_length)
        self._tail = self._inner.unconsumed_tail
        self._full = len(out) == max_length
        return out

    @property
    def needs_input(self) -> bool:
        return not self._tail and not self._full

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


_MAGIC: dict[bytes, Callable[[], Any]] = {
    b"BZh": bz2.BZ2Decompressor,
    b"\x1f\x8b": _Gzip,
    b"\xfd7zXZ\x00": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ),
}


class Stream:
    """The decompressed bytes of a file, once through. `torn` says at the end what was wrong with it."""

    def __init__(self, path: str) -> None:
        self.path, self._digest, self._num_bytes = path, hashlib.sha256(), 0
        self.torn: str | None = None

    @property
    def name(self) -> str:
        """The path without folders: what is written down of a file is the same wherever it lies."""
        return self.path.rpartition("/")[2]

    def __iter__(self) -> Iterator[bytes]:
        with open_file(self.path) as file:
            first = self._read(file)
            kind = next((kind for magic, kind in _MAGIC.items() if first.startswith(magic)), None)
            if kind is None:
                while first:
                    yield first
                    first = self._read(file)
                return
            yield from self._decompressed(file, first, kind)
            while self._read(file):  # so that the hash is that of the whole file
                continue

    def lines(self, longest: int) -> Iterator[bytes]:
        """Lines without their end; of one that is longer only the first `longest` bytes and one more."""
        rest = b""
        for block in self:
            first, *others = block.split(b"\n")
            rest = (rest + first)[: longest + 1]
            for line in others:
                yield rest
                rest = line[: longest + 1]
        if rest:
            yield rest

    def told(self) -> Input:
        """What was read, when all of it was."""
        return Input(name=self.name, num_bytes=self._num_bytes, sha256=self._digest.hexdigest())

    def _read(self, file: Any) -> bytes:
        data: bytes = file.read(_BLOCK)
        self._digest.update(data)
        self._num_bytes += len(data)
        return data

    def _decompressed(self, file: Any, data: bytes, kind: Callable[[], Any]) -> Iterator[bytes]:
        inner = kind()
        while True:
            try:
                block = inner.decompress(data, _BLOCK)
            except _BROKEN as error:
                self.torn = f"broken from here on ({error})"
                return
            if block:
                yield block
            if inner.eof:
                data = inner.unused_data or self._read(file)
                if not data.strip(b"\0"):  # padding
                    data = self._read(file)
                if not data:
                    return
                inner = kind()
                continue
            data = self._read(file) if inner.needs_input else b""
            if inner.needs_input and not data:
                self.torn = "ends in the middle"
                return
