"""WordNet's nouns: the files data.noun and index.noun in, sets of synonyms out. Knows nothing of pictures or prompts.

The format is that of WordNet 3.0 (manual pages wndb(5WN) and wninput(5WN)), whose offsets are the numbers in ImageNet's wnids.

    apt-get install wordnet-base          # /usr/share/wordnet
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

HYPERNYMS = ("@", "@i")  # a kind of, an instance of


@dataclass(frozen=True, kw_only=True)
class Synset:
    """Nouns that mean the same, the most usual first; what they mean, and what it is a kind (or an instance) of.

    file: the number of the lexicographers' file, which says the topic (05 animals, 06 artifacts, 13 food, 20 plants ...).
    """

    wnid: str
    lemmas: tuple[str, ...]
    gloss: str
    examples: tuple[str, ...]
    hypernyms: tuple[str, ...]
    file: str


def wnid_of(offset: str | int) -> str:
    """ImageNet's name for the noun synset at an offset of data.noun: 1443537 is n01443537."""
    return f"n{int(offset):08d}"


def split_gloss(gloss: str) -> tuple[str, tuple[str, ...]]:
    """The definition, and the quoted texts after it that show the word in use. A quotation in brackets is the definition's."""
    gloss = gloss.strip()
    marks = (found for found in re.finditer(r'(?:^|[;:,]\s*)(?=")', gloss))
    start = next(
        (mark.start() for mark in marks if gloss.count("(", 0, mark.start()) == gloss.count(")", 0, mark.start())), None
    )
    quoted = re.findall(r'"([^"]+)"?', gloss[start:]) if start is not None else []
    return gloss[:start].strip(" ;:"), tuple(text.strip() for text in quoted if re.search(r"\w", text))


def parse_synset(line: str) -> Synset:
    """One line of data.noun; ValueError where it is none."""
    fields, bar, gloss = line.partition("|")
    if not bar or not re.match(r"\d{8} \d\d n [0-9a-f]{2} \S", fields):
        raise ValueError(f"no noun: {line[:60].rstrip()}")
    offset, file, _, num_lemmas, *rest = fields.split()
    count = 2 * int(num_lemmas, 16)
    pointers = rest[count + 1 :]
    definition, examples = split_gloss(gloss)
    return Synset(
        wnid=wnid_of(offset),
        lemmas=tuple(lemma.replace("_", " ") for lemma in rest[:count:2]),
        gloss=definition,
        examples=examples,
        hypernyms=tuple(
            wnid_of(target)
            for symbol, target, part in zip(pointers[::4], pointers[1::4], pointers[2::4], strict=False)
            if symbol in HYPERNYMS and part == "n"
        ),
        file=file,
    )


def parse_index(line: str) -> tuple[str, tuple[str, ...], int]:
    """One line of index.noun: a word in small letters, the wnids of its senses, and how many of them are tagged."""
    fields = line.split()
    if len(fields) < 7 or fields[1] != "n" or not 0 < int(fields[2]) <= len(fields) - 6:
        raise ValueError(f"no noun: {line[:60].rstrip()}")
    num_senses = int(fields[2])
    return fields[0].replace("_", " "), tuple(map(wnid_of, fields[-num_senses:])), int(fields[-num_senses - 1])


class WordNet:
    """All noun synsets, by wnid, and the questions that are asked of the whole."""

    def __init__(self, synsets: Mapping[str, Synset], senses: Mapping[str, tuple[str, ...]], tagged: Mapping[str, int]) -> None:
        self._synsets, self._senses, self._tagged = synsets, senses, tagged

    @classmethod
    def read(cls, folder: str | Path) -> "WordNet":
        """The nouns in a folder that has data.noun and index.noun. ValueError with the file where one is missing or broken."""
        data, index = Path(folder) / "data.noun", Path(folder) / "index.noun"
        for file in (data, index):
            if not file.is_file():
                raise ValueError(
                    f"{file} is not there; install Debian's wordnet-base, or give the folder of WordNet 3.0's files"
                )
        senses, tagged, file = dict[str, tuple[str, ...]](), dict[str, int](), data
        try:
            synsets = {synset.wnid: synset for synset in map(parse_synset, _lines(data))}
            file = index
            for line in _lines(index):
                lemma, found, tagged_senses = parse_index(line)
                senses[lemma], tagged[lemma] = found, tagged_senses
        except ValueError as error:
            raise ValueError(f"{file}: damaged ({error}); install wordnet-base again") from None
        return cls(synsets, senses, tagged)

    def __len__(self) -> int:
        return len(self._synsets)

    def __iter__(self) -> Iterator[Synset]:
        """All of them, in the order of data.noun."""
        return iter(self._synsets.values())

    def __contains__(self, wnid: object) -> bool:
        return wnid in self._synsets

    def __getitem__(self, wnid: str) -> Synset:
        if wnid not in self._synsets:
            raise ValueError(
                f"WordNet has no noun {wnid!r}; a wnid is n and the 8 digits of an offset in WordNet 3.0's data.noun"
            )
        return self._synsets[wnid]

    def senses(self, lemma: str) -> tuple[str, ...]:
        """The wnids of what a word can mean, the most frequent first; none where it is no noun."""
        return self._senses.get(lemma.lower(), ())

    def is_tagged(self, lemma: str, wnid: str) -> bool:
        """Whether the texts that were tagged for WordNet's counts use the word in this sense."""
        return wnid in self.senses(lemma)[: self._tagged.get(lemma.lower(), 0)]

    def ancestors(self, wnid: str) -> list[Synset]:
        """All that a synset is a kind of, the nearest first, `entity` last."""
        found, level = dict[str, None](), [wnid]
        while level:
            level = [
                name for name in dict.fromkeys(above for name in level for above in self[name].hypernyms) if name not in found
            ]
            found |= dict.fromkeys(level)
        return [self[name] for name in found]

    def depth(self, wnid: str) -> int:
        """Steps up to `entity` by the shortest way."""
        level, steps = {wnid}, 0
        while all(self[name].hypernyms for name in level):
            level, steps = {higher for name in level for higher in self[name].hypernyms}, steps + 1
        return steps

    def num_below(self, wnid: str) -> int:
        """How many kinds, kinds of kinds and instances it has."""
        found, waiting = set[str](), [wnid]
        while waiting:
            new = self._hyponyms.get(waiting.pop(), set()) - found
            found |= new
            waiting.extend(new)
        return len(found)

    def frequency(self, lemma: str) -> int:
        """How often a word (or up to three) stands in the definitions of all nouns."""
        return self._spoken[lemma.lower()]

    @cached_property
    def _hyponyms(self) -> dict[str, set[str]]:
        below = defaultdict[str, set[str]](set)
        for synset in self:
            for higher in synset.hypernyms:
                below[higher].add(synset.wnid)
        return dict(below)

    @cached_property
    def _spoken(self) -> Counter[str]:
        counts = Counter[str]()
        for synset in self:
            words = re.findall(r"[^\W\d_]+(?:[-'][^\W\d_]+)*", synset.gloss.lower())
            counts.update(" ".join(words[i : i + n]) for n in (1, 2, 3) for i in range(len(words) - n + 1))
        return counts


def _lines(file: Path) -> list[str]:
    """The lines of a WordNet file after its licence, whose lines are indented."""
    return [line for line in file.read_text(encoding="utf-8").splitlines() if line and not line.startswith("  ")]
