"""The first half of the work, piece by piece in any process: pages or a page-view file in, files of counts and a record out.

work/dumps/0000-000012.{words,pairs,titles}.parquet   of a batch of a dump's pages
work/views/0003.titles.parquet                        of a page-view file
Beside each a .json, which appears last: what has it is finished.
"""

import json
from collections import Counter
from dataclasses import dataclass

from fullclip.core.config import from_dict, to_dict
from fullclip.core.folders import appeared, read_text, whole_file
from fullclip.data.building.queries.counts import write_counts
from fullclip.data.building.queries.markup import MarkupError, plain_text
from fullclip.data.building.queries.streams import Input, Stream
from fullclip.data.building.queries.titles import count_titles
from fullclip.data.building.queries.wikipedia import Page
from fullclip.data.building.queries.words import as_query, count_words, has_word
from fullclip.data.building.stage import Dropped
from fullclip.data.drops import Drops

_TITLES_AT_ONCE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Pages of a dump that follow one another; `hidden` as in `wikipedia.Dump`."""

    name: str
    path: str
    hidden: tuple[str, ...]
    pages: tuple[Page, ...]

    def __str__(self) -> str:
        return f"{self.path}, {self.pages[0].title!r} and what follows"


@dataclass(frozen=True, kw_only=True)
class ViewsFile:
    """A page-view file."""

    name: str
    path: str

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, kw_only=True)
class Record:
    """What became of a piece: articles that counted, their words, or titles; what was left out; of a whole file, what it was.
    num_batches: of a dump.
    """

    name: str
    num_pages: int = 0
    num_words: int = 0
    num_titles: int = 0
    num_batches: int = 0
    dropped: tuple[Dropped, ...] = ()
    input: Input | None = None


def count_batch(batch: Batch, *, work: str) -> Record:
    """Count a batch's words, pairs of words and titles."""
    words, pairs, titles, drops, num_pages = Counter[str](), Counter[str](), Counter[str](), Drops(), 0
    for page in batch.pages:
        title = as_query(page.title)
        if has_word(title):
            titles[title] += 1
        try:
            text = plain_text(page.text, batch.hidden)
        except MarkupError as error:
            drops.drop("page whose markup cannot be read", f"{batch.path.rpartition('/')[2]}: {page.title!r} ({error})")
            continue
        count_words(text, words, pairs)
        num_pages += 1
    for kind, counter in (("words", words), ("titles", titles)):
        with whole_file(f"{work}/dumps/{batch.name}.{kind}.parquet") as file:
            write_counts(file, iter([counter]))
    with whole_file(f"{work}/dumps/{batch.name}.pairs.parquet") as file:
        write_counts(file, iter([pairs]), by=first_word)
    record = Record(name=batch.name, num_pages=num_pages, num_words=words.total(), dropped=dropped_of(drops))
    write_record(f"{work}/dumps/{batch.name}.json", record)
    return record


def count_views(views: ViewsFile, *, work: str, language: str) -> Record:
    """Count the titles of a page-view file."""
    stream, drops = Stream(views.path), Drops()
    with whole_file(f"{work}/views/{views.name}.titles.parquet") as file:
        num_titles = write_counts(file, count_titles(stream, language, drops, at_once=_TITLES_AT_ONCE))
    record = Record(name=views.name, num_titles=num_titles, dropped=dropped_of(drops), input=stream.told())
    write_record(f"{work}/views/{views.name}.json", record)
    return record


def first_word(pair: str) -> str:
    return pair.partition(" ")[0]


def second_word(pair: str) -> str:
    return pair.partition(" ")[2]


def dropped_of(drops: Drops) -> tuple[Dropped, ...]:
    return tuple(
        Dropped(reason=reason, count=count, examples=tuple(drops.examples[reason]))
        for reason, count in sorted(drops.counts.items())
    )


def write_record(path: str, record: Record) -> None:
    with whole_file(path, "w") as file:
        json.dump(to_dict(record), file)


def read_record(path: str) -> Record | None:
    """The record, where it is there and whole."""
    if not appeared(path):
        return None
    try:
        return from_dict(Record, json.loads(read_text(path)))
    except (ValueError, AttributeError, TypeError):
        return None
