"""Rows of tables: their addresses and texts under the rules that pages have, their other columns as they are."""

from collections.abc import Iterator, Sequence
from typing import Any

from fullclip.core.extras import require
from fullclip.data.building.collecting.addresses import AddressError, of_table
from fullclip.data.building.collecting.images import declared_size, reason_of_size
from fullclip.data.building.collecting.languages import code_of
from fullclip.data.building.collecting.markup import mended
from fullclip.data.building.collecting.pairs import COLUMNS, Collector, key_of
from fullclip.data.building.collecting.reading import Read
from fullclip.data.building.collecting.texts import clean, reason_of_text
from fullclip.data.building.collecting.works import absolute_folder, name_of
from fullclip.data.building.rows import PARTS, URL_COLUMNS, read_table

_OURS = (*COLUMNS, "license")
_SHOWN = 200


def read_rows_of(read: Read) -> Any:
    """The rows of a table as an Arrow table. Those of an earlier stage keep their keys; others get one of their place, and
    their own goes on as source_key.
    """
    arrow = require("pyarrow", extra="data")
    table = read_table(read.work, read.drops)
    if table.num_rows and "url" not in table.column_names:
        raise ValueError(f"{read.work.path}: no column of image addresses; name it one of: {', '.join(URL_COLUMNS)}")
    is_stage = absolute_folder(read.work.path).endswith(f"/{PARTS}")
    collector = read.collector(lambda _, address: address)
    indices = list[int]()
    rows = table.select([name for name in table.column_names if name in _OURS]).to_pylist()
    for index, row in enumerate(rows):
        read.counts["rows"] += 1
        for number, made in enumerate(_rows(row, read, collector)):
            place = (name_of(read.work.path), read.work.file, read.work.first + index, number)
            collector.rows.add({**made, "key": row["key"] if is_stage and number == 0 else key_of(*place)})
            indices.append(index)
    found = collector.rows.table()
    if not is_stage and "key" in table.column_names and "source_key" not in table.column_names:
        table = table.append_column("source_key", table["key"])
    others = table.select([name for name in table.column_names if name not in _OURS]).take(arrow.array(indices, arrow.int64()))
    for name in others.column_names:
        found = found.append_column(name, others[name])
    return found


def _rows(row: dict[str, Any], read: Read, collector: Collector) -> Iterator[dict[str, Any]]:
    """A row for each text of a table's row."""
    rules, drops = read.settings.images, read.drops
    texts = [text for text in _texts(row.get("text")) if text.strip()]
    width, height = (_size(row.get(name), name) for name in ("width", "height"))
    try:
        url = of_table(_word(row.get("url")), absolute_folder(read.work.path), rules)
    except AddressError as error:
        drops.drop(str(error), f"{_word(row.get('url'))[:_SHOWN]} in {read.work}")
        return
    reason = reason_of_size(width, height, rules) or (None if texts else "image: no text")
    if reason:
        drops.drop(reason, url)
        return
    seen = set[str]()
    for written in texts:
        text = clean(written)
        reason = reason_of_text(text, read.settings.texts) or ("text: repeated on the page" if text in seen else None)
        if reason:
            drops.drop(reason, f"{text[:_SHOWN]} ({url})")
            continue
        seen.add(text)
        language = collector.language(text, code_of(_word(row.get("language"))))
        if language is not None:
            told = {name: _word(row.get(name)) or None for name in ("page", "licence")}
            told["licence"] = told["licence"] or _word(row.get("license")) or None
            size = {"width": width, "height": height}
            yield {
                "url": url,
                "text": text,
                "kind": _word(row.get("kind")) or "table",
                **told,
                **size,
                "language": language or None,
            }


def _texts(value: Any) -> Sequence[str]:
    if isinstance(value, str):
        return [value]
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _word(value: Any) -> str:
    return mended(value) if isinstance(value, str) else ""


def _size(value: Any, name: str) -> int | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return int(value) if 0 <= value < 1_000_000 else None
    return declared_size(_word(value), "", name)
