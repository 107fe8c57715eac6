"""The rows of an index in LanceDB, on a disk or in a store: vectors, thumbnails and what is known of each picture.

A row's number is never given twice: a row that changes gets a new one. What a hit tells is one column of JSON, since a column
costs as much to look up as a row; some of it stands in columns of its own as well, to be asked for. Each write is one version,
all of it or nothing.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from fullclip.core.extras import require
from fullclip.core.folders import names_in
from fullclip.core.storage import is_remote

NAME = "rows"
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|`[^`]*`")
_PLACEHOLDER = re.compile(r"[?]|\$\w")  # LanceDB's planner panics at one
_OF_A_FILTER = "Error applying filter expression"  # of a condition that is one, and that a row makes impossible
_NOT_OF_A_ROW = "Not supported: This feature is not implemented:"  # counts and sums
_VECTORS_AT_ONCE = 8192
_KEPT = timedelta(hours=1)  # versions, for those who read them while another process writes
_KINDS = {str: "string", bool: "boolean", int: "double", float: "double"}
_MOST_FIELDS = 64
_MOST_FILES = 64
_LARGEST = 10**300  # of whole numbers that a column of doubles takes
OWN_FIELDS = ("number", "key", "path", "mark", "caption", "width", "height", "bytes", "date", "told", "thumbnail", "vector")


class Table:
    """Made by `create` or `open_table`. One process writes; any number reads."""

    def __init__(self, table: Any) -> None:
        self._table = table

    @classmethod
    def create(cls, folder: str, dim: int) -> "Table":
        """A table of vectors of this width, or the one that is there."""
        arrow, database = require("pyarrow", extra="search"), _connected(folder)
        if _is_there(folder):
            return cls.open_table(folder)
        kinds = {"number": arrow.int64(), "width": arrow.int32(), "height": arrow.int32(), "bytes": arrow.int64()}
        kinds |= {"thumbnail": arrow.binary(), "vector": arrow.list_(arrow.float16(), dim)}
        schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in OWN_FIELDS])
        return cls(database.create_table(NAME, schema=schema))

    @classmethod
    def open_table(cls, folder: str) -> "Table":
        """ValueError where there is none, or none that can be read."""
        if not _is_there(folder):
            raise ValueError(f"{folder} holds no rows yet: the build was stopped; the same command goes on")
        try:
            return cls(_connected(folder).open_table(NAME))
        except (ValueError, RuntimeError, OSError) as error:
            raise ValueError(f"{folder}: the table of rows cannot be read ({_one_line(error)})") from None

    @property
    def version(self) -> int:
        return int(self._table.version)

    @property
    def dim(self) -> int:
        return int(self._table.schema.field("vector").type.list_size)

    @property
    def fields(self) -> Mapping[str, str]:
        """The names of the columns that --where can ask for, with their types."""
        schema = self._table.schema
        hidden = {"number", "mark", "told", "thumbnail", "vector"}
        return {field.name: str(field.type) for field in schema if field.name not in hidden}

    def numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """All rows: their numbers, and where this version has them."""
        return self._numbers_of(self._table.search())

    def matching(self, where: str) -> np.ndarray:
        """The numbers of rows that pass a filter in SQL; ValueError for one that is none."""
        if not where.strip():
            raise ValueError("where is empty: name a condition, such as width > 500")
        if ";" in _QUOTED.sub("", where):  # what follows one would not be looked at
            raise ValueError(f"where {where!r}: one condition, without a semicolon; join several with AND")
        if _PLACEHOLDER.search(_QUOTED.sub("", where)):
            raise ValueError(f"where {where!r}: a placeholder such as ? or $1 has no value; write texts in quotes")
        try:
            return self._numbers_of(self._table.search().where(where))[0]
        except (RuntimeError, ValueError) as error:
            if isinstance(error, RuntimeError) and not any(said in str(error) for said in (_OF_A_FILTER, _NOT_OF_A_ROW)):
                raise OSError(f"the rows of the index cannot be read ({_one_line(error)})") from None
            names = ", ".join(self.fields)
            raise ValueError(f"where {where!r}: {_reason(error)}; the columns are {names}") from None

    def rows(self, places: Sequence[int], columns: Sequence[str]) -> dict[int, dict[str, Any]]:
        """By number, some columns of the rows at places of this version."""
        if not len(places):
            return {}
        found = self._taken(places, list(dict.fromkeys(["number", *columns])))
        return {row["number"]: row for row in found.to_pylist()}

    def vectors(self, places: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Numbers and vectors, float16 [n, dim], of the rows at these places, some thousands at a time."""
        for start in range(0, len(places), _VECTORS_AT_ONCE):
            found = self._taken(places[start : start + _VECTORS_AT_ONCE], ["number", "vector"])
            for batch in found.to_batches():
                vectors = batch.column("vector").flatten().to_numpy(zero_copy_only=False)
                yield batch.column("number").to_numpy(), vectors.reshape(len(batch), self.dim)

    def told(self, places: np.ndarray) -> Iterator[tuple[np.ndarray, list[str]]]:
        """Numbers, and what hits tell of them in JSON, of the same rows in the same order."""
        for start in range(0, len(places), _VECTORS_AT_ONCE):
            found = self._taken(places[start : start + _VECTORS_AT_ONCE], ["number", "told"])
            yield found["number"].to_numpy(), found["told"].to_pylist()

    def columns(self, names: Sequence[str]) -> Iterator[Mapping[str, list[Any]]]:
        """Some columns of all rows, some thousands at a time."""
        reader = self._table.search().select(list(names)).limit(None).to_batches(_VECTORS_AT_ONCE)
        for batch in reader:
            yield batch.to_pydict()

    def write(self, rows: Sequence[Mapping[str, Any]], *, replaces: bool) -> int:
        """Add rows, which have all of `OWN_FIELDS` and their own under "fields". replaces: some have the keys of rows that are
        there, in whose place they come; how many did.
        """
        arrow = require("pyarrow", extra="search")
        self._widen(rows)
        schema = self._table.schema
        flat = [{**row["fields"], **row} for row in rows]
        columns = []
        for field in schema:
            if field.name == "vector":
                stacked = np.concatenate([row["vector"] for row in rows]).astype(np.float16)
                columns.append(arrow.FixedSizeListArray.from_arrays(arrow.array(stacked), self.dim))
            else:
                columns.append(arrow.array([_fitting(row.get(field.name), field.type) for row in flat], type=field.type))
        table = arrow.Table.from_arrays(columns, schema=schema)
        if replaces:
            done = self._table.merge_insert("key").when_matched_update_all().when_not_matched_insert_all().execute(table)
            return int(done.num_updated_rows)
        self._table.add(table)
        return 0

    def delete(self, where: str) -> int:
        """How many rows passed the filter, and are no more."""
        before = self._table.count_rows()
        self._table.delete(where)
        return int(before - self._table.count_rows())

    def compact(self) -> None:
        """Few large files of many small ones, where there are so many; old versions go after an hour."""
        if self._table.stats()["fragment_stats"]["num_fragments"] > _MOST_FILES:
            self._table.optimize(cleanup_older_than=_KEPT)

    def num_bytes(self) -> int:
        return int(self._table.stats()["total_bytes"])

    def _taken(self, places: Sequence[int] | np.ndarray, names: Sequence[str]) -> Any:
        """Columns of some rows. OSError where they cannot be read, as those of a version that is gone by now."""
        try:
            return self._table.take_row_ids([int(place) for place in places]).select(list(names)).to_arrow()
        except (ValueError, RuntimeError) as error:
            raise OSError(f"the rows of the index cannot be read ({_one_line(error)})") from None

    def _numbers_of(self, query: Any) -> tuple[np.ndarray, np.ndarray]:
        found = query.select(["number"]).with_row_id(True).limit(None).to_arrow()
        numbers, places = found["number"].to_numpy(), found["_rowid"].to_numpy()
        order = np.argsort(numbers, kind="stable")
        return numbers[order], places[order].astype(np.int64)

    def _widen(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Have a column for each field of these rows, as far as there may be more."""
        there = {name.lower() for name in self._table.schema.names}
        new = dict[str, str]()
        for row in rows:
            for name, value in row["fields"].items():
                if value is not None and name not in there and len(there) + len(new) < len(OWN_FIELDS) + _MOST_FIELDS:
                    new.setdefault(name, f"CAST(NULL AS {_KINDS[type(value)]})")
        if new:
            self._table.add_columns(new)


def _is_there(folder: str) -> bool:
    """Whether a version was written: a folder without one is what a process left that was killed before."""
    return bool(names_in(f"{folder}/{NAME}.lance/_versions"))


def _connected(folder: str) -> Any:
    """The folder as a database. A store whose address is plain http:// is somebody's own: it was named in the environment."""
    is_plain = is_remote(folder) and os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    lancedb = require("lancedb", extra="search")
    return lancedb.connect(folder, storage_options={"allow_http": "true"} if is_plain else None)


def fields_of(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What of a picture's own metadata can be asked for with --where: its texts, numbers and truths, by simple names."""
    found = dict[str, Any]()
    for name, value in meta.items():
        simple = re.sub(r"\W+", "_", str(name)).strip("_").lower()
        if not simple or simple in OWN_FIELDS or type(value) not in _KINDS:
            continue
        found.setdefault(simple if not simple[0].isdigit() else f"_{simple}", value)
    return found


def quoted(text: str) -> str:
    """A text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def _fitting(value: Any, kind: Any) -> Any:
    """The value, or None where it is not of the column's type: the row's own metadata has it still."""
    name = str(kind)
    if name == "double":
        return float(value) if type(value) is float or (type(value) is int and abs(value) < _LARGEST) else None
    if name == "bool":
        return value if isinstance(value, bool) else None
    if name == "string":
        return value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else None
    return value


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _reason(error: Exception) -> str:
    """What LanceDB says is wrong with a filter, without what it says of itself."""
    said = _one_line(error)
    for noise in (
        "lance error:",
        "LanceError(IO):",
        "Query Execution error:",
        f"{_OF_A_FILTER} to batch:",
        "Arrow error:",
        _NOT_OF_A_ROW,
        "Invalid input,",
        "Invalid user input:",
        "Schema error:",
        "invalid SQL predicate:",
    ):
        said = said.replace(noise, "")
    return " ".join(re.split(r", \S+\.rs:\d+| Valid fields|\. Valid", said)[0].split()).rstrip(".")
