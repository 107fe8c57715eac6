"""The list of queries as a file: ours (JSON lines with a header), or people's own (.txt, .json, a table) -> list of strings.

Knows nothing of where queries come from.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from fullclip.core.folders import whole_file
from fullclip.core.storage import exists, open_file
from fullclip.data.drops import Drops
from fullclip.data.tables import TABLE_ENDINGS, ending, find_column, read_rows

HEADER, VERSION = "fullclip queries", 1
QUERY_COLUMNS = ("query", "text", "title")
MAX_CHARACTERS = 1000
_MAX_LINE = 4 * MAX_CHARACTERS + 16  # bytes; what is longer is too long in whatever characters
_EVERY_ENDING = (".jsonl", ".txt", ".json", ".csv", ".tsv", ".parquet")


@dataclass(frozen=True, kw_only=True)
class Query:
    """A query, where it comes from, and the number that its source ranks by: "synsets", "count", "pmi" or "views"."""

    text: str
    source: str
    measure: str
    number: int | float


def write_queries(path: str, header: Mapping[str, Any], queries: Iterable[Query]) -> None:
    """One JSON object a line: the header, then each query with its source and number. The file appears when it is whole."""
    with whole_file(path, "w") as file:
        file.write(json.dumps({HEADER: VERSION, **header}, ensure_ascii=False) + "\n")
        for query in queries:
            row = {"query": query.text, "source": query.source, query.measure: query.number}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_header(path: str) -> dict[str, Any]:
    """The header of a list that `write_queries` wrote; ValueError for another file."""
    with open_file(path) as file:
        header = _header(file.readline())
    if header is None:
        raise ValueError(f"{path}: not what `fullclip data queries` writes; its first line is no header")
    return header


def read_queries(path: str, drops: Drops) -> list[str]:
    """The queries of a file, each once, in its order, without the spaces around them.

    - .jsonl: what `fullclip data queries` wrote, or any table with a column query, text or title;
    - .csv, .tsv, .parquet: a table with such a column;
    - .txt: one a line; empty lines are no queries;
    - .json: an array of strings.
    What is no text, invalid UTF-8, empty in a table, too long or there before goes to `drops`. ValueError where none is left.
    """
    reader = _READERS.get(ending(path))
    if reader is None:
        raise ValueError(f"{path}: no list of queries; give a file that ends with {', '.join(_EVERY_ENDING)}")
    if not exists(path):
        raise FileNotFoundError(f"{path}: there is no such file; write one with `fullclip data queries`")
    found: dict[str, None] = {}
    for name, text in reader(path, drops):
        query = text.strip()
        reason = _reason_against(query, found)
        if reason is None:
            found[query] = None
        else:
            drops.drop(reason, name)
    if not found:
        raise ValueError(f"{path}: there is no query in this list{f' (left out: {drops.summary()})' if drops.counts else ''}")
    return list(found)


def _reason_against(query: str, found: Mapping[str, None]) -> str | None:
    if not query:
        return "empty query"
    if len(query) > MAX_CHARACTERS:
        return f"query of more than {MAX_CHARACTERS:,} characters"
    try:
        query.encode()
    except UnicodeEncodeError:
        return "query with half a character"
    return "query there before" if query in found else None


def _header(line: bytes) -> dict[str, Any] | None:
    """The header, where the line is one; ValueError for one of another version."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or HEADER not in found:
        return None
    if found[HEADER] != VERSION:
        raise ValueError(f"a list of queries of version {found[HEADER]!r}, and this fullclip reads {VERSION}; write it again")
    return found


def _from_table(path: str, drops: Drops) -> Iterator[tuple[str, str]]:
    rows = read_rows(path, drops)
    column: str | None = None
    for number, row in rows:
        if number == 0 and HEADER in row:
            _header(json.dumps(row).encode())
            continue
        if column is None:
            column = find_column(path, list(row), QUERY_COLUMNS, what="queries")
        name, value = f"{path}:{number + 1}", row.get(column)
        if isinstance(value, str):
            yield name, value
        else:
            drops.drop("no text in the column of queries", name)


def _from_lines(path: str, drops: Drops) -> Iterator[tuple[str, str]]:
    with open_file(path) as file:
        for number, line in enumerate(_bounded_lines(file), 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8") if len(line) < _MAX_LINE else "x" * _MAX_LINE
            except UnicodeDecodeError:
                drops.drop("invalid UTF-8", f"{path}:{number}")
                continue
            if text.strip():
                yield f"{path}:{number}", text


def _bounded_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines, of each at most its first `_MAX_LINE` bytes."""
    while line := file.readline(_MAX_LINE):
        yield line
        while line and not line.endswith(b"\n"):
            line = file.readline(_MAX_LINE)


def _from_array(path: str, drops: Drops) -> Iterator[tuple[str, str]]:
    with open_file(path) as file:
        try:
            values = json.load(file)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: not JSON ({error}); give an array of strings") from None
    if not isinstance(values, list):
        raise ValueError(f"{path}: holds no array; give an array of strings, such as MetaCLIP's metadata.json")
    for number, value in enumerate(values):
        if isinstance(value, str):
            yield f"{path}[{number}]", value
        else:
            drops.drop("no text in the array", f"{path}[{number}]")


_READERS: dict[str, Callable[[str, Drops], Iterator[tuple[str, str]]]] = {
    ".txt": _from_lines,
    ".json": _from_array,
    **dict.fromkeys(TABLE_ENDINGS, _from_table),
}
