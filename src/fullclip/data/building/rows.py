"""Rows between stages as Arrow tables: any input as partitions, a partition as a table, a table as a part's file.

Names of columns that stages know: key (once each), url (of an image, or its path), text, and what a stage adds.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import IO, Any

from fullclip.core.extras import require
from fullclip.core.folders import names_in
from fullclip.core.storage import expand, file_info, is_folder, open_file
from fullclip.data.drops import Drops
from fullclip.data.tables import TABLE_ENDINGS, TEXT_COLUMNS, Run, cut, ending, find_column, read_rows

ROWS_AT_ONCE = 50_000
PARTS = "parts"
URL_COLUMNS = ("url", "image_url", "image", "src", "URL", "path", "filepath", "file_name")
KEY_COLUMNS = ("key", "id", "uid")
SEPARATOR = "\x01"  # between the captions of a row


@dataclass(frozen=True, kw_only=True)
class Work:
    """A partition of a stage's input: a file, or the part of it from `start` up to `end` (`data.tables.Run`).

    version: changes when the file does. file: the number of the file among all `files`.
    """

    number: int
    path: str
    file: int = 0
    files: int = 1
    start: int = 0
    end: int = 0
    first: int = 0
    version: str = ""

    def __str__(self) -> str:
        return f"{self.path} from row {self.first:,}" if self.end else self.path


def files_of(inputs: Sequence[str], endings: Sequence[str]) -> list[str]:
    """The files with one of these endings that inputs (files, globs, ranges, folders, stages' folders) name, in order.

    ValueError where an input names none.
    """
    found: dict[str, None] = {}
    for pattern in inputs:
        if not pattern:
            raise ValueError("one of the inputs has an empty name; is a variable of your shell not set?")
        if is_folder(pattern) and PARTS in names_in(pattern):
            pattern = f"{pattern.rstrip('/')}/{PARTS}"
        if is_folder(pattern):
            paths = [path for suffix in endings for path in _with_ending(pattern, suffix)]
            if not paths:
                raise ValueError(f"{pattern}: no {' '.join(endings)} files in this folder")
        else:
            paths = expand([pattern], suffix=next((suffix for suffix in endings if pattern.endswith(suffix)), endings[0]))
        found.update(dict.fromkeys(sorted(paths)))
    return list(found)


def _with_ending(folder: str, suffix: str) -> list[str]:
    return expand([folder], suffix=suffix) if any(name.endswith(suffix) for name in names_in(folder)) else []


def partitions(inputs: Sequence[str], *, rows: int = ROWS_AT_ONCE) -> list[Work]:
    """Tables, .txt files with a text a line, and folders of a stage or of tables, cut into about `rows` rows each.

    A part of an earlier stage stays one partition.
    """
    found = list[Work]()
    paths = files_of(inputs, (*TABLE_ENDINGS, ".txt"))
    for number, path in enumerate(paths):
        info = file_info(path)
        version = f"{info.num_bytes} {info.version}"
        runs = [None] if path.rpartition("/")[0].endswith(f"/{PARTS}") else _runs(path, rows)
        for run in runs:
            place = {} if run is None else {"start": run.start, "end": run.end, "first": run.first}
            found.append(Work(number=len(found), path=path, file=number, files=len(paths), version=version, **place))
    if not found:
        raise ValueError(f"there is no row in {', '.join(inputs)}")
    return found


def _runs(path: str, rows: int) -> Iterator[Run]:
    if ending(path) in TABLE_ENDINGS:
        yield from cut(path, rows, together=None)
        return
    with open_file(path) as file:
        start = end = first = number = 0
        for number, line in enumerate(file, 1):
            end += len(line)
            if number - first == rows:
                yield Run(start=start, end=end, first=first)
                start, first = end, number
        if end > start:
            yield Run(start=start, end=end, first=first)


def read_table(work: Work, drops: Drops, *, columns: Sequence[str] | None = None) -> Any:
    """The rows of a partition as an Arrow table; `columns`: those that are needed, where the format can leave others out.

    A table of people's own gets the columns that stages know: its images' and texts' as url and text (a list of captions
    stays one), and key, from the file and the row's number, where it has none.
    """
    if work.end == 0 and ending(work.path) == ".parquet":
        with open_file(work.path) as file:
            return _whole(work.path, file, columns)
    run = Run(start=work.start, end=work.end, first=work.first)
    numbered = _lines(work, drops) if ending(work.path) == ".txt" else list(read_rows(work.path, drops, run=run))
    table = table_of([row for _, row in numbered])
    return _named(table, work, [number for number, _ in numbered])


def _whole(path: str, file: Any, columns: Sequence[str] | None) -> Any:
    parquet = require("pyarrow.parquet", extra="data")
    try:
        return parquet.read_table(file, columns=list(columns) if columns else None, use_threads=False)
    except ValueError as error:
        raise ValueError(f"{path}: not a whole Parquet file ({error}); run the stage before again") from None


def _lines(work: Work, drops: Drops) -> list[tuple[int, dict[str, Any]]]:
    found = list[tuple[int, dict[str, Any]]]()
    with open_file(work.path) as file:
        file.seek(work.start)
        for number, line in enumerate(BytesIO(file.read(work.end - work.start)), work.first):  # lines as `_runs` counts them
            try:
                text = line.decode("utf-8-sig" if number == 0 else "utf-8").strip()
            except UnicodeDecodeError:
                drops.drop("invalid UTF-8", f"{work.path}:{number + 1}")
                continue
            if text:
                found.append((number, {"text": text}))
            else:
                drops.drop("empty line", f"{work.path}:{number + 1}")
    return found


def table_of(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Rows as an Arrow table; a column whose values are of several kinds becomes JSON."""
    arrow = require("pyarrow", extra="data")
    names = dict.fromkeys(name for row in rows for name in row if isinstance(name, str))
    return arrow.table({name: column_of([row.get(name) for row in rows]) for name in names})


def column_of(values: Sequence[Any]) -> Any:
    """Values as an Arrow array."""
    arrow = require("pyarrow", extra="data")
    try:
        return arrow.array(values)
    except (arrow.ArrowInvalid, arrow.ArrowTypeError, OverflowError, UnicodeEncodeError):
        told = [None if value is None else value if isinstance(value, str) else json.dumps(value) for value in values]
        return arrow.array([None if one is None else one.encode("utf-8", "replace").decode() for one in told], arrow.string())


def _named(table: Any, work: Work, numbers: Sequence[int]) -> Any:
    """The table with the names of columns that stages know."""
    arrow = require("pyarrow", extra="data")
    if table.num_rows == 0:
        return table
    names = list(table.column_names)
    text = next((name for name in TEXT_COLUMNS if name in names), None)
    if "text" not in names and text is not None:
        names[names.index(text)] = "text"
    image = next((name for name in URL_COLUMNS if name in names), None)
    if image is not None and "url" not in names:
        names[names.index(image)] = "url"
    key = next((name for name in KEY_COLUMNS if name in names), None)
    if key is not None:
        names[names.index(key)] = "key"
    table = table.rename_columns(names)
    keys = [f"{work.file:05d}-{number:010d}" for number in numbers]
    if key is None:
        return table.add_column(0, "key", arrow.array(keys, arrow.string()))
    own = table["key"].cast(arrow.string()).to_pylist()
    before = f"{work.file:05d}-" if work.files > 1 else ""  # files that were written apart may count their rows alike
    keys = [f"{before}{one}" if one else named for one, named in zip(own, keys, strict=True)]
    return table.set_column(names.index("key"), "key", arrow.array(keys, arrow.string()))


def texts_of(table: Any, *, path: str) -> list[str]:
    """Each row's text; several captions are parted by SEPARATOR, an absent one, or what is no text, is empty. ValueError where
    the table, which is at `path`, has no column of texts.
    """
    find_column(path, table.column_names, ("text", *TEXT_COLUMNS), what="texts")
    captions = [text if isinstance(text, list) else [text] for text in table["text"].to_pylist()]
    return [SEPARATOR.join(one for one in some if isinstance(one, str)) for some in captions]


def write_table(table: Any, file: IO[bytes]) -> None:
    """A table as Parquet; the same table gives the same bytes."""
    parquet = require("pyarrow.parquet", extra="data")
    compression = {name: "none" if name == "image" else "zstd" for name in table.column_names}
    parquet.write_table(table, file, compression=_by_leaf(table, compression))


def _by_leaf(table: Any, compression: Mapping[str, str]) -> dict[str, str]:
    """Parquet wants the names of leaves: of a list "column.list.element"."""
    types = require("pyarrow.types", extra="data")
    found = dict[str, str]()
    for field in table.schema:
        is_list = types.is_list(field.type) or types.is_large_list(field.type)
        found[f"{field.name}.list.element" if is_list else field.name] = compression[field.name]
    return found
