"""Candidates in, the list out: which source goes first, what is there before, what no longer fits."""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fullclip.data.building.queries.lists import MAX_CHARACTERS, Query
from fullclip.data.building.queries.merging import Merge, piece_path, read_whole

_ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Of a source: queries that passed its threshold, of these such as came before or are too long, and such as are in the
    list. The others did not fit into it.
    """

    passed: int
    before: int
    taken: int


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The list, and what became of each source's queries."""

    queries: list[Query]
    tallies: Mapping[str, Tally]


class _Passing:
    """What of a source may come into the list, and how many were seen."""

    def __init__(self, candidates: Iterator[tuple[float, int, str]], listed: Mapping[str, None]) -> None:
        self._candidates, self._listed = candidates, listed
        self.passed = self.before = 0

    def __iter__(self) -> Iterator[tuple[float, int, str]]:
        for candidate in self._candidates:
            self.passed += 1
            if candidate[2] in self._listed or len(candidate[2]) > MAX_CHARACTERS:
                self.before += 1
            else:
                yield candidate


def choose(merge: Merge, synsets: Mapping[str, int], min_count: int, size: int) -> Chosen:
    """The list of at most `size` queries, of each source the greatest first. ValueError where it is empty."""
    sources: dict[str, tuple[str, Iterator[tuple[float, int, str]]]] = {
        "wordnet": ("synsets", ((-count, 0, text) for text, count in synsets.items())),
        "unigram": ("count", ((-row["count"], 0, row["text"]) for row in _rows(merge, "words") if row["count"] >= min_count)),
        "bigram": ("pmi", ((-row["pmi"], -row["count"], row["text"]) for row in _rows(merge, "scored"))),
        "title": ("views", ((-row["count"], 0, row["text"]) for row in _rows(merge, "titles"))),
    }
    queries, listed, tallies = list[Query](), dict[str, None](), dict[str, Tally]()
    for source, (measure, candidates) in sources.items():
        passing = _Passing(candidates, listed)
        best = heapq.nsmallest(size - len(queries), passing) if size > len(queries) else []
        for _ in passing:
            continue  # where nothing fits any more they are counted all the same
        queries += [Query(text=text, source=source, measure=measure, number=-number) for number, _, text in best]
        listed.update(dict.fromkeys(text for _, _, text in best))
        tallies[source] = Tally(passed=passing.passed, before=passing.before, taken=len(best))
    if not queries:
        raise ValueError("no query passes; give lower thresholds (--min-count, --min-pmi, --min-views) or more files")
    return Chosen(queries=queries, tallies=tallies)


def _rows(merge: Merge, kind: str) -> Iterator[dict[str, Any]]:
    for piece in range(merge.num_pieces):
        for batch in read_whole(piece_path(merge, kind, piece)).to_batches(max_chunksize=_ROWS_AT_ONCE):
            yield from batch.to_pylist()
