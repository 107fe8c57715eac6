"""A small WordNet in the files of the real one, made from the few things that are written down here."""

from pathlib import Path
from typing import NamedTuple


class Noun(NamedTuple):
    """One synset. `tagged`: its lemmas whose sense the counts know."""

    wnid: str
    file: str
    lemmas: str
    gloss: str
    above: tuple[str, ...] = ()
    tagged: tuple[str, ...] = ()


LICENCE = "  1 This software and database is being provided to you, the LICENSEE, by Princeton University  \n"

# Facts of WordNet 3.0, with fewer steps in between. The order is that of each word's senses.
NOUNS = (
    Noun("n00001740", "03", "entity", "that which is perceived to have its own distinct existence (living or nonliving)"),
    Noun("n00001930", "03", "physical_entity", "an entity that has physical existence", ("n00001740",)),
    Noun("n00002684", "03", "object", "a tangible and visible entity", ("n00001930",), ("object",)),
    Noun("n00003553", "03", "whole", "an assemblage of parts that is regarded as a single entity", ("n00002684",)),
    Noun("n00021939", "03", "artifact artefact", "a man-made object taken as a whole", ("n00002684",), ("artifact",)),
    Noun("n03183080", "06", "device", 'an instrumentality; "the device is small"', ("n00021939",), ("device",)),
    Noun("n04524313", "06", "vehicle", "a conveyance that transports people", ("n00021939",), ("vehicle",)),
    Noun("n03094503", "06", "container", "any object that can be used to hold things", ("n00021939",), ("container",)),
    Noun("n04576211", "06", "wheeled_vehicle", "a vehicle that moves on wheels", ("n03094503", "n04524313")),
    Noun("n02958343", "06", "car auto automobile machine motorcar", "a motor vehicle with four wheels; usually propelled by an "
         'internal combustion engine; "he needs a car to get to work"', ("n04576211",), ("car", "auto", "automobile")),
    Noun("n04285008", "06", "sports_car sport_car", "a small low car with a high-powered engine; usually seats two persons",
         ("n02958343",), ("sports_car",)),
    Noun("n03699975", "06", "machine", "any mechanical or electrical device", ("n03183080",), ("machine",)),
    Noun("n02876657", "06", "bottle", "a glass or plastic vessel used for storing drinks", ("n03094503",), ("bottle",)),
    Noun("n02823428", "06", "beer_bottle", "a bottle that holds beer", ("n02876657",)),
    Noun("n00015388", "03", "animal beast", "a living thing that moves of its own will", ("n00003553",), ("animal",)),
    Noun("n02512053", "05", "fish", "any of various mostly cold-blooded aquatic vertebrates", ("n00015388",), ("fish",)),
    Noun("n01443537", "05", "goldfish Carassius_auratus", "small golden or orange-red freshwater fishes", ("n02512053",)),
    Noun("n01439121", "05", "Carassius genus_Carassius", "a genus of fishes", ("n00015388",)),
    Noun("n07705931", "13", "edible_fruit", "edible reproductive body of a seed plant", ("n00003553",)),
    Noun("n07747607", "13", "orange", "round yellow to orange fruit of any of several citrus trees", ("n07705931",)),
    Noun("n04272054", "06", "glass", "a brittle transparent object", ("n00021939",), ("glass",)),
    Noun("n02841315", "06", "binoculars field_glasses opera_glasses",
         "an optical instrument designed for simultaneous use by both eyes", ("n00021939",)),
)  # fmt: skip


def write_wordnet(folder: Path, nouns: tuple[Noun, ...] = NOUNS) -> Path:
    """data.noun and index.noun as wndb(5WN) has them; the folder comes back."""
    folder.mkdir(parents=True, exist_ok=True)
    data, senses = [], dict[str, list[str]]()
    for noun in nouns:
        lemmas = noun.lemmas.split()
        pointers = [("@", above) for above in noun.above] + [("~", one.wnid) for one in nouns if noun.wnid in one.above]
        words = " ".join(f"{lemma} 0" for lemma in lemmas)
        links = "".join(f" {symbol} {wnid[1:]} n 0000" for symbol, wnid in pointers)
        data.append(f"{noun.wnid[1:]} {noun.file} n {len(lemmas):02x} {words} {len(pointers):03d}{links} | {noun.gloss}  \n")
        for lemma in lemmas:
            senses.setdefault(lemma.lower(), []).append(noun.wnid)
    index = []
    by_wnid = {noun.wnid: noun for noun in nouns}
    for lemma in sorted(senses):
        # a word's tagged senses are its first
        found = sorted(senses[lemma], key=lambda wnid: lemma not in map(str.lower, by_wnid[wnid].tagged))
        num_tagged = sum(lemma in map(str.lower, by_wnid[wnid].tagged) for wnid in found)
        offsets = " ".join(wnid[1:] for wnid in found)
        index.append(f"{lemma} n {len(found)} 2 @ ~ {len(found)} {num_tagged} {offsets}  \n")
    (folder / "data.noun").write_text(LICENCE + "".join(data), encoding="utf-8")
    (folder / "index.noun").write_text(LICENCE + "".join(index), encoding="utf-8")
    return folder
