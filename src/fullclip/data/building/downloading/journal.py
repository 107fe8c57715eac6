"""What has been fetched, on disk at once: entries that are appended, each with its length and checksum.

A process that is killed loses at most the entry that it was writing; the torn tail is dropped.
"""

import json
import os
import struct
import threading
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fullclip.core.storage import complain_of_a_full_disk

_HEAD = struct.Struct("<III")  # length of the facts, length of the body, CRC-32 of both


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Facts, and where in the file the body lies."""

    facts: Mapping[str, Any]
    start: int
    num_bytes: int


class Journal:
    """The journal at `path`; what it holds for another `claim` (what it is a journal of) is removed. May be appended to from
    several threads.
    """

    def __init__(self, path: Path, *, claim: str) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self.entries = list[Entry]()
        end = 0
        for entry in self._read():
            if not self.entries and entry.facts.get("claim") != claim:
                break
            self.entries.append(entry)
            end = entry.start + entry.num_bytes
        os.ftruncate(self._file, end)
        self._end = end
        if not self.entries:
            self.entries.append(self.append({"claim": claim}))

    def append(self, facts: Mapping[str, Any], body: bytes = b"") -> Entry:
        """Write an entry to its end."""
        told = json.dumps(facts).encode()
        head = _HEAD.pack(len(told), len(body), zlib.crc32(body, zlib.crc32(told)))
        with self._lock:
            at = self._end
            for piece in (head + told, body):
                at = self._write(piece, at)
            self._end = at
        return Entry(facts=facts, start=at - len(body), num_bytes=len(body))

    def read(self, entry: Entry) -> bytes:
        """An entry's body."""
        return os.pread(self._file, entry.num_bytes, entry.start)

    def close(self) -> None:
        os.close(self._file)

    def _write(self, data: bytes, at: int) -> int:
        left = memoryview(data)
        try:
            while left:
                written = os.pwrite(self._file, left, at)
                left, at = left[written:], at + written
        except OSError:
            complain_of_a_full_disk(self.path)
            raise
        return at

    def _read(self) -> Iterator[Entry]:
        at, size = 0, os.fstat(self._file).st_size
        while at + _HEAD.size <= size:
            length, num_bytes, checksum = _HEAD.unpack(os.pread(self._file, _HEAD.size, at))
            start = at + _HEAD.size + length
            if start + num_bytes > size:
                return
            told, body = os.pread(self._file, length, at + _HEAD.size), os.pread(self._file, num_bytes, start)
            if zlib.crc32(body, zlib.crc32(told)) != checksum or not told:
                return
            yield Entry(facts=json.loads(told), start=start, num_bytes=num_bytes)
            at = start + num_bytes
