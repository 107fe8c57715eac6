"""The second half of the work, piece by piece in any process: files of counts in, candidates for the list out.

A piece is one part of the counts or more. A pair's PMI needs three counts that lie in different parts. So pairs are summed in
the piece of their first word, whose count is there; what may still pass goes to that of its second word, and is scored there.

work/merged-*/words/17.parquet    every word with its count
work/merged-*/pairs/17.parquet    pairs that may pass, with their first word's count
work/merged-*/scored/17.parquet   pairs that pass, with their PMI
work/merged-*/titles/17.parquet   titles that pass, with their views
"""

import math
from dataclasses import dataclass
from typing import Any

from fullclip.core.extras import require
from fullclip.core.folders import whole_file
from fullclip.core.storage import open_file
from fullclip.data.building.queries.counting import second_word
from fullclip.data.building.queries.counts import NUM_PARTS, PartedFile, part_of, read_parts, sum_parts

_DIGITS = 6  # of a PMI; it is rounded before it is compared, so that no last bit decides
_SLACK = 1e-6
_ROWS_AT_ONCE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Merge:
    """What is merged, in how many pieces (a power of 2), and what passes.

    batches, views: paths of the files of counts, without their kind and ending.
    """

    out: str
    batches: tuple[str, ...]
    views: tuple[str, ...]
    num_words: int
    num_pieces: int
    min_pmi: float
    min_count_bigram: int
    min_views: int


def pmi(together: int, first: int, second: int, num_words: int) -> float:
    """log2(N together / (first second)), N words in all: in bits, as NLTK's BigramAssocMeasures.pmi; to 6 digits."""
    return round(math.log2(num_words * together) - math.log2(first * second), _DIGITS)


def piece_path(merge: Merge, kind: str, piece: int) -> str:
    return f"{merge.out}/{kind}/{piece:02d}.parquet"


def merge_first(piece: int, *, merge: Merge) -> int:
    """The piece's words, titles, and pairs by their first word."""
    arrow, compute = require("pyarrow", extra="data"), require("pyarrow.compute", extra="data")
    parts = _parts(piece, merge)
    words = sum_parts([f"{batch}.words.parquet" for batch in merge.batches], parts)
    _write(words, piece_path(merge, "words", piece))
    _write(_titles(parts, merge), piece_path(merge, "titles", piece))
    pairs = sum_parts([f"{batch}.pairs.parquet" for batch in merge.batches], parts)
    pairs = pairs.filter(compute.greater_equal(pairs["count"], merge.min_count_bigram))
    firsts = _counts_of(compute.replace_substring_regex(pairs["text"], " .*", ""), words)
    # a pair's second word is there as often as the pair at least, so its PMI is at most that of its first word
    best = compute.subtract(math.log2(max(1, merge.num_words)), compute.log2(firsts))
    pairs = pairs.append_column("first", firsts).filter(compute.greater_equal(best, merge.min_pmi - _SLACK))
    schema = arrow.schema([("text", arrow.string()), ("count", arrow.int64()), ("first", arrow.int64())])
    table = pairs.cast(schema)
    with whole_file(piece_path(merge, "pairs", piece)) as file, PartedFile(file, schema=schema) as parted:
        for start in range(0, table.num_rows, _ROWS_AT_ONCE):
            rows = table.slice(start, _ROWS_AT_ONCE)
            parted.add(rows, [part_of(second_word(text)) for text in rows["text"].to_pylist()])
    return piece


def merge_second(piece: int, *, merge: Merge) -> int:
    """The pairs of which the piece has the second word, scored."""
    arrow, compute = require("pyarrow", extra="data"), require("pyarrow.compute", extra="data")
    words = read_whole(piece_path(merge, "words", piece))
    found: dict[str, list[Any]] = {"text": [], "count": [], "pmi": []}
    for other in range(merge.num_pieces):
        pairs = read_parts(piece_path(merge, "pairs", other), _parts(piece, merge))
        seconds = _counts_of(compute.replace_substring_regex(pairs["text"], ".* ", ""), words)
        columns = (pairs["text"].to_pylist(), pairs["count"].to_pylist(), pairs["first"].to_pylist(), seconds.to_pylist())
        for text, together, first, second in zip(*columns, strict=True):
            score = pmi(together, first, second, merge.num_words)
            if score >= merge.min_pmi:
                for name, value in (("text", text), ("count", together), ("pmi", score)):
                    found[name].append(value)
    schema = arrow.schema([("text", arrow.string()), ("count", arrow.int64()), ("pmi", arrow.float64())])
    _write(arrow.table(found, schema=schema), piece_path(merge, "scored", piece))
    return piece


def read_whole(path: str) -> Any:
    """A table that `merge_first` or `merge_second` wrote."""
    parquet = require("pyarrow.parquet", extra="data")
    with open_file(path) as file:
        return parquet.read_table(file, use_threads=False)


def _parts(piece: int, merge: Merge) -> range:
    share = NUM_PARTS // merge.num_pieces
    return range(piece * share, (piece + 1) * share)


def _titles(parts: range, merge: Merge) -> Any:
    """Titles with views enough; where there is a dump, of its articles alone."""
    compute = require("pyarrow.compute", extra="data")
    views = sum_parts([f"{path}.titles.parquet" for path in merge.views], parts)
    views = views.filter(compute.greater_equal(views["count"], merge.min_views))
    if not merge.batches:
        return views
    titles = sum_parts([f"{batch}.titles.parquet" for batch in merge.batches], parts)
    return views.filter(compute.is_in(views["text"], value_set=titles["text"].combine_chunks()))


def _counts_of(texts: Any, words: Any) -> Any:
    """Each text's count."""
    compute = require("pyarrow.compute", extra="data")
    places = compute.index_in(texts, value_set=words["text"].combine_chunks())
    return words["count"].combine_chunks().take(places.combine_chunks())


def _write(table: Any, path: str) -> None:
    parquet = require("pyarrow.parquet", extra="data")
    with whole_file(path) as file:
        parquet.write_table(table, file, compression="zstd")
