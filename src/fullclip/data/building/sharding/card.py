"""A data card: what the shards hold, where it comes from, what was left out and why, and how to make it again.

DIR/data.json has it for programs, DIR/DATA.md for people. Neither knows of times, machines or paths.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fullclip.core.extras import require
from fullclip.core.folders import whole_file
from fullclip.core.storage import open_file
from fullclip.data.building.counts import COUNTS, added
from fullclip.data.building.rows import Work
from fullclip.data.building.sharding.history import history
from fullclip.data.building.sharding.records import FACT_COLUMNS, FACTS, UNKNOWN
from fullclip.data.building.stage import Report

CARD, FOR_PEOPLE = "data.json", "DATA.md"
_MOST_VALUES, _MOST_QUERIES, _MOST_SHARDS = 50, 20, 200
_CAP = 20_000  # the paper's, by which head and tail are told apart


def write_card(
    out: str, works: Sequence[Work], report: Report, facts: Mapping[str, Any], *, settings: Mapping[str, Any], made_with: str
) -> None:
    """Write both files into the shards' folder `out`. report: of the records; facts: of the shards."""
    queries = _added(report, COUNTS)
    card = {
        "made_with": made_with,
        "num_pairs": facts["num_pairs"],
        "captions": report.counts.get("captions", 0),
        "words": report.counts.get("words", 0),
        "picture_bytes": report.counts.get("picture_bytes", 0),
        **_values(_added(report, FACTS)),
        "queries": _queries(queries["query"].to_pylist()[:_MOST_QUERIES], queries["count"].to_numpy()),
        "stages": history([work.path for work in works]),
        "sharding": {**settings, "num_in": report.num_in, "dropped": dict(sorted(facts["dropped"].items()))},
        "shards": facts["shards"],
    }
    with whole_file(f"{out}/{CARD}", "w") as file:
        json.dump(card, file, indent=1, ensure_ascii=False)
    with whole_file(f"{out}/{FOR_PEOPLE}", "w") as file:
        file.write(markdown(card))


def markdown(card: Mapping[str, Any]) -> str:
    """The card for people."""
    return "\n".join(_lines(card)) + "\n"


def _added(report: Report, folder: str) -> Any:
    parquet = require("pyarrow.parquet", extra="data")

    def tables() -> Iterator[Any]:
        for number in range(report.num_parts):
            with open_file(f"{report.out}/{folder}/{number:06d}.parquet") as file:
                yield parquet.read_table(file, use_threads=False)

    return added(tables())


def _values(table: Any) -> dict[str, dict[str, int]]:
    """How many pairs each licence, language and so on has, the most frequent first; the rest is added up."""
    found: dict[str, dict[str, int]] = {}
    for told, count in zip(table["query"].to_pylist(), table["count"].to_pylist(), strict=True):
        name, _, value = told.partition("\0")
        values = found.setdefault(name, {})
        value = value if len(values) < _MOST_VALUES or value in values else "others"
        values[value] = values.get(value, 0) + count
    return {name: found[name] for name in FACT_COLUMNS if found.get(name, {}).keys() - {UNKNOWN}}


def _queries(first: Sequence[str], counts: np.ndarray) -> dict[str, Any]:
    total, over = int(counts.sum()), counts > _CAP
    return {
        "with_a_pair": len(counts),
        "matches": total,
        f"in_more_than_{_CAP}_pairs": int(over.sum()),
        "share_of_matches_of_those": round(float(counts[over].sum()) / total, 4) if total else 0.0,
        "in_one_pair": int((counts == 1).sum()),
        "most_frequent": dict(zip(first, counts[: len(first)].tolist(), strict=True)),
    }


def _lines(card: Mapping[str, Any]) -> Iterator[str]:
    yield "# Data card"
    yield ""
    size = f"{card['num_pairs']:,} pairs of an image and its texts in {len(card['shards']):,} shards"
    yield f"{size}, made with {card['made_with']}."
    yield ""
    told = (("captions", card["captions"]), ("words", card["words"]), ("bytes of pictures", card["picture_bytes"]))
    yield from _table(("what", "how many"), told)
    for name in FACT_COLUMNS:
        if name in card:
            yield from _section(f"By {name}", ((name, "pairs"), card[name].items()))
    queries = card["queries"]
    if queries["matches"]:
        rows = [(name.replace("_", " "), value) for name, value in queries.items() if name != "most_frequent"]
        yield from _section("Queries", (("what", "how many"), rows))
        yield "The most frequent:"
        yield ""
        yield from _table(("query", "pairs"), queries["most_frequent"].items())
    yield from _stages(card["stages"])
    yield from _sharding(card)


def _stages(stages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not stages:
        return
    yield "## How it was made"
    yield ""
    for number, one in enumerate(stages, 1):
        yield f"### {number}. {one['stage']}"
        yield ""
        yield f"From {', '.join(_code(name) for name in one['inputs'])} into {_code(one['folder'])}: {one['num_in']:,} rows in,"
        yield f"{one['num_out']:,} out."
        yield ""
        if one["settings"]:
            yield f"Settings: {_code(json.dumps(one['settings'], ensure_ascii=False))}"
            yield ""
        if one["dropped"]:
            yield from _table(("left out", "rows"), sorted(one["dropped"].items(), key=lambda item: (-item[1], item[0])))
        if one["counts"]:
            yield f"Counted: {_code(json.dumps(one['counts'], ensure_ascii=False))}"
            yield ""


def _sharding(card: Mapping[str, Any]) -> Iterator[str]:
    sharding = card["sharding"]
    yield "## Shards"
    yield ""
    order = "in the order of the parts" if sharding["seed"] is None else f"shuffled with seed {sharding['seed']}"
    size = f"{sharding['pairs']:,} pairs" if sharding["pairs"] else f"{sharding['bytes']:,} bytes"
    yield f"{sharding['num_in']:,} rows in, {order}, up to {size} a shard."
    yield ""
    if sharding["dropped"]:
        yield from _table(("left out", "rows"), sorted(sharding["dropped"].items(), key=lambda item: (-item[1], item[0])))
    yield "To make it again, run the stages above with their settings on the same inputs, then"
    yield ""
    source = card["stages"][-1]["folder"] if card["stages"] else "SOURCE"
    yield f"    fullclip data shard {source} --out DIR {_options(sharding)}"
    yield ""
    shown = card["shards"][:_MOST_SHARDS]
    yield from _table(("shard", "pairs", "SHA-256"), ((one["name"], one["num_pairs"], one["sha256"]) for one in shown))
    if len(card["shards"]) > len(shown):
        yield f"and {len(card['shards']) - len(shown):,} more, in `index.json`."


def _options(sharding: Mapping[str, Any]) -> str:
    order = "--no-shuffle" if sharding["seed"] is None else f"--seed {sharding['seed']}"
    return f"{order} " + (
        f"--pairs-per-shard {sharding['pairs']}" if sharding["pairs"] else f"--shard-bytes {sharding['bytes']}"
    )


def _section(title: str, table: tuple[Sequence[str], Iterable[Sequence[Any]]]) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield from _table(*table)


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(_cell(value) for value in row)} |"
    yield ""


def _cell(value: Any) -> str:
    """A value that no one's words can break out of: a licence or a query may hold anything."""
    if isinstance(value, int):
        return f"{value:,}"
    text = " ".join(str(value).split())
    for mark in "\\`*_{}[]<>|#!&":
        text = text.replace(mark, f"\\{mark}")
    return text


def _code(text: str) -> str:
    marks = "`" * (1 + max((len(run) for run in _runs_of_backticks(text)), default=0))
    return f"{marks} {text} {marks}" if "`" in text else f"`{text}`"


def _runs_of_backticks(text: str) -> list[str]:
    return re.findall("`+", text)
