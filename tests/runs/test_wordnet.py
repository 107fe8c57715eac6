"""WordNet's nouns: what the files say, and what the graph says, against a naive walk."""

import random
import re

import pytest
from wordnet import WordNet, parse_index, parse_synset, split_gloss

from nouns import NOUNS, Noun, write_wordnet

# A line as WordNet 3.0 has it.
SPORTS_CAR = (
    "04285008 06 n 02 sports_car 0 sport_car 0 004 @ 02958343 n 0000 %p 02670683 n 0000 %p 02687992 n 0000 + 10632576 n 0101"
    " | a small low car with a high-powered engine; usually seats two persons  "
)


@pytest.fixture(scope="module")
def wordnet(tmp_path_factory):
    return WordNet.read(write_wordnet(tmp_path_factory.mktemp("wordnet")))


def test_a_line_gives_its_words_meaning_and_what_it_is_a_kind_of():
    synset = parse_synset(SPORTS_CAR)
    assert synset.wnid == "n04285008"
    assert synset.lemmas == ("sports car", "sport car")
    assert synset.gloss == "a small low car with a high-powered engine; usually seats two persons"
    assert (synset.hypernyms, synset.examples, synset.file) == (("n02958343",), (), "06")


@pytest.mark.parametrize(
    ("gloss", "definition", "examples"),
    [
        ("a new thing", "a new thing", ()),
        ('a car; with wheels; "he needs a car"; "the car"', "a car; with wheels", ("he needs a car", "the car")),
        ('progress (in the phrase "make strides"); "big strides"', 'progress (in the phrase "make strides")', ("big strides",)),
        ('a stage; "All the world\'s a stage"--Shakespeare; "a set"', "a stage", ("All the world's a stage", "a set")),
        ('a full range: "a gamut of emotions"', "a full range", ("a gamut of emotions",)),
        ('a torn one; "it never ends', "a torn one", ("it never ends",)),
    ],
)
def test_a_gloss_is_a_definition_and_its_examples(gloss, definition, examples):
    assert split_gloss(f" {gloss}  ") == (definition, examples)


def test_all_nouns_come_in_the_order_of_the_file(wordnet):
    assert [synset.wnid for synset in wordnet] == [noun.wnid for noun in NOUNS]
    assert len(wordnet) == len(NOUNS)
    assert [" ".join(lemma.replace(" ", "_") for lemma in synset.lemmas) for synset in wordnet] == [
        noun.lemmas for noun in NOUNS
    ]


def test_a_word_knows_its_senses_the_most_frequent_first(wordnet):
    assert wordnet.senses("Machine") == ("n03699975", "n02958343")
    assert wordnet.senses("nothing of the kind") == ()
    assert wordnet.is_tagged("machine", "n03699975")
    assert not wordnet.is_tagged("machine", "n02958343")


def test_the_graph_is_what_a_naive_walk_finds(tmp_path):
    chance = random.Random(7)
    names = [f"n{number:08d}" for number in range(1, 61)]
    above = {name: tuple(chance.sample(names[:i], min(i, chance.randint(1, 3)))) for i, name in enumerate(names)}
    nouns = tuple(Noun(name, "03", f"word{name}", f"meaning of {name}", above[name]) for name in names)
    wordnet = WordNet.read(write_wordnet(tmp_path, nouns))

    def higher(name):
        return {name}.union(*(higher(up) for up in above[name]))

    def shortest(name):
        return 1 + min(map(shortest, above[name])) if above[name] else 0

    for name in names:
        found = [synset.wnid for synset in wordnet.ancestors(name)]
        assert len(found) == len(set(found))
        assert {name, *found} == higher(name)
        assert wordnet.depth(name) == shortest(name)
        assert wordnet.num_below(name) == sum(name in higher(other) for other in names) - 1
        assert tuple(found[: len(above[name])]) == above[name]  # the nearest first


def test_words_are_counted_in_the_definitions(wordnet):
    glosses = " / ".join(synset.gloss for synset in wordnet).lower()
    for said in ("object", "a", "high-powered engine", "any of several", "car", "needs"):
        assert wordnet.frequency(said) == len(re.findall(rf"(?<![\w-]){said}(?![\w-])", glosses)), said


@pytest.mark.parametrize(
    "line", ["", "no synset", "04285008 06 v 02 run 0 000 | to run", "0428 06 n 01 car 0 000 | a car", "x n"]
)
def test_a_line_that_is_no_noun_is_refused(line):
    with pytest.raises(ValueError, match="no noun"):
        parse_synset(line)
    with pytest.raises(ValueError, match="no noun"):
        parse_index(line)


def test_files_that_are_missing_or_damaged_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"data\.noun is not there; install Debian's wordnet-base"):
        WordNet.read(tmp_path)
    folder = write_wordnet(tmp_path)
    index = folder / "index.noun"
    index.write_text(index.read_text(encoding="utf-8") + "bottle n 5 2 @ ~\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"index\.noun: damaged \(no noun: bottle n 5 2 @ ~\)"):
        WordNet.read(folder)
    data = folder / "data.noun"
    data.write_bytes(data.read_bytes()[:-90])
    with pytest.raises(ValueError, match=r"data\.noun: damaged \(no noun: 02841315"):
        WordNet.read(folder)


def test_an_unknown_wnid_says_what_one_looks_like(wordnet):
    with pytest.raises(ValueError, match="no noun 'sports car'; a wnid is n and the 8 digits"):
        wordnet["sports car"]
