"""Classes in many words: own names, kinds, meanings, in plain English."""

import pytest
from class_texts import DEFINITIONS, PHRASES, ClassTexts, with_article
from wordnet import WordNet

from nouns import write_wordnet


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return ClassTexts(WordNet.read(write_wordnet(tmp_path_factory.mktemp("wordnet"))))


@pytest.mark.parametrize(
    "said",
    ["a dog", "an owl", "an hourglass", "a house", "a unicycle", "an umbrella", "a uniform", "an unimportant thing", "an ear",
     "a used car", "an usher", "a European fire salamander", "an Egyptian cat", "an iPod", "a CD player", "an ATM", "an X-ray",
     "a T-shirt", "an SUV", "a ewe", "a one-armed bandit", "an onion", "a utensil", "an oxcart", "an L", "a Labrador"],
)  # fmt: skip
def test_the_article_follows_the_sound(said):
    assert with_article(said.partition(" ")[2]) == said


def test_a_sports_car_is_said_to_be_an_automobile(texts):
    captions = texts.captions("n04285008")
    assert captions[:2] == ("sports car", "sport car")
    assert "a sports car, a kind of car" in captions
    words = " / ".join(captions)
    assert all(said in words for said in ("of a car", "an auto ", "an automobile", "vehicle"))
    assert "machine" not in words  # for most people, a machine is something else
    assert "container" not in words  # though WordNet has it above wheeled vehicles
    assert "artifact" not in words
    assert "a small low car with a high-powered engine; usually seats two persons" in captions


def test_half_are_names_and_the_rest_are_kinds_and_meanings(texts):
    for wnid in ("n04285008", "n01443537", "n07747607", "n02841315", "n02823428"):
        captions = texts.captions(wnid)
        assert len(captions) == len(set(captions))
        assert 17 <= len(captions) <= 24
        glossed = [text for text in captions if texts._wordnet[wnid].gloss in text]
        assert len(captions) / 5 <= len(glossed) <= len(captions) / 3
        own = [text for text in captions if text not in glossed and any(name in text for name in texts._wordnet[wnid].lemmas)]
        assert len(captions) * 0.45 <= len(own) <= len(captions) * 0.75


def test_turns_take_all_phrases_and_sentences(texts):
    said = [texts.captions("n02823428", turn=turn) for turn in range(len(PHRASES))]
    together = {text for captions in said for text in captions}
    assert {phrase.format("a beer bottle") for phrase in PHRASES} <= together
    gloss = "a bottle that holds beer"
    filled = {form.format(gloss=gloss, name="beer bottle", a_name="a beer bottle") for form in DEFINITIONS}
    assert filled <= together
    assert len({len(captions) for captions in said}) == 1
    assert said[0] != said[1]
    assert texts.captions("n02823428") == said[0]


def test_biologists_names_and_strange_ones_are_only_said_bare(texts):
    captions = texts.captions("n01443537")
    assert texts.names(texts._wordnet["n01443537"]) == (["goldfish"], ["Carassius auratus"])
    assert "Carassius auratus" in captions
    assert not any(phrase.format("Carassius auratus") in captions for phrase in PHRASES)
    assert not any("a Carassius" in text for text in captions)
    assert texts.names(texts._wordnet["n02958343"])[1] == ["machine"]


def test_plurals_have_no_article_and_food_has_both(texts):
    captions = " / ".join(texts.captions("n02841315"))
    assert "a photo of binoculars" in captions
    assert "field glasses" in captions
    assert not any(f"a {name}" in captions for name in ("binoculars", "field glasses", "opera glasses"))
    captions = " / ".join(texts.captions("n07747607"))
    assert "of orange" in captions
    assert "of an orange" in captions


def test_what_is_too_general_is_no_kind(texts):
    assert [name for _, name in texts.hypernyms("n03699975")] == []  # a device: what it is good for, not how it looks
    assert [name for _, name in texts.hypernyms("n02823428")] == ["bottle", "container"]
    captions = texts.captions("n03699975")
    assert not any("kind of" in text for text in captions)


def test_what_has_too_many_kinds_is_no_kind(texts, monkeypatch):
    kinds = texts._wordnet.num_below("n03094503")
    monkeypatch.setattr("class_texts.MAX_BELOW", kinds - 1)
    assert [name for _, name in texts.hypernyms("n02823428")] == ["bottle"]
    monkeypatch.setattr("class_texts.MAX_BELOW", kinds)
    assert [name for _, name in texts.hypernyms("n02823428")] == ["bottle", "container"]
