"""A vocabulary of one's own: it says every string that CLIP's says, and its merges are the most frequent pairs."""

import json
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st
from vocabulary import learn, main

from fullclip.preprocess.tokenizer import Tokenizer

TEXTS = [
    "A photo of a dog, and another photograph of the same dog.", "the cat's whiskers!", "Zwölf Boxkämpfer jagen Viktor",
    "dogs and cats and birds", "猫と犬の写真", "12 dogs &amp; 3 cats", "a bird in the hand", "photographs of photographers",
]  # fmt: skip
LENGTH = 400


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Tokenizer:
    path = tmp_path_factory.mktemp("vocabulary") / "own.json"
    path.write_text(learn(TEXTS, size=600), encoding="utf-8")
    return Tokenizer.from_file(path, context_length=LENGTH)


CLIP = Tokenizer.clip(context_length=LENGTH)


@given(st.text(max_size=60))
def test_every_string_is_said_as_clip_says_it(own, text):
    ids = own(text)[0]
    assert own.decode(ids) == CLIP.decode(CLIP(text)[0])
    assert (ids == own.end_id).sum() >= 1
    assert int(ids.max()) < own.vocab_size


@pytest.mark.parametrize("text", [*TEXTS, "", "<|startoftext|> x <|endoftext|>", "\U0001f600\U0001f3fd", "ﬁ\u0301"])
def test_these_strings_too(own, text):
    assert own.decode(own(text)[0]) == CLIP.decode(CLIP(text)[0])


@pytest.mark.parametrize("size", [515, 520, 600])
def test_sizes(size, tmp_path):
    content = json.loads(learn(TEXTS, size=size))
    pieces, merges = content["model"]["vocab"], content["model"]["merges"]
    assert sorted(pieces.values()) == list(range(size))
    assert len(merges) == size - 514
    ordered = sorted(pieces, key=pieces.__getitem__)
    theirs = CLIP.pieces()[0]
    assert ordered[:512] == sorted(theirs, key=theirs.__getitem__)[:512]
    assert ordered[512:-2] == [left + right for left, right in merges]
    assert ordered[-2:] == ["<|startoftext|>", "<|endoftext|>"]
    (tmp_path / "own.json").write_text(json.dumps(content))
    tokenizer = Tokenizer.from_file(tmp_path / "own.json")
    assert (tokenizer.vocab_size, tokenizer.start_id, tokenizer.end_id) == (size, size - 2, size - 1)


def test_the_same_texts_give_the_same_bytes():
    assert learn(TEXTS, size=600) == learn(iter(TEXTS), size=600)
    assert learn(TEXTS, size=600) != learn(TEXTS[:-1], size=600)


def test_few_texts_give_few_pieces():
    pieces = json.loads(learn(["aa aa", "b"], size=600))["model"]["vocab"]
    assert len(pieces) == 512 + 1 + 2  # one pair occurs twice; nothing is left to merge
    assert "aa</w>" in pieces


def test_each_merge_is_the_most_frequent_pair_of_what_is_left():
    """Byte-pair encoding written out (Sennrich et al. 2016, algorithm 1), pair for pair; of equally many any will do."""
    content = json.loads(learn(TEXTS, size=560))
    words = Counter(tuple(word) for text in TEXTS for word in split(text))
    for left, right in content["model"]["merges"]:
        counts = Counter[tuple[str, str]]()
        for word, count in words.items():
            for pair in pairwise(word):
                counts[pair] += count
        assert counts[left, right] == max(counts.values())
        words = Counter({merged(word, left, right): count for word, count in words.items()})


def split(text: str) -> list[list[str]]:
    """The words of a text in CLIP's letters for bytes, the last of each marked."""
    alphabet = Tokenizer.clip(context_length=LENGTH)
    letters = {i: piece for piece, i in alphabet.pieces()[0].items()}
    found, word = [], []
    for i in alphabet(text)[0].tolist()[1:]:
        if i == alphabet.end_id:
            break
        piece = letters[i]
        word += list(piece.removesuffix("</w>"))
        if piece.endswith("</w>"):
            found.append([*word[:-1], f"{word[-1]}</w>"])
            word = []
    return found


def merged(word: tuple[str, ...], left: str, right: str) -> tuple[str, ...]:
    found, i = [], 0
    while i < len(word):
        pair = word[i : i + 2] == (left, right)
        found.append(left + right if pair else word[i])
        i += 2 if pair else 1
    return tuple(found)


def test_the_script_reads_lines(tmp_path, capsys):
    for number, texts in enumerate((TEXTS[:4], TEXTS[4:])):
        (tmp_path / f"{number}.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    out = tmp_path / "deep/own.json"
    main([str(tmp_path / "0.txt"), str(tmp_path / "1.txt"), "--size", "600", "--out", str(out)])
    assert out.read_text(encoding="utf-8") == learn(TEXTS, size=600)
    assert capsys.readouterr().out == f"{out}: 600 pieces\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{}/0.txt", "--size", "514"], "vocabulary: size is 514: at least 515, for the bytes, one merge, start and end"),
        (["{}/no.txt"], "vocabulary: [Errno 2] No such file or directory: '{}/no.txt'"),
    ],
)
def test_a_wrong_input_is_one_line(tmp_path, words, message):
    (tmp_path / "0.txt").write_text("a text")
    typed = [word.format(tmp_path) for word in words]
    with pytest.raises(SystemExit) as refused:
        main([*typed, "--out", str(tmp_path / "own.json")])
    assert str(refused.value) == message.format(tmp_path)
    assert not (tmp_path / "own.json").exists()
