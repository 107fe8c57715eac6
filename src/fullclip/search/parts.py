"""Embeddings -> files: rows as they come in, Parquet or NumPy out, and a record of each part that is written last.

DIR/images/000000.parquet and DIR/texts/000000.parquet, or .npy with a .jsonl of a line for each row; DIR/skipped/000000.jsonl;
DIR/parts/000000.json. A file appears when it is whole; what has its record, and files of the sizes in it, is finished.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Any, Literal

import numpy as np

from fullclip.core.config import from_dict, to_dict
from fullclip.core.extras import require
from fullclip.core.folders import whole_file
from fullclip.core.parts import FileSize
from fullclip.data.drops import Drops

Format = Literal["parquet", "npy"]
Side = Literal["images", "texts"]
PARTS, SKIPPED = "parts", "skipped"
VECTOR: Mapping[Side, str] = {"images": "image", "texts": "text"}
_TOLD: Mapping[Side, tuple[str, ...]] = {"images": ("key", "path"), "texts": ("key", "path", "caption")}
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why something was skipped, and how often."""

    reason: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a finished part holds. truncated: texts that were cut to the context."""

    number: int
    images: int
    texts: int
    truncated: int
    skipped: tuple[Reason, ...]
    files: tuple[FileSize, ...]


class Rows(ABC):
    """A file of rows that is being written: names and vectors, side by side."""

    num_rows = 0

    @abstractmethod
    def add(self, told: Sequence[tuple[str, ...]], vectors: np.ndarray) -> None:
        """Rows, each with its (key, path), and of a text its caption; vectors: [n, embed]."""

    @abstractmethod
    def finish(self) -> None:
        """Have all of it in the file."""

    @abstractmethod
    def abandon(self) -> None:
        """Let go of the file, which is to be removed."""


def part_name(number: int) -> str:
    return f"{number:06d}"


class PartWriter:
    """The files of a part below `out`, which appear at the end of `opened`."""

    def __init__(self, out: str, number: int) -> None:
        self._out, self._number, self._files = out, number, list[FileSize]()

    @contextmanager
    def rows(self, side: Side, *, file_format: Format, dtype: str, embed: int) -> Iterator[Rows]:
        """Rows of one side, in a file that appears when the context ends well."""
        with ExitStack() as stack:
            if file_format == "npy":
                names = stack.enter_context(self._file(f"{side}/{part_name(self._number)}.jsonl", "w"))
                vectors = stack.enter_context(self._file(f"{side}/{part_name(self._number)}.npy"))
                rows: Rows = _NumpyRows(vectors, names, side, dtype, embed)
            else:
                file = stack.enter_context(self._file(f"{side}/{part_name(self._number)}.parquet"))
                rows = _ParquetRows(file, side, dtype, embed)
            try:
                yield rows
                rows.finish()
            except BaseException:
                rows.abandon()
                raise

    def finish(self, *, images: int, texts: int, truncated: int, drops: Drops) -> Record:
        """Write what was skipped, and the record."""
        if drops.counts:
            with self._file(f"{SKIPPED}/{part_name(self._number)}.jsonl", "w") as file:
                for reason, names in drops.examples.items():
                    file.writelines(_line({"reason": reason, "name": name}) for name in names)
        record = Record(
            number=self._number,
            images=images,
            texts=texts,
            truncated=truncated,
            skipped=tuple(Reason(reason=reason, count=count) for reason, count in drops.counts.items()),
            files=tuple(self._files),
        )
        with whole_file(f"{self._out}/{PARTS}/{part_name(self._number)}.json", "w") as file:
            json.dump(to_dict(record), file)
        return record

    @contextmanager
    def _file(self, name: str, mode: str = "wb") -> Iterator[IO[Any]]:
        with whole_file(f"{self._out}/{name}", mode) as file:
            yield file
            file.flush()
            self._files.append(FileSize(name=name, num_bytes=file.seek(0, 2)))


def parse_record(text: str) -> Record | None:
    """The record in a part's file; None where it is none."""
    try:
        return from_dict(Record, json.loads(text))
    except (ValueError, AttributeError, TypeError):
        return None


def _line(fields: Mapping[str, str]) -> str:
    return json.dumps(fields) + "\n"  # in ASCII: a caption may hold what other readers take for a line's end


def _is_text(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


class _NumpyRows(Rows):
    """vectors: a .npy file; names: a line of JSON for each of its rows."""

    def __init__(self, vectors: IO[bytes], names: IO[str], side: Side, dtype: str, embed: int) -> None:
        self._vectors, self._names, self._side = vectors, names, side
        self._dtype, self._embed = np.dtype(dtype), embed
        self._write_header()

    def add(self, told: Sequence[tuple[str, ...]], vectors: np.ndarray) -> None:
        self._names.writelines(_line(dict(zip(_TOLD[self._side], row, strict=True))) for row in told)
        self._vectors.write(np.ascontiguousarray(vectors, dtype=self._dtype).tobytes())
        self.num_rows += len(told)

    def finish(self) -> None:
        self._vectors.seek(0)
        self._write_header()  # now with the number of rows; NumPy leaves room for one of any length
        self._vectors.seek(0, 2)

    def abandon(self) -> None:
        """Nothing is held."""

    def _write_header(self) -> None:
        shape = (self.num_rows, self._embed)
        described = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._vectors, described)


class _ParquetRows(Rows):
    """A Parquet file with a column of vectors, which are not compressed: floats do not get smaller."""

    def __init__(self, file: IO[bytes], side: Side, dtype: str, embed: int) -> None:
        self._arrow, parquet = require("pyarrow", extra="data"), require("pyarrow.parquet", extra="data")
        arrow, self._side, self._dtype, self._embed = self._arrow, side, np.dtype(dtype), embed
        number = arrow.float16() if dtype == "float16" else arrow.float32()
        self._schema = arrow.schema(
            [(name, arrow.string()) for name in _TOLD[side]] + [(VECTOR[side], arrow.list_(number, embed))]
        )
        names = dict.fromkeys(_TOLD[side], "zstd") | {f"{VECTOR[side]}.list.element": "none"}
        self._writer = parquet.ParquetWriter(file, self._schema, compression=names, use_dictionary=["path"])
        self._told, self._waiting = list[tuple[str, ...]](), list[np.ndarray]()

    def add(self, told: Sequence[tuple[str, ...]], vectors: np.ndarray) -> None:
        self._told += told
        self._waiting.append(vectors.astype(self._dtype))
        self.num_rows += len(told)
        if len(self._told) >= _ROWS_AT_ONCE:
            self._write()

    def finish(self) -> None:
        self._write()
        self._writer.close()

    def abandon(self) -> None:
        try:
            self._writer.close()
        except (OSError, ValueError):
            self._writer.is_open = False  # or it would be closed again when it is collected, and complain

    def _write(self) -> None:
        if not self._told:
            return
        arrow = self._arrow
        flat = arrow.array(np.concatenate(self._waiting).reshape(-1))
        columns = [arrow.array([_text(row[i]) for row in self._told]) for i in range(len(_TOLD[self._side]))]
        columns.append(arrow.FixedSizeListArray.from_arrays(flat, self._embed))
        self._writer.write_table(arrow.Table.from_arrays(columns, schema=self._schema))
        self._told, self._waiting = [], []


def _text(name: str) -> str:
    """A name as Parquet can hold it: bytes that are no UTF-8 as backslash escapes."""
    return name if _is_text(name) else name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
