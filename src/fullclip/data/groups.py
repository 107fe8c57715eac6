"""A tar shard's groups, the runs of files that share a folder and a key: where each begins, and what its bytes hold.

A shard comes in; a table of offsets goes out, so that reading can begin anywhere. Knows nothing of pairs or order.
"""

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from jaxtyping import Int64

from fullclip.core.storage import FileInfo, atomic_file, cache_folder, file_info, open_file, read_range

# what tarfile raises for forged headers
TAR_ERRORS = (tarfile.TarError, EOFError, ValueError, ArithmeticError, RecursionError, MemoryError)
_BLOCK = tarfile.BLOCKSIZE
_SUFFIX = ".offsets.npy"


@dataclass(frozen=True, kw_only=True)
class Table:
    """Where the groups of a shard of `num_bytes` bytes begin; one more entry says where the last ends.

    torn_at: the byte from which on the shard cannot be read; None where it is whole.
    """

    num_bytes: int
    offsets: Int64[np.ndarray, " groups_and_end"]
    torn_at: int | None = None

    @property
    def num_groups(self) -> int:
        return len(self.offsets) - 1


class Files:
    """The files of an open tar, in order, as (header, bytes); without `contents` the bytes are left out, and not read.

    What `tarfile` would pass over in silence is found: a damaged header, a cut between two files, and zeros where the
    beginning should be. After the last file `end` is where the tar's members end, and `torn_at` is None or the same byte.
    """

    def __init__(self, file: Any, *, contents: bool = True) -> None:
        self._file, self._contents = file, contents
        self.num_bytes = int(file.seek(0, os.SEEK_END))
        self.end = 0
        self.torn_at: int | None = None

    def __iter__(self) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
        self._file.seek(0)
        try:
            with tarfile.open(fileobj=self._file, mode="r:") as tar:
                for member in tar:
                    # forged: would take all memory, or never end
                    if member.size > self.num_bytes or tar.offset <= self.end:
                        raise tarfile.ReadError("impossible size")
                    if tar.offset > self.num_bytes:
                        raise tarfile.ReadError("unexpected end of data")
                    if member.isfile():
                        yield member, self._content(tar, member)
                    self.end = tar.offset
                    tar.members = []  # type: ignore[attr-defined]  # it would keep every member
            whole = _ends_well(self._file, self.end)
        except TAR_ERRORS:
            whole = False
        if not whole:
            self.torn_at = self.end

    def _content(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
        if not self._contents:
            return b""
        data = tar.extractfile(member)
        assert data is not None
        content = data.read()
        if len(content) != member.size:
            raise tarfile.ReadError("unexpected end of data")
        return content


def _ends_well(file: Any, offset: int) -> bool:
    """Whether nothing but the end mark, at least one block of zeros, follows."""
    file.seek(offset)
    num_bytes = 0
    while block := file.read(1 << 20):
        num_bytes += len(block)
        if block.count(0) != len(block):
            return False
    return num_bytes >= _BLOCK


class Grouping:
    """Says of each file of a shard, in order, whether a new group begins with it."""

    def __init__(self) -> None:
        self._group, self._extensions = ("", ""), set[str]()

    def split(self, name: str) -> tuple[bool, str, str]:
        """(whether a group begins, its key, the file's extension in small letters)."""
        folder, _, file_name = name.rpartition("/")
        key, _, extension = file_name.partition(".")
        extension = extension.lower()
        begins = (folder, key) != self._group or extension in self._extensions or not self._extensions
        if begins:
            self._group, self._extensions = (folder, key), set()
        self._extensions.add(extension)
        return begins, key, extension


def parse_group(data: bytes) -> tuple[str, dict[str, bytes]] | None:
    """(key, {extension: bytes}) of one group's bytes; None where they are not exactly one whole group."""
    simple = _parse_simple(data)
    if simple is not None:
        return simple
    grouping, files, key = Grouping(), dict[str, bytes](), ""
    members = Files(io.BytesIO(data + bytes(_BLOCK)))
    for member, content in members:
        begins, key, extension = grouping.split(member.name)
        if (begins and files) or (not files and member.offset):
            return None
        files[extension] = content
    return (key, files) if files and members.torn_at is None and members.end == len(data) else None


def _parse_simple(data: bytes) -> tuple[str, dict[str, bytes]] | None:
    """The same for headers with nothing unusual in them, several times as fast; None where `tarfile` has to look."""
    grouping, files, key, at = Grouping(), dict[str, bytes](), "", 0
    while at < len(data):
        header = data[at : at + _BLOCK]
        # the type is a plain file's; no part of the name is in the prefix field
        if len(header) < _BLOCK or header[156] not in b"0\0" or header[345]:
            return None
        try:
            size, checksum = int(header[124:135], 8), int(header[148:156].rstrip(b"\0 "), 8)
            name = header[: header.index(0, 0, 101)].decode("ascii")
        except ValueError:
            return None
        if sum(header) - sum(header[148:156]) + 256 != checksum or not name or name.endswith("/"):
            return None
        begins, key, extension = grouping.split(name)
        start, at = at + _BLOCK, at + _BLOCK + -(-size // _BLOCK) * _BLOCK
        if (begins and files) or size < 0 or at > len(data):
            return None
        files[extension] = data[start : start + size]
    return (key, files) if files else None


def scan(file: Any) -> Table:
    """The table of an open shard, from its headers alone."""
    grouping, offsets, members = Grouping(), list[int](), Files(file, contents=False)
    for member, _ in members:
        if grouping.split(member.name)[0]:
            offsets.append(member.offset)
    return Table(
        num_bytes=members.num_bytes,
        offsets=np.array([*offsets, members.end], dtype=np.int64),
        torn_at=members.torn_at,
    )


def sidecar(path: str) -> str:
    """The name of the table beside a shard that `write_shards` wrote: 000000.tar has 000000.offsets.npy."""
    return path.removesuffix(".tar") + _SUFFIX


def save_table(table: Table, file: IO[bytes]) -> None:
    torn_at = -1 if table.torn_at is None else table.torn_at
    np.save(file, np.concatenate([np.array([table.num_bytes, torn_at], dtype=np.int64), table.offsets]), allow_pickle=False)


def read_table(path: str, info: FileInfo | None = None) -> Table:
    """The table of the shard at `path`: from the cache folder, from the file beside the shard, or by a look at its headers,
    which is then kept in the cache folder. A table that is damaged, or of a file of another size, is passed over.
    """
    info = info or file_info(path)
    mark = hashlib.sha256("|".join((path, str(info.num_bytes), info.version)).encode()).hexdigest()
    kept = cache_folder() / "offsets" / f"{mark[:32]}.npy"
    for place in (str(kept), sidecar(path)):
        table = _load(place, info.num_bytes)
        if table is not None:
            return table
    with open_file(path) as file:
        table = scan(file)
    try:
        with atomic_file(kept) as out:
            save_table(table, out)
    except OSError:  # a cache that cannot be written costs another look next time
        pass
    return table


def _load(path: str, num_bytes: int | None) -> Table | None:
    try:
        with open_file(path) as file:
            values = np.load(io.BytesIO(file.read()), allow_pickle=False)
    except (FileNotFoundError, NotADirectoryError, PermissionError, ValueError, EOFError, SyntaxError):
        return None
    if values.dtype != np.int64 or values.ndim != 1 or len(values) < 3:
        return None
    size, torn_at, offsets = int(values[0]), int(values[1]), values[2:]
    in_order = offsets[0] >= 0 and bool((np.diff(offsets) > 0).all()) and offsets[-1] <= size
    if not in_order or (num_bytes is not None and size != num_bytes):
        return None
    return Table(num_bytes=size, offsets=offsets, torn_at=None if torn_at < 0 else torn_at)


def read_groups(path: str, table: Table, groups: range, *, block_bytes: int = 4 << 20) -> Iterable[bytes | None]:
    """The bytes of consecutive groups, read in blocks of about `block_bytes`; None for one that is not there."""
    offsets = table.offsets
    first = groups.start
    while first < groups.stop:
        last = first + 1
        while last < min(groups.stop, table.num_groups) and offsets[last + 1] - offsets[first] <= block_bytes:
            last += 1
        if last > table.num_groups:
            yield from [None] * (groups.stop - first)
            return
        start = int(offsets[first])
        data = read_range(path, start, int(offsets[last]))
        for group in range(first, last):
            part = data[int(offsets[group]) - start : int(offsets[group + 1]) - start]
            yield part or None
        first = last
