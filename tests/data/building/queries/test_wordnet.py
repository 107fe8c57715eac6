"""WordNet's names of synsets: its dictionary, WN-LMF, and what is neither."""

import lzma
import os
from pathlib import Path

import pytest

from fullclip.data.building.queries.wordnet import count_synsets
from fullclip.data.drops import Drops
from wikis import write_dictionary

REAL = Path(os.environ.get("FULLCLIP_WORDNET", "/usr/share/wordnet"))
LMF = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE LexicalResource SYSTEM "http://globalwordnet.github.io/schemas/WN-LMF-1.1.dtd">
<LexicalResource><Lexicon id="x" language="en">
<LexicalEntry id="e1"><Lemma writtenForm="hound" partOfSpeech="n"/><Sense id="s1" synset="y1"/></LexicalEntry>
<LexicalEntry id="e2"><Lemma writtenForm="Domestic dog" partOfSpeech="n"/>
<Sense id="s2" synset="y1"/><Sense id="s3" synset="y2"/></LexicalEntry>
<Synset id="y1" members="e2 e1"><Definition>a dog</Definition></Synset><Synset id="y2"/><Synset id="y3"/>
</Lexicon></LexicalResource>"""


def test_the_first_word_of_every_synset(tmp_path):
    folder = write_dictionary(tmp_path, ["dog domestic_dog", "frump dog", "Dog", "St._John's", "e'er"])
    write_dictionary(tmp_path, ["galore(ip)", "good(a) well", "'hood"], name="data.adj")
    (tmp_path / "index.noun").write_text("dog n 1\n")
    counts, inputs = count_synsets([folder], Drops(strict=True))
    assert counts == {"dog": 2, "frump": 1, "st. john's": 1, "e'er": 1, "galore": 1, "good": 1, "'hood": 1}
    assert [one.name for one in inputs] == ["data.adj", "data.noun"]


@pytest.mark.parametrize("ending", ["xml", "xml.xz"])
def test_wn_lmf(tmp_path, ending):
    path = tmp_path / f"en.{ending}"
    path.write_bytes(lzma.compress(LMF.encode()) if ending.endswith("xz") else LMF.encode())
    assert count_synsets([str(path)], Drops(strict=True))[0] == {"domestic dog": 2}


@pytest.mark.faults
def test_broken_lines_are_counted(tmp_path):
    write_dictionary(tmp_path, ["dog"])
    with (tmp_path / "data.noun").open("ab") as file:
        file.write(b"nonsense\n00000009 03 n 01 \xff\xfe 0 000 | x\n00000010 03 n 01 - 0 000 | x\n" + b"9" * 3_000_000)
    drops = Drops()
    assert count_synsets([str(tmp_path)], drops)[0] == {"dog": 1}
    assert drops.counts == {"malformed line of WordNet": 3, "synset without a word": 1}


@pytest.mark.faults
def test_torn_xml_counts_as_far_as_it_goes(tmp_path):
    (tmp_path / "a.xml").write_text(LMF.partition("<Synset id='y2'")[0].partition('<Synset id="y2"')[0])
    drops = Drops()
    assert count_synsets([str(tmp_path / "a.xml")], drops)[0] == {"domestic dog": 1}
    assert drops.counts == {"rest of a torn WordNet": 1}


@pytest.mark.faults
@pytest.mark.parametrize("name", ["data.noun", "a.xml"])
def test_another_file_is_one_line(tmp_path, name):
    (tmp_path / name).write_text("<html>")
    with pytest.raises(ValueError, match=f"{name}: no WordNet"):
        count_synsets([str(tmp_path / name)], Drops())


def test_a_folder_without_a_dictionary(tmp_path):
    with pytest.raises(ValueError, match=r"holds no WordNet dictionary \(data.adj"):
        count_synsets([str(tmp_path)], Drops())


@pytest.mark.skipif(not (REAL / "data.noun").exists(), reason="WordNet is not there: apt-get install wordnet-base")
def test_wordnet_itself():
    """117,659 synsets (wnstats(7WN) of WordNet 3.0). MetaCLIP (Xu et al. 2024, table 1) counts 86,654: their names, which it
    cuts at the first dot, and the numbers from 0 to 99.
    """
    counts, _ = count_synsets([str(REAL)], Drops(strict=True))
    assert counts.total() == 117_659
    cut = {name.partition(".")[0] for name in counts} - {""}
    assert len(cut | {str(number) for number in range(100)}) == 86_654
