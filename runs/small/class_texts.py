"""A class of pictures in many words: a noun synset in, the captions of its pictures out.

Half of the captions are the class's own names, a quarter what it is a kind of, a quarter what it means, so that a class that is
only ever labelled "sports car" teaches "automobile", too. Knows nothing of pictures.
"""

import re
from itertools import cycle, islice

from wordnet import Synset, WordNet

# Said of a name with its article.
PHRASES = (
    "a photo of {}", "a small picture of {}", "a blurry photo of {}", "a close-up of {}", "a cropped photo of {}",
    "{} in the picture", "a low-resolution image of {}", "a good photo of {}", "this is {}", "a bright photo of {}",
    "a dark photo of {}", "an image showing {}", "a snapshot of {}",
)  # fmt: skip
# Said of a definition.
DEFINITIONS = ("{gloss}", "{name}: {gloss}", "{a_name}, {gloss}", "a photo of {a_name}, {gloss}", "{name} ({gloss})")
NUM_OWN, NUM_HIGHER, NUM_GLOSSES = 12, 6, 6

# A hypernym is named where it is concrete: at least this many steps below `entity`, with at most so many kinds below itself
# (`animal` has 4,016, `instrumentality` 5,516), and called by what it looks like more than by what it is good for.
MIN_DEPTH, MAX_BELOW = 4, 4_100
ABSTRACT = frozenset({
    "device", "implement", "equipment", "instrument", "mechanism", "product", "system", "connection", "medium", "protection",
    "commodity", "creation", "covering", "structure", "construction", "article", "consumer goods", "durable goods", "support",
    "ingredient", "nutriment", "nourishment", "sustenance", "establishment", "obstruction", "barrier", "restraint", "work",
    "natural object", "fluid", "liquid", "solid", "matter", "produce", "foodstuff", "plant part", "plant organ", "weight",
    "protective covering", "conveyance", "transport", "production", "place of business", "mechanical device", "attachment",
    "bond", "shelter", "reproductive structure", "course", "part", "machine", "craft", "web", "entanglement", "housing",
    "electronic equipment", "peripheral", "publication", "press", "structural member", "furnishing", "piece of work",
    "placental", "teleost", "constraint", "ligament", "connective", "nutrition", "upright", "ware", "chordate", "fixing",
})  # fmt: skip
# A word that no text was tagged with is an everyday one where so many definitions use it.
MIN_FREQUENCY = 5

_VOWEL = re.compile(r"[aeiou]|hour|honest|heir")
_NO_VOWEL_SOUND = re.compile(r"uni(?!n|m)|us[aeu]|eu|ewe\b|one\b|once\b|ukul|ut[ei]|ubi|uran|urin")
_SPELT = re.compile(r"[A-Z](?:[A-Z]|[ -]|$)")  # letter by letter
# No article: what is not counted. Plurals are found by rule.
UNCOUNTED = frozenset({
    "clothing", "furniture", "cattle", "tableware", "footwear", "headgear", "outerwear", "neckwear", "cutlery", "bread",
    "hosiery", "cookware", "kitchenware", "swine", "poultry", "wildlife", "luggage", "baggage", "jewelry", "coral",
    "waterfowl", "sports equipment", "public transport", "binoculars", "cows", "oxen",
})  # fmt: skip
FOOD, SUBSTANCE, ANIMAL, PLANT = "13", "27", "05", "20"


def with_article(name: str) -> str:
    """`a dog`, `an owl`, `a unicycle`, `an X-ray`."""
    if _SPELT.match(name):
        return f"{'an' if name[0] in 'AEFHILMNORSX' else 'a'} {name}"
    vowel = _VOWEL.match(name.lower()) and not _NO_VOWEL_SOUND.match(name.lower())
    return f"{'an' if vowel else 'a'} {name}"


class ClassTexts:
    """The captions of classes, by the words of one WordNet."""

    def __init__(self, wordnet: WordNet) -> None:
        self._wordnet = wordnet

    def captions(self, wnid: str, *, turn: int = 0) -> tuple[str, ...]:
        """About 24 texts, each once; another turn takes other phrases, so that classes together are said in all of them."""
        synset = self._wordnet[wnid]
        names, quiet = self.names(synset)
        own = [*names, *quiet]
        phrased = self._phrased(synset, names, count=max(NUM_OWN - len(own), len(names)), turn=turn)
        num_others = max(NUM_HIGHER, (len(own) + len(phrased)) // 2)
        higher = self.hypernyms(wnid)[: num_others - 1]
        kinds = [f"{self._spoken(synset, names[0])}, a kind of {higher[0][1]}"] if higher else []
        for number, (above, name) in enumerate(higher):
            kinds += self._phrased(above, [name], count=1, turn=turn + number)
        turned = islice(cycle(DEFINITIONS), turn % len(DEFINITIONS), None)
        glosses = [
            sentence.format(gloss=synset.gloss, name=name, a_name=self._spoken(synset, name))
            for name, sentence in islice(zip(cycle(own), turned, strict=False), num_others)
        ]
        return tuple(dict.fromkeys([*own, *phrased, *kinds, *glosses]))

    def names(self, synset: Synset) -> tuple[list[str], list[str]]:
        """What it is called in phrases, and what is only said bare: biologists' names, words that mostly mean another thing."""
        quiet = [
            lemma
            for number, lemma in enumerate(synset.lemmas)
            if self._is_scientific(lemma, synset)
            or (
                number
                and synset.wnid not in self._wordnet.senses(lemma)[:1]
                and not self._wordnet.is_tagged(lemma, synset.wnid)
            )
        ]
        names = [lemma for lemma in synset.lemmas if lemma not in quiet]
        return (names, quiet) if names else (quiet, [])

    def hypernyms(self, wnid: str) -> list[tuple[Synset, str]]:
        """The concrete ones with their everyday names, the most telling first.

        First up to three names of the nearest, then one of each other by how often definitions use it.
        """
        own = {lemma.lower() for lemma in self._wordnet[wnid].lemmas}
        concrete = [(above, self._everyday(above)) for above in self._wordnet.ancestors(wnid) if self._is_concrete(above)]
        if any("vehicle" in names for _, names in concrete):
            own.add("container")  # for WordNet a wheeled vehicle is both
        named = [(above, new) for above, names in concrete if (new := [name for name in names if name.lower() not in own])]
        if not named:
            return []
        nearest = [(named[0][0], name) for name in named[0][1][:3]]
        others = sorted(named[1:], key=lambda item: -self._wordnet.frequency(item[1][0]))
        by_name = {name: above for above, name in reversed([*nearest, *((above, names[0]) for above, names in others)])}
        return [(above, name) for name, above in reversed(by_name.items())]

    def _is_scientific(self, lemma: str, synset: Synset) -> bool:
        first, _, rest = lemma.partition(" ")
        binomial = synset.file in (ANIMAL, PLANT) and rest and first[0].isupper()
        return bool(binomial and self._wordnet.senses(f"genus {first}"))

    def _is_concrete(self, synset: Synset) -> bool:
        wnid = synset.wnid
        return self._wordnet.depth(wnid) >= MIN_DEPTH and self._wordnet.num_below(wnid) <= MAX_BELOW

    def _everyday(self, synset: Synset) -> list[str]:
        """The lemmas that tagged texts use in this sense, or that many definitions use and that mean this first or second."""
        return [
            lemma
            for lemma in synset.lemmas
            if lemma not in ABSTRACT and not self._is_scientific(lemma, synset) and self._is_common(lemma, synset.wnid)
        ]

    def _is_common(self, lemma: str, wnid: str) -> bool:
        often = self._wordnet.frequency(lemma) >= MIN_FREQUENCY
        return self._wordnet.is_tagged(lemma, wnid) or (often and wnid in self._wordnet.senses(lemma)[:2])

    def _is_plural(self, name: str) -> bool:
        word = name.partition(" of ")[0].rpartition(" ")[2].lower()
        if not word.endswith("s") or word.endswith(("ss", "us", "is")):
            return False
        single = word[:-2] if word.endswith(("sses", "ches", "shes", "xes", "zes")) else word[:-1]
        return bool(self._wordnet.senses(single))

    def _spoken(self, synset: Synset, name: str) -> str:
        bare = name in UNCOUNTED or self._is_plural(name) or self._is_scientific(name, synset)
        return name if bare else with_article(name)

    def _phrased(self, synset: Synset, names: list[str], *, count: int, turn: int) -> list[str]:
        """Names and phrases in turn. Food and substances are said with an article and without."""
        texts = []
        for number in range(count):
            name, phrase = names[number % len(names)], PHRASES[(turn + number) % len(PHRASES)]
            bare = synset.file in (FOOD, SUBSTANCE) and number // len(names) % 2 == 0
            texts.append(phrase.format(name if bare else self._spoken(synset, name)))
        return texts
