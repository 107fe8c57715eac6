"""Where pairs come from: tables of image paths and captions, folders with sidecar texts, tar shards -> Pair.

Everything is a generator; a row that gives no pair goes to `drops`. Nothing is decoded here.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from fullclip.core.types import Pair
from fullclip.data.drops import Drops
from fullclip.data.shards import captions_of, read_shards
from fullclip.data.tables import IMAGE_COLUMNS, TABLE_ENDINGS, TEXT_COLUMNS, Row, find_column, is_table, read_rows
from fullclip.preprocess.image import IMAGE_EXTENSIONS, is_image

_TABLE_NAMES = ("captions", "metadata")


def read_source(path: str, drops: Drops) -> Iterator[Pair]:
    """Pairs from whatever lies at `path`.

    - a table (.csv, .tsv, .jsonl, .parquet): a column of image paths, relative to the table, and one of captions (a text,
      or in JSONL and Parquet a list); following rows of the same image are one pair with several captions;
    - a folder with a table named captions.* or metadata.*: that table;
    - a folder of .tar files, a .tar file or a glob of them: shards;
    - any other folder: every image at any depth with a `.txt` of the same name beside it, one caption a line.
    ValueError where it is none of these.
    """
    folder = Path(path)
    if folder.is_dir():
        tables = [folder / f"{name}{ending}" for name in _TABLE_NAMES for ending in TABLE_ENDINGS]
        table = next((table for table in tables if table.is_file()), None)
        if table is not None:
            return _from_table(table, drops)
        if any(folder.glob("*.tar")):
            return _from_shards(path, drops)
        return _from_sidecars(folder, drops)
    if is_table(path):
        return _from_table(folder, drops)
    if path.endswith(".tar"):
        return _from_shards(path, drops)
    raise ValueError(f"{path}: neither a folder, nor a table ({', '.join(TABLE_ENDINGS)}), nor .tar shards")


def _from_shards(path: str, drops: Drops) -> Iterator[Pair]:
    keys = _Keys()  # shards that were written apart may count their keys alike
    for pair in read_shards([path], drops):
        yield replace(pair, key=keys.unique(Path(pair.key)))


def _from_sidecars(folder: Path, drops: Drops) -> Iterator[Pair]:
    images = sorted(file for file in folder.rglob("*") if file.suffix.lower().lstrip(".") in IMAGE_EXTENSIONS)
    if not images:
        raise ValueError(f"{folder}: no images, tables or shards in this folder")
    keys = _Keys()
    for image in images:
        text = image.with_suffix(".txt")
        if not text.is_file():
            drops.drop("image without text", str(image))
            continue
        try:
            captions = text.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError:
            drops.drop("broken text", str(text))
            continue
        yield from _pair_of(image, captions, {}, keys.unique(image.relative_to(folder)), drops)


def _from_table(table: Path, drops: Drops) -> Iterator[Pair]:
    keys, columns = _Keys(), _Columns(table)
    rows = ((columns.image(row), row) for _, row in read_rows(str(table), drops) if columns.check(row, drops))
    for name, group in groupby(rows, key=lambda item: item[0]):
        members = [row for _, row in group]
        captions = [caption for row in members for caption in columns.captions(row)]
        meta = {
            field: value for field, value in members[0].items() if field and field not in columns.used and value is not None
        }
        yield from _pair_of(table.parent / name, captions, meta, keys.unique(Path(name)), drops)


def _pair_of(image: Path, captions: Iterable[str], meta: Row, key: str, drops: Drops) -> Iterator[Pair]:
    try:
        texts = captions_of({"captions": list(captions)})
    except ValueError:
        drops.drop("broken text", str(image))
        return
    if not texts:
        drops.drop("image without text", str(image))
        return
    try:
        data = image.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        drops.drop("unreadable image file", f"{image} ({getattr(error, 'strerror', error)})")
        return
    if not is_image(data):
        drops.drop("not an image", str(image))
        return
    yield Pair(key=key, image=data, texts=texts, meta=meta)


class _Keys:
    """Names as keys without dot and slash, each once."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def unique(self, name: Path) -> str:
        key = str(name.parent / name.stem).replace("/", "-").replace("\\", "-").replace(".", "_").strip("-")
        self._seen[key] += 1
        if self._seen[key] == 1:
            return key
        return self.unique(Path(f"{key}-{self._seen[key]}"))


class _Columns:
    """Which columns of a table hold the image and the captions, found in its first row."""

    def __init__(self, table: Path) -> None:
        self._table = table
        self._image = self._text = ""

    @property
    def used(self) -> tuple[str, str]:
        return self._image, self._text

    def check(self, row: Row, drops: Drops) -> bool:
        """Whether the row names an image; ValueError where the table has no such columns at all."""
        if not self._image:
            self._image = find_column(str(self._table), row, IMAGE_COLUMNS, what="images")
            self._text = find_column(str(self._table), row, TEXT_COLUMNS, what="captions")
        if None in row:
            drops.drop("row with more fields than columns", f"{self._table}: {str(row)[:80]}")
            return False
        if not isinstance(row.get(self._image), str) or not row[self._image]:
            drops.drop("row without image", f"{self._table}: {str(row)[:80]}")
            return False
        return True

    def image(self, row: Row) -> str:
        return str(row[self._image])

    def captions(self, row: Row) -> list[str]:
        value = row.get(self._text)
        return list(value) if isinstance(value, list) else [value] if isinstance(value, str) else []
