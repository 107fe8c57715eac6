"""Tables of pictures and captions, local or remote (.csv, .tsv, .jsonl, .parquet): a path in, numbered rows out.

A long table is cut into runs of rows (`cut`), of which each is read without what lies before it. Knows nothing of pairs.
"""

import csv
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from fullclip.core.extras import require
from fullclip.core.storage import open_file
from fullclip.data.drops import Drops

Row = dict[str, Any]
Holds = Literal["values", "bytes", "bytes and path"]
Numbered = tuple[int, Row]
Place = tuple[int, Row | None, int, int]

IMAGE_COLUMNS = ("image", "filepath", "file_name", "filename", "image_path", "path", "file")
TEXT_COLUMNS = ("captions", "caption", "text", "title")

_ROWS_AT_ONCE = 1024
_PICTURES_AT_ONCE = 16  # rows of Parquet with an image's bytes in them
_BUFFER = 1 << 20
_LONGEST_FIELD = 1 << 30  # Python's own limit, 128 KiB, is less than some texts
_LONE_RETURN = re.compile(rb"(?<=\r)(?!\n)")


@dataclass(frozen=True, kw_only=True)
class Run:
    """Rows that follow one another: the bytes from `start` up to `end`, in Parquet the rows. `first` is the number of the
    first, from 0; in JSONL, where lines may be broken, that of its line.
    """

    start: int
    end: int
    first: int


def read_rows(table: str, drops: Drops, *, run: Run | None = None, columns: Sequence[str] | None = None) -> Iterator[Numbered]:
    """The rows of a table or of a run of it, each with its number. columns: those that are needed, of Parquet also a part of
    one ("image.path"); others may be left out.

    ValueError where the table is no whole one; broken lines of JSONL go to `drops`.
    """
    return _READERS[ending(table)](table, drops, run, columns)


def ending(path: str) -> str:
    """A path's ending, with its dot, in small letters; empty where it has none."""
    _, dot, found = path.rpartition("/")[2].rpartition(".")
    return dot + found.lower() if dot else ""


def is_table(path: str) -> bool:
    return ending(path) in TABLE_ENDINGS


def columns_of(table: str) -> dict[str, Holds]:
    """The names of a table's columns, of JSONL those of its first row, and what they hold; none where it has no row. In
    Parquet a column may hold files: bytes, or bytes with a path, as Hugging Face writes images.
    """
    if ending(table) == ".parquet":
        with _parquet(table) as file:
            return {name: _holds(file, name) for name in file.schema_arrow.names} if file.metadata.num_rows else {}
    return dict.fromkeys(next((row for _, row in read_rows(table, Drops())), {}), "values")


def find_column(table: str, found: Collection[str], names: Sequence[str], *, what: str) -> str:
    """The first of `names` among a table's columns; ValueError where none is."""
    for name in names:
        if name in found:
            return name
    raise ValueError(f"{table}: no column of {what} among {list(found)}; name it one of: {', '.join(names)}")


def cut(table: str, size: int, *, together: str | None) -> Iterator[Run]:
    """Runs of `size` rows or more; rows that follow one another with the same value in the column `together` stay in one.

    A Parquet table with files' bytes in that column is cut between its groups of rows only: within one, to read a row is to
    read those before it.
    """
    if ending(table) == ".parquet":
        yield from _cut_parquet(table, size, together)
        return
    with open_file(table) as file:
        rows = _CUTTERS[ending(table)](file, table)
        first = start = at = 0
        number, before = -1, None
        for number, row, begins, ends in rows:
            value = object() if together is None or row is None else row.get(together)
            if at == 0:
                first, start = number, begins
            elif number - first >= size and value != before:
                yield Run(start=start, end=at, first=first)
                first, start = number, begins
            at, before = ends, value
        if number >= 0:
            yield Run(start=start, end=at, first=first)


class _Lines:
    """The lines of an open file from `start` up to `end` as csv wants them. `at` is where the last one ended."""

    def __init__(self, file: Any, *, start: int = 0, end: int | None = None) -> None:
        file.seek(start)
        self._file, self._end, self.at = file, end, start

    def __iter__(self) -> Iterator[str]:
        for whole in self._file:
            for line in filter(None, _LONE_RETURN.split(whole)):
                if self._end is not None and self.at >= self._end:
                    return
                text = line.decode("utf-8-sig" if self.at == 0 else "utf-8", "surrogateescape")
                self.at += len(line)
                yield text


@contextmanager
def _csv_errors(table: str) -> Iterator[None]:
    try:
        yield
    except (UnicodeError, csv.Error) as error:
        raise ValueError(f"{table}: not a whole table in UTF-8 ({error}); mend it, or write it as JSONL") from None


def _csv_reader(lines: Iterable[str], table: str, names: Sequence[str] | None) -> "csv.DictReader[str]":
    csv.field_size_limit(_LONGEST_FIELD)
    # Strict, or a quote that is never closed swallows the rows behind it.
    return csv.DictReader(lines, names, delimiter="\t" if ending(table) == ".tsv" else ",", strict=True)


def _csv_rows(table: str, drops: Drops, run: Run | None, columns: Sequence[str] | None) -> Iterator[Numbered]:
    with open_file(table) as file, _csv_errors(table):
        names = _csv_reader(_Lines(file), table, None).fieldnames or []
        "".join(names).encode("utf-8")  # a table whose very head is no UTF-8 is none
        lines, first = (_Lines(file), 0) if run is None else (_Lines(file, start=run.start, end=run.end), run.first)
        for number, row in enumerate(_csv_reader(lines, table, None if run is None else names), first):
            if _is_utf8(row):
                yield number, row
            else:
                drops.drop("invalid UTF-8", f"{table}:{number + 2}")


def _is_utf8(row: Row) -> bool:
    """Whether all of a row's bytes were."""
    try:
        for value in row.values():
            "".join(value or ()).encode("utf-8")  # a text, or the texts of fields that have no column
    except UnicodeEncodeError:
        return False
    return True


def _csv_places(file: Any, table: str) -> Iterator[Place]:
    """(number, row, where it begins, where it ends), in bytes."""
    lines = _Lines(file)
    with _csv_errors(table):
        reader = _csv_reader(lines, table, None)
        _ = reader.fieldnames  # reads the first line
        before = lines.at
        for number, row in enumerate(reader):
            yield number, row, before, lines.at
            before = lines.at


def _jsonl_rows(table: str, drops: Drops, run: Run | None, columns: Sequence[str] | None) -> Iterator[Numbered]:
    with open_file(table) as file:
        for number, row, begins, _ in _jsonl_places(file, table, start=run.start if run else 0, first=run.first if run else 0):
            if run is not None and begins >= run.end:
                return
            if row is not None:
                yield number, row
            else:
                drops.drop("broken row", f"{table}:{number + 1}")


def _jsonl_places(file: Any, table: str, *, start: int = 0, first: int = 0) -> Iterator[Place]:
    """As `_csv_places`; None in place of a row where the line is broken."""
    file.seek(start)
    at = start
    for number, line in enumerate(file, first):
        begins, at = at, at + len(line)
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        yield number, row if isinstance(row, dict) else None, begins, at


@contextmanager
def _parquet(table: str) -> Iterator[Any]:
    parquet = require("pyarrow.parquet", extra="data")
    with open_file(table) as opened:
        try:
            with parquet.ParquetFile(opened, buffer_size=_BUFFER) as file:
                yield file
        except ValueError as error:  # pyarrow's own errors are of this kind
            raise ValueError(f"{table}: not a whole Parquet file ({error})") from None


def _parquet_rows(table: str, drops: Drops, run: Run | None, columns: Sequence[str] | None) -> Iterator[Numbered]:
    with _parquet(table) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        start, end = (run.start, run.end) if run else (0, sum(sizes))
        begins = _running(sizes)
        groups = [group for group, size in enumerate(sizes) if begins[group] < end and begins[group] + size > start]
        if not groups:
            return
        names = list(file.schema_arrow.names if columns is None else columns)
        is_heavy = any(name in file.schema_arrow.names and _holds(file, name) != "values" for name in names)
        at, size = begins[groups[0]], _PICTURES_AT_ONCE if is_heavy else _ROWS_AT_ONCE
        for batch in file.iter_batches(batch_size=size, row_groups=groups, columns=names):
            if at + len(batch) > start and at < end:
                wanted = batch.slice(max(start - at, 0), min(end - at, len(batch)) - max(start - at, 0))
                yield from enumerate(wanted.to_pylist(), max(at, start))
            at += len(batch)


def _running(sizes: Sequence[int]) -> list[int]:
    """Where each begins of sizes that follow one another."""
    found = [0]
    for size in sizes[:-1]:
        found.append(found[-1] + size)
    return found


def _holds(file: Any, column: str) -> Holds:
    types = require("pyarrow.types", extra="data")
    kind = file.schema_arrow.field(column).type
    if types.is_struct(kind):
        return "bytes and path"
    return "bytes" if types.is_binary(kind) or types.is_large_binary(kind) else "values"


def _cut_parquet(table: str, size: int, together: str | None) -> Iterator[Run]:
    with _parquet(table) as file:
        if together is not None and _holds(file, together) != "values":
            ends: Iterable[int] = _running(
                [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] + [0]
            )[1:]
        elif together is None:
            ends = range(size, file.metadata.num_rows, size)
        else:
            ends = _ends_of_values(file, size, together)
        start = 0
        for end in ends:
            if end - start >= size:
                yield Run(start=start, end=end, first=start)
                start = end
        if start < file.metadata.num_rows:
            yield Run(start=start, end=file.metadata.num_rows, first=start)


def _ends_of_values(file: Any, size: int, column: str) -> Iterator[int]:
    """The rows, about `size` from each other, before which the column's value changes."""
    at, last, before = 0, 0, None
    for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=[column]):
        for value in batch.column(0).to_pylist():
            if at - last >= size and value != before:
                yield at
                last = at
            at, before = at + 1, value


_READERS: dict[str, Callable[[str, Drops, Run | None, Sequence[str] | None], Iterator[Numbered]]] = {
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
    ".jsonl": _jsonl_rows,
    ".parquet": _parquet_rows,
}
_CUTTERS: dict[str, Callable[[Any, str], Iterator[Place]]] = {
    ".csv": _csv_places,
    ".tsv": _csv_places,
    ".jsonl": _jsonl_places,
}
TABLE_ENDINGS = tuple(_READERS)
