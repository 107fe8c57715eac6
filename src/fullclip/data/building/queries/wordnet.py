"""WordNet's synsets by their names, which are their first words: from its dictionary files (data.noun and so on), or WN-LMF.

WN-LMF is the XML that Open English WordNet and the package `wn` use.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fullclip.core.folders import names_in
from fullclip.core.storage import exists, is_folder, is_remote
from fullclip.data.building.queries.streams import Input, Stream
from fullclip.data.building.queries.words import as_query, has_word
from fullclip.data.building.queries.xml import BrokenError, Parsing
from fullclip.data.drops import Drops

DICTIONARY = ("data.adj", "data.adv", "data.noun", "data.verb")
_LINE = re.compile(rb"\d{8} \d\d [nvasr] [0-9a-f]{2} ([^ ]{1,500}) ")
_MARKER = re.compile(r"\((?:a|p|ip)\)$")  # where an adjective may stand
_MAX_LINE = 1 << 20
_MAX_ENTRIES = 10_000_000


def synset_files(paths: list[str]) -> list[str]:
    """The files that are meant: a folder stands for its dictionary files. ValueError where it has none."""
    found = list[str]()
    for path in paths:
        if not is_folder(path):
            if not exists(path):
                raise FileNotFoundError(f"{path}: there is no such file; give WordNet's folder, data.noun, or WN-LMF XML")
            found.append(path if is_remote(path) else str(Path(path).absolute()))
            continue
        names = [name for name in names_in(path) if name in DICTIONARY]
        if not names:
            raise ValueError(f"{path}: holds no WordNet dictionary ({', '.join(DICTIONARY)})")
        root = path.rstrip("/") if is_remote(path) else str(Path(path).absolute())
        found += [f"{root}/{name}" for name in names]
    return list(dict.fromkeys(found))


def count_synsets(paths: list[str], drops: Drops) -> tuple["Counter[str]", list[Input]]:
    """How many synsets have each name, as a query; and the files. ValueError where one is no WordNet."""
    counts, inputs = Counter[str](), list[Input]()
    for path in synset_files(paths):
        stream = Stream(path)
        lines = stream.name.startswith("data.")
        before = counts.total()
        for name in _dictionary(stream, drops) if lines else _lmf(stream, drops):
            query = as_query(name.replace("_", " "))
            if has_word(query):
                counts[query] += 1
            else:
                drops.drop("synset without a word", f"{stream.name}: {name[:100]!r}")
        if counts.total() == before:
            raise ValueError(f"{path}: no WordNet (no synset in it); give its folder, data.noun, or WN-LMF XML")
        inputs.append(stream.told())
    return counts, inputs


def _dictionary(stream: Stream, drops: Drops) -> Iterator[str]:
    """The first word of every line but the licence's, which begin with spaces."""
    for number, line in enumerate(stream.lines(_MAX_LINE), 1):
        if line.startswith(b"  ") or not line:
            continue
        found = _LINE.match(line)
        try:
            name = found[1].decode() if found else None
        except UnicodeDecodeError:
            name = None
        if name is None:
            drops.drop("malformed line of WordNet", f"{stream.name}:{number}")
        else:
            yield _MARKER.sub("", name)
    if stream.torn:
        drops.drop("rest of a torn WordNet", f"{stream.name}: {stream.torn}")


class _Lexicon:
    """What WN-LMF says of words and synsets, as it comes."""

    def __init__(self) -> None:
        self._entry = ""
        self._lemmas: dict[str, str] = {}
        self._first: dict[str, str] = {}  # synset -> the first word in the file that has it
        self.names: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "LexicalEntry":
            self._entry = attributes.get("id", "")
        elif name == "Lemma":
            self._lemmas[self._entry] = attributes.get("writtenForm", "")
        elif name == "Sense":
            self._first.setdefault(attributes.get("synset", ""), self._entry)
        elif name == "Synset":
            members = [one for one in attributes.get("members", "").split() if one in self._lemmas]
            first = members[0] if members else self._first.get(attributes.get("id", ""), "")
            if first in self._lemmas:  # a synset of which this language has no word has no name
                self.names.append(self._lemmas[first])
        if len(self._lemmas) > _MAX_ENTRIES or len(self._first) > _MAX_ENTRIES:
            raise BrokenError(f"more than {_MAX_ENTRIES:,} words")

    def ignore(self, _: str) -> None:
        """Texts and ends say nothing of names."""


def _lmf(stream: Stream, drops: Drops) -> Iterator[str]:
    lexicon = _Lexicon()
    parsing = Parsing(stream, root="LexicalResource", start=lexicon.start, end=lexicon.ignore, characters=lexicon.ignore)
    for _ in parsing:
        yield from lexicon.names
        lexicon.names.clear()
    if parsing.problem:
        drops.drop("rest of a torn WordNet", f"{stream.name}: {parsing.problem}")
