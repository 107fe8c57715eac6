"""Which queries a text has in it (CLIP, Radford et al. 2021, section 2.2): rows in; those that match, with their queries, out.

The rule: text and query are compared after Unicode's NFC, folding of case, and with a run of white space as one space, ’ as '
and ‐ ‑ as -; a match is the whole query, letter by letter, which neither begins nor ends within a word. Within a word is
between two characters that are letters, digits, marks of letters or an underscore; scripts that are written without spaces have
no such place. So "dog" is in "Dog, asleep" and in "hot-dog" but not in "dogma", "c++" is in "c++11", and "猫" is in "黒猫". Of
a row with several captions each is looked at alone.
"""

import hashlib
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from fullclip.core.extras import require
from fullclip.core.storage import is_remote
from fullclip.data.building.counts import COUNTS, counts_table, head_and_tail, write_totals
from fullclip.data.building.engine import Engine
from fullclip.data.building.queries.lists import read_queries
from fullclip.data.building.rows import SEPARATOR, Work, read_table, texts_of
from fullclip.data.building.stage import Done, Record, Report, run_stage
from fullclip.data.drops import Drops

QUERIES = "queries"  # the column
_EDGE = "\0"
_AS_TYPED = str.maketrans("’‐‑", "'--")
_ASCII_WORDS = re.compile(r"[A-Za-z0-9_]+|[\s\S]")
# Thai and Lao, Myanmar, Khmer, kana, Han
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_REPORTED = 20_000  # the paper's cap, by which head and tail are told apart in the report


def normalize(text: str, *, case_sensitive: bool = False) -> str:
    """As texts and queries are compared."""
    text = text.replace(_EDGE, " ")
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).translate(_AS_TYPED)
    return " ".join((text if case_sensitive else text.casefold()).split())


@cache
def _words() -> re.Pattern[str]:
    """Runs of characters that stand within one word, or a single other one."""
    marks = [number for number in range(0x300, sys.maxunicode) if unicodedata.category(chr(number))[0] == "M"]
    runs = [f"{chr(a)}-{chr(b)}" for a, b in _intervals(marks)]
    return re.compile(f"(?:(?![{_UNSPACED}])[\\w{''.join(runs)}])+|[\\s\\S]")


def _intervals(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each run of sorted numbers that follow one another."""
    found = list[tuple[int, int]]()
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def marked(text: str) -> str:
    """A normalised text with a mark at each place where a match may begin or end: a query is in a text by the rule just where
    the marked one is a part of the other.
    """
    words = _ASCII_WORDS if text.isascii() else _words()  # the same, and faster
    return _EDGE + _EDGE.join(words.findall(text)) + _EDGE


class Matcher:
    """All queries as one automaton (Aho and Corasick 1975), so that a text is gone through once, however many there are."""

    def __init__(self, queries: Sequence[str], *, case_sensitive: bool = False) -> None:
        self._automaton = require("ahocorasick", extra="data").Automaton()
        self.queries, self._case_sensitive = queries, case_sensitive
        # queries that are the same once they are normalised, by the first of them
        self._alike: dict[int, list[int]] = {}
        for number, query in enumerate(queries):
            normal = normalize(query.replace(SEPARATOR, " "), case_sensitive=case_sensitive)
            if not normal:
                continue
            first = self._automaton.get(marked(normal), None)
            if first is None:
                self._automaton.add_word(marked(normal), number)
            else:
                self._alike.setdefault(first, []).append(number)
        if not len(self._automaton):
            raise ValueError("there is no query in the list; give one that has some with --queries")
        self._automaton.make_automaton()

    def find(self, text: str) -> list[int]:
        """The numbers of the queries that the text has in it, rising."""
        seen = marked(normalize(text, case_sensitive=self._case_sensitive))
        found = {number for _, number in self._automaton.iter(seen)}
        for first in found & self._alike.keys():
            found.update(self._alike[first])
        return sorted(found)


@dataclass(frozen=True, kw_only=True)
class MatchSettings:
    """What matching depends on. sha256: of the list, as it was read."""

    queries: str
    sha256: str
    case_sensitive: bool = False


@lru_cache(maxsize=1)
def _matcher(settings: MatchSettings) -> Matcher:
    """The automaton of this process."""
    queries = read_queries(settings.queries, Drops())
    if digest(queries) != settings.sha256:
        raise ValueError(f"{settings.queries} has changed meanwhile; match with it again, into another --out")
    return Matcher(queries, case_sensitive=settings.case_sensitive)


def digest(queries: Iterable[str]) -> str:
    """The SHA-256 of a list of queries."""
    found = hashlib.sha256()
    for query in queries:
        found.update(query.encode("utf-8", "surrogatepass") + b"\0")
    return found.hexdigest()


def match(
    works: Sequence[Work], *, queries: str, out: str, engine: Engine, case_sensitive: bool = False, drops: Drops
) -> Report:
    """Keep the rows whose text has one of the queries (a file, as `read_queries` takes) in it; `queries` is a further column.

    DIR/queries.parquet has how many texts each query is in. What of the list could not be used goes to `drops`.
    """
    listed = read_queries(queries, drops)
    queries = queries if is_remote(queries) else str(Path(queries).absolute())  # workers elsewhere have other folders
    settings = MatchSettings(queries=queries, sha256=digest(listed), case_sensitive=case_sensitive)
    return run_stage(
        out,
        stage="match",
        settings={"queries": settings.sha256, "case_sensitive": case_sensitive, "num_queries": len(listed)},
        works=works,
        do=partial(match_part, settings=settings),
        engine=engine,
        summarize=partial(_summarize, num_queries=len(listed)),
    )


def match_part(work: Work, *, settings: MatchSettings) -> Done:
    """The matching rows of a partition."""
    drops = Drops()
    table = read_table(work, drops)
    num_in = table.num_rows + sum(drops.counts.values())
    if not table.num_rows:
        return Done(table=table, num_in=num_in, drops=drops)
    matcher, arrow = _matcher(settings), require("pyarrow", extra="data")
    found, counts = list[list[str]](), Counter[str]()
    for key, text in zip(table["key"].to_pylist(), texts_of(table, path=work.path), strict=True):
        matches = [matcher.queries[number] for number in matcher.find(text)]
        found.append(matches)
        counts.update(matches)
        if not matches:
            drops.drop("no query in the text" if text.strip() else "no text", key)
    kept = np.array([bool(matches) for matches in found], dtype=bool)
    if QUERIES in table.column_names:
        table = table.drop_columns([QUERIES])
    table = table.append_column(QUERIES, arrow.array(found, arrow.list_(arrow.string()))).filter(arrow.array(kept))
    return Done(
        table=table,
        num_in=num_in,
        drops=drops,
        counts={"matches": counts.total()},
        beside={COUNTS: counts_table(counts)},
    )


def _summarize(out: str, records: Sequence[Record], *, num_queries: int) -> Mapping[str, Any]:
    totals = write_totals(out, records)
    return {"queries": num_queries, **head_and_tail(totals["count"].to_numpy(), cap=_REPORTED, num_queries=num_queries)}
