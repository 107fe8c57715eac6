"""Records of WARC files, gzipped or not. After damage it is read on at the next record that can be found."""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fullclip.core.extras import require
from fullclip.core.storage import open_file
from fullclip.data.building.collecting.markup import mended
from fullclip.data.building.collecting.settings import Limits
from fullclip.data.drops import Drops

_GZIP = re.compile(rb"\x1f\x8b\x08")
_PLAIN = re.compile(rb"WARC/[0-9]\.[0-9]+\r?\n")
_MAGIC = b"\x1f\x8b\x08"
_BLOCK = 1 << 20
_SMALL_BLOCK = 64 << 10
_OVERLAP = 16
_SANE = 64 << 20  # nobody's page is longer: its length is a lie, and what lies behind is looked for


@dataclass(frozen=True, kw_only=True)
class Record:
    """A record. number: among those that were found. kind: its WARC-Type. content_type: of its block. is_cut: it went on."""

    number: int
    kind: str
    address: str
    content_type: str
    block: bytes
    is_cut: bool


class _Watched:
    """An open file that remembers its own errors, so that a lost connection is not taken for a damaged archive."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            found: bytes = self._file.read(size)
        except BaseException as error:
            self.error = error
            raise
        return found

    def seek(self, offset: int, whence: int = 0) -> int:
        found: int = self._file.seek(offset, whence)
        return found

    def tell(self) -> int:
        found: int = self._file.tell()
        return found

    def close(self) -> None:
        """The file is closed by who opened it."""


def read_archive(path: str, drops: Drops, limits: Limits, *, kinds: frozenset[str]) -> Iterator[Record]:
    """The records of these kinds, with blocks of up to `limits.max_page_bytes`; damage goes to `drops`."""
    with open_file(path) as file:
        watched = _Watched(file)
        mark = _GZIP if watched.read(3) == _MAGIC else _PLAIN
        number, start, damage = 0, 0, ""
        for _ in range(limits.max_damages + 1):
            reading = _Reading(watched, start, limits, number)
            yield from (record for record in reading if record.kind in kinds)
            if watched.error is not None:
                raise watched.error
            if damage and reading.number > number:
                drops.drop("archive: damaged, read on at the next record", damage)
                damage = ""
            number = reading.number
            if reading.damage and not damage:
                damage = f"{path} at byte {reading.begun:,} ({reading.damage})"
            found = None if reading.is_whole else _find(watched, mark, reading.begun + 1)
            if found is None:
                if damage:
                    drops.drop("archive: damaged, the rest is lost", damage)
                elif not number:
                    drops.drop("archive: no record in it", path)
                return
            start = found
        drops.drop("archive: damaged too often, the rest is lost", f"{path} at byte {start:,}")


class _Reading:
    """The records from one place on, up to the file's end or to damage. begun: where the last one begins. is_whole: its end was
    reached. damage: in words; empty where a record was only too long to be skipped.
    """

    def __init__(self, file: _Watched, start: int, limits: Limits, number: int) -> None:
        self._file, self._limits = file, limits
        self._start = self.begun = start
        self.number = number
        self.is_whole, self.damage = False, ""

    def __iter__(self) -> Iterator[Record]:
        warc = require("fastwarc.warc", extra="data")
        self._file.seek(self.begun)
        try:
            for one in warc.ArchiveIterator(self._file, parse_http=False):
                self.begun = one.stream_pos
                record = self._read(one)
                if record is None:
                    return
                self.number += 1
                yield record
                if one.content_length > _SANE:
                    return
            self.is_whole = self._ends_whole()
        except (OSError, ValueError) as error:
            self.damage = str(error) or type(error).__name__
            return
        if not self.is_whole:
            self.damage = "it ends within a record"

    def _read(self, one: Any) -> Record | None:
        """A record; None, with the damage told, where its block ends before its length."""
        limit = self._limits.max_page_bytes
        block: bytes = one.reader.read(limit) if one.content_length else b""
        while len(block) < min(limit, one.content_length) and (more := one.reader.read(limit - len(block))):
            block += more
        rest = one.content_length - len(block)
        if 0 < rest <= _SANE:
            rest -= one.reader.consume()
        if rest > 0 and (one.content_length <= _SANE or len(block) < limit):
            self.damage = "a record ends before its length"
            return None
        headers = one.headers
        kind = (headers.get("WARC-Type") or "").strip().lower()
        if not kind or headers.get("Content-Length") is None:
            self.damage = "a record without its kind or its length"
            return None
        return Record(
            number=self.number,
            kind=kind,
            address=mended(headers.get("WARC-Target-URI") or "").strip(" <>"),
            content_type=headers.get("Content-Type") or "",
            block=block,
            is_cut=len(block) < one.content_length,
        )

    def _ends_whole(self) -> bool:
        """Whether the file ends where its last record does: one that is cut before its headers' end is not told of."""
        for place in (self.begun, self._start):  # where many records were packed as one, its start
            self._file.seek(place)
            if self._file.read(3) == _MAGIC:
                return _last_member_ends(self._file, place)
        size = self._file.seek(0, 2)
        self._file.seek(max(0, size - 4))
        return size == 0 or self._file.read(4).endswith((b"\n\n", b"\r\n\r\n"))


def _last_member_ends(file: _Watched, start: int) -> bool:
    file.seek(start)
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    while block := file.read(_SMALL_BLOCK):
        while block:
            if stream.eof:
                stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
            try:
                stream.decompress(block)
            except zlib.error:
                return False
            block = stream.unused_data
    return stream.eof


def _find(file: _Watched, mark: re.Pattern[bytes], start: int) -> int | None:
    """Where the next mark of a record is; None where there is none."""
    file.seek(start)
    at, kept = start, b""
    while block := file.read(_BLOCK):
        data = kept + block
        if found := mark.search(data):
            return at - len(kept) + found.start()
        at += len(block)
        kept = data[-_OVERLAP:]
    return None
