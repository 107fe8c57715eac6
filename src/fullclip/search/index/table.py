"""The rows of an index in LanceDB, on a disk or in a store: vectors, thumbnails and what is known of each picture.

A row's number is never given twice: a row that changes gets a new one. What a hit tells is one column of JSON, since a column
costs as much to look up as a row; some of it stands in columns of its own as well, to be asked for. Each write is one version,
all of it or nothing.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np

from fullclip.core.extras import require
from fullclip.core.folders import names_in
from fullclip.core.storage import is_remote
from fullclip.search.index.conditions import check_condition, impossible, is_of_a_condition, one_line

NAME = "rows"
_VECTORS_AT_ONCE = 8192
_KEPT = timedelta(hours=1)  # versions, for those who read them while another process writes
_KINDS = {str: "string", bool: "boolean", int: "double", float: "double"}
_MOST_FIELDS = 64
_KEYS_AT_ONCE = 1000
_MOST_FILES = 64
_LARGEST = 10**300  # of whole numbers that a column of doubles takes
ROOT = "_root"  # no field of a picture's own begins so
OWN_FIELDS = (
    *("number", "key", "path", "mark", "caption", "width", "height", "bytes", "date", "told", "thumbnail", "vector"),
    ROOT,
)
_HIDDEN = frozenset({"number", "mark", "told", "thumbnail", "vector", ROOT})


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
        """ValueError where there is none, OSError where it cannot be read."""
        if not _is_there(folder):
            raise ValueError(f"{folder} holds no rows yet: the build was stopped; the same command goes on")
        with _reading(folder):
            return cls(_connected(folder).open_table(NAME))

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
        return {field.name: str(field.type) for field in schema if field.name not in _HIDDEN}

    def has(self, column: str) -> bool:
        return column in self._table.schema.names

    def numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """All rows: their numbers, and where this version has them."""
        with _reading():
            return self._numbers_of(self._table.search())

    def matching(self, where: str) -> np.ndarray:
        """The numbers of rows that pass a condition in SQL on `fields`; ValueError for one that is none."""
        check_condition(where, list(self.fields), _HIDDEN)
        try:
            return self._numbers_of(self._table.search().where(where))[0]
        except (RuntimeError, ValueError) as error:
            if not is_of_a_condition(error):
                raise _unreadable(error) from None
            raise impossible(where, error, list(self.fields)) from None

    def numbers_of_keys(self, keys: Sequence[str]) -> np.ndarray:
        """The numbers of the rows of these keys, as far as they are there, in no order of theirs."""
        parts = [keys[start : start + _KEYS_AT_ONCE] for start in range(0, len(keys), _KEYS_AT_ONCE)]
        with _reading():
            found = [self._numbers_of(self._table.search().where(_of_keys(part)))[0] for part in parts]
        return np.concatenate([np.empty(0, dtype=np.int64), *found])

    def count(self, column: str) -> int:
        """How many rows have something in a column."""
        with _reading():
            return int(self._table.count_rows(f"{column} IS NOT NULL"))

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

    def keys(self) -> Iterator[tuple[str, str, str | None]]:
        """The key, the mark and the root of every row; no root where rows had none yet."""
        names = ["key", "mark", *([ROOT] if self.has(ROOT) else [])]
        for batch in self.columns(names):
            roots = batch.get(ROOT) or [None] * len(batch["key"])
            yield from zip(batch["key"], batch["mark"], roots, strict=True)

    def columns(self, names: Sequence[str]) -> Iterator[Mapping[str, list[Any]]]:
        """Some columns of all rows, some thousands at a time."""
        with _reading():
            reader = self._table.search().select(list(names)).limit(None).to_batches(_VECTORS_AT_ONCE)
            batches = (batch.to_pydict() for batch in reader)
            batch = next(batches, None)
        while batch is not None:
            yield batch
            with _reading():
                batch = next(batches, None)

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
        """How many rows passed the condition, and are no more."""
        before = self._table.count_rows()
        self._table.delete(where)
        return int(before - self._table.count_rows())

    def delete_keys(self, keys: Sequence[str]) -> int:
        """How many rows had these keys, and are no more."""
        starts = range(0, len(keys), _KEYS_AT_ONCE)
        return sum(self.delete(_of_keys(keys[start : start + _KEYS_AT_ONCE])) for start in starts)

    def compact(self) -> None:
        """Few large files of many small ones, where there are so many; old versions go after an hour."""
        if self._table.stats()["fragment_stats"]["num_fragments"] > _MOST_FILES:
            self._table.optimize(cleanup_older_than=_KEPT)

    def num_bytes(self) -> int:
        return int(self._table.stats()["total_bytes"])

    def _taken(self, places: Sequence[int] | np.ndarray, names: Sequence[str]) -> Any:
        """Columns of some rows."""
        with _reading():
            return self._table.take_row_ids([int(place) for place in places]).select(list(names)).to_arrow()

    def _numbers_of(self, query: Any) -> tuple[np.ndarray, np.ndarray]:
        found = query.select(["number"]).with_row_id(True).limit(None).to_arrow()
        numbers, places = found["number"].to_numpy(), found["_rowid"].to_numpy()
        order = np.argsort(numbers, kind="stable")
        return numbers[order], places[order].astype(np.int64)

    def _widen(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Have a column for each field of these rows, as far as there may be more."""
        there = {name.lower() for name in self._table.schema.names}
        new = {} if ROOT in there else {ROOT: "CAST(NULL AS string)"}  # of an index that was made before rows had it
        for row in rows:
            for name, value in row["fields"].items():
                if value is not None and name not in there and len(there) + len(new) < len(OWN_FIELDS) + _MOST_FIELDS:
                    new.setdefault(name, f"CAST(NULL AS {_KINDS[type(value)]})")
        if new:
            self._table.add_columns(new)


@contextmanager
def _reading(folder: str = "") -> Iterator[None]:
    """OSError for whatever LanceDB raises, its panics included, where files are torn or gone, as those of an old version."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise _unreadable(error, folder) from None


def _unreadable(error: Exception, folder: str = "") -> OSError:
    where = f"{folder}: " if folder else ""
    return OSError(
        f"{where}the rows of the index cannot be read ({one_line(error)}); bring it back from a copy, or build it anew"
    )


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


def as_text(name: str) -> str:
    """A name as a table can hold it, the same in every locale and as `fullclip embed` writes it: the UTF-8 of its bytes, and
    what is none as backslash escapes.
    """
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half of a pair, as JSON may have it, which no file's name gives
        return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _of_keys(keys: Sequence[str]) -> str:
    """The condition that a row has one of these keys."""
    texts = ("'" + key.replace("'", "''") + "'" for key in keys)
    return f"key IN ({', '.join(texts)})"


def _fitting(value: Any, kind: Any) -> Any:
    """The value, or None where it is not of the column's type: the row's own metadata has it still."""
    name = str(kind)
    if name == "double":
        return float(value) if type(value) is float or (type(value) is int and abs(value) < _LARGEST) else None
    if name == "bool":
        return value if isinstance(value, bool) else None
    if name == "string":
        return as_text(value) if isinstance(value, str) else None
    return value
