"""Our tokenizer against openai/CLIP's on real captions and on strange strings; cutting, refusing, saving, decoding."""

import gzip
import random
import sys
import unicodedata
from pathlib import Path

import ftfy
import pytest
import torch
from hypothesis import given, settings, strategies as st

import peers
from fullclip.preprocess import tokenizer as module
from fullclip.preprocess.tokenizer import END, START, Tokenizer

CAPTIONS = Path(__file__).parents[1] / "data_files/captions.txt.gz"
CLIP = Tokenizer.clip()
LONG = Tokenizer.clip(context_length=512)

PIECES = st.one_of(
    st.text(max_size=12),
    st.text(st.characters(categories=["So", "Sk", "Mn", "Mc", "Cf", "Cc"]), max_size=6),  # emoji, marks, controls
    st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), max_size=6),  # Chinese
    st.text(st.characters(min_codepoint=0x0590, max_codepoint=0x06FF), max_size=8),  # Hebrew and Arabic
    st.text(st.characters(min_codepoint=0xFF00, max_codepoint=0xFFEF), max_size=6),  # full width
    st.text(st.characters(min_codepoint=0x80, max_codepoint=0x24F), max_size=8).map(
        lambda text: text.encode().decode("latin-1")
    ),
    st.sampled_from(
        ["&amp;", "&lt;b&gt;", "&amp;amp;", "&#39;", "&#x1F600;", "&nbsp;", "&eacute", "&", "&bogus;", "schÃ¶n", "â€™"]
    ),
    st.sampled_from(
        [START, END, "<|endoftext|", "<|StartOfText|>", "</w>", "<|endoftext|>'s", "ſ", "'ſ", "İ", "\u212a", "ß", "ς"]
    ),
    st.sampled_from(
        ["It's", "WE'LL", "don't", "I'D", "they've", "'RE", "’s", "``x''", "42nd", "½", "²", "Ⅷ", "٣", " ", "\u3000", "\t\n"]
    ),
    st.sampled_from(
        ["\ud83d\ude00", "👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "e\u0301", "é", "ﬁ", "\x1b[31m", "\0", "\x1c", "\x85", "\u2028", "\ufeff"]
    ),
)
TEXTS = st.lists(PIECES, max_size=8).map("".join)


def assert_as_openai(texts: list[str], tokenizer: Tokenizer) -> None:
    rows = tokenizer.encode(texts, truncate=True).ids.tolist()
    expected = [peers.openai_ids(text, context_length=tokenizer.context_length) for text in texts]
    assert [text for text, row, other in zip(texts, rows, expected, strict=True) if row != other] == []


def test_real_captions():
    texts = gzip.decompress(CAPTIONS.read_bytes()).decode().splitlines()
    assert len(texts) > 20_000
    assert_as_openai(texts, CLIP)


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_strange_texts(text):
    assert_as_openai([text], LONG)


@pytest.mark.parametrize("tail", ["s", "t", "re", "ve", "m", "ll", "d", "x", "st", "dog"])
def test_contractions(tail):
    assert_as_openai([f"we'{tail}", f"WE'{tail.upper()}!", f"'{tail}", f"''{tail} 9'{tail}", f"wé'{tail}", f"we’{tail}"], CLIP)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("entity", ["eacute;", "lt;br", "#233;", "notit"])
def test_escaped_again_and_again(entity, depth):
    """Where there is a <, ftfy leaves entities to html.unescape, which is applied twice."""
    nested = "&" + "amp;" * depth + entity
    assert_as_openai([nested, f"a < b {nested}", f"<i>{nested}</i>"], CLIP)


def test_code_points_between_letters():
    """A sample of all code points: where Unicode's category changes, and others by chance."""
    every = [code for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    categories = [unicodedata.category(chr(code)) for code in every]
    changes = [code for code, before, here in zip(every[1:], categories, categories[1:], strict=False) if before != here]
    codes = sorted({*range(0x180), *changes, *random.Random(0).sample(every, 3000)})
    assert_as_openai([f"a{chr(code)}b" for code in codes], CLIP)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(max_codepoint=127, exclude_characters="&"), max_size=40))
def test_ascii_is_cleaned_without_ftfy(text):
    """Plain text takes a short way round ftfy and html: with nothing for them to mend, it ends at the same place."""
    if module._PLAIN(text):
        assert ftfy.fix_text(text) == text
    tokenizer = peers.openai_module("simple_tokenizer")
    assert module.clean(text) == tokenizer.whitespace_clean(tokenizer.basic_clean(text)).lower()


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [START, END, "'s", "'LL", "<|", "|>", "startoftext", "Dog", "x1", "!?", "$3.50", " ", "\n", "~", "\\", '"']
        ),
        max_size=12,
    ).map("".join)
)
def test_remembered_words_are_the_engines(text):
    """The words are split by `re` and remembered; the engine alone, splitting by itself, gives the same pieces and ids."""
    cleaned = module.clean(text)
    assert module._splitter(CLIP._pattern, "\x7f")(cleaned) == [
        piece for piece, _ in CLIP._engine.pre_tokenizer.pre_tokenize_str(cleaned)
    ]
    forgetful = Tokenizer.clip()
    assert forgetful._pieces_of(text, 0) == forgetful._pieces_of(text, 0)
    if START not in cleaned and END not in cleaned:
        assert forgetful._pieces_of(text, 0) == CLIP._engine.encode(cleaned, add_special_tokens=False).ids


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
def test_every_splitter_is_the_engines(text):
    """Patterns with fewer ranges, for texts that need no more, split like the whole one."""
    try:
        cleaned = module.clean(text)
    except ValueError:
        return
    whole = module._splitter(CLIP._pattern, "\U0010ffff")(cleaned)
    for up_to in ("\x7f", "\uffff"):
        if max(cleaned, default="") <= up_to:
            assert module._splitter(CLIP._pattern, up_to)(cleaned) == whole
    if START not in cleaned and END not in cleaned:
        assert CLIP._pieces_of(text, 0) == CLIP._engine.encode(cleaned, add_special_tokens=False).ids


def test_long_words_are_not_remembered():
    """A sentence without spaces is one word to the pattern; remembering such would fill the memory."""
    tokenizer = Tokenizer.clip()
    tokenizer.encode(["狗" * 40, "dog"], truncate=True)
    assert list(tokenizer._known) == ["dog"]


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "_MOST_KNOWN_WORDS", 10)
    small = Tokenizer.clip()
    texts = [f"{chr(97 + i % 26)}{chr(97 + i % 7)} dog" for i in range(100)]
    assert torch.equal(torch.cat([small(text) for text in texts]), CLIP(texts))
    assert len(small._known) <= 12


@pytest.mark.parametrize("text", ["\ud800", "a \udfff b", "\ude00\ud83d", "\ud83d \ude00", "dog\ud83d"])
def test_lone_surrogates_are_refused(text):
    with pytest.raises(ValueError, match="lone surrogate"):
        CLIP(text)


def test_a_surrogate_pair_is_its_character():
    assert CLIP("\ud83d\ude00 dog").tolist() == CLIP("😀 dog").tolist()
    assert_as_openai(["\ud83d\ude00 dog"], CLIP)


@pytest.mark.parametrize("context_length", [3, 8, 32])
def test_too_long(context_length):
    small = Tokenizer.clip(context_length=context_length)
    fits, over = "a " * (context_length - 2), "a " * (context_length - 1)
    assert small(fits).shape == (1, context_length)
    with pytest.raises(ValueError, match=rf"text 1 has {context_length + 1} tokens, the context holds {context_length}: 'a "):
        small([fits, over])
    tokens = small.encode([over, fits, over + over], truncate=True)
    assert tokens.num_truncated == 2
    assert (tokens.ids == tokens.ids[1]).all()
    assert tokens.ids[0, -1] == small.end_id


def test_call_warns_of_cut_texts():
    with pytest.warns(UserWarning, match="1 of 2 texts cut to 77 tokens"):
        CLIP(["dog", "dog " * 100], truncate=True)


def test_shape_padding_and_batches():
    texts = ["", "a dog", "two dogs — 狗"]
    ids = CLIP(texts)
    assert ids.dtype == torch.int64
    assert ids.shape == (3, 77)
    assert ids[0].tolist() == [CLIP.start_id, CLIP.end_id] + [0] * 75
    assert torch.equal(ids, torch.cat([CLIP(text) for text in texts]))
    assert CLIP([]).shape == (0, 77)
    assert torch.equal(Tokenizer.clip(context_length=20)(texts), ids[:, :20])


def test_context_length_too_small():
    with pytest.raises(ValueError, match="context_length is 2: at least 3"):
        Tokenizer.clip(context_length=2)


@pytest.mark.parametrize("wrong", [None, 3, b"dog", ["dog"]])
def test_not_a_string(wrong):
    with peers.unchecked(), pytest.raises(ValueError, match=rf"text 1 is a {type(wrong).__name__}"):
        CLIP.encode(["dog", wrong])


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_decoding_is_openais(text):
    row = LONG.encode(text, truncate=True).ids[0]
    kept = row.tolist()[1:]
    kept = [i for i in kept[: kept.index(LONG.end_id)] if i != LONG.start_id]
    assert LONG.decode(row) == peers.openai_tokenizer().decode(kept).strip()


def test_decoding_gives_the_cleaned_text_back():
    assert CLIP.decode(CLIP("A  Dog&amp;Cat, schÃ¶n!")[0]) == "a dog & cat , schön !"


def test_saved_and_read(tmp_path):
    CLIP.save(tmp_path / "tokenizer.json")
    read = Tokenizer.from_file(tmp_path / "tokenizer.json", context_length=16)
    texts = ["It's a DOG, 狗 😀", START, "plain words"]
    assert torch.equal(read(texts), CLIP(texts)[:, :16])
    assert (read.vocab_size, read.start_id, read.end_id) == (49408, 49406, 49407)


@pytest.mark.parametrize("content", ["", "{}", "not json", '{"model": {"type": "BPE"}}'])
def test_a_file_that_is_no_tokenizer(tmp_path, content):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ValueError, match=r"tokenizer.json: not a tokenizer.json"):
        Tokenizer.from_file(tmp_path / "tokenizer.json")


def test_another_models_tokenizer(tmp_path):
    from tokenizers import Tokenizer as Engine, models

    Engine(models.BPE(vocab={"a": 0, "b": 1}, merges=[])).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match="not made for CLIP"):
        Tokenizer.from_file(tmp_path / "tokenizer.json")


def test_pieces_are_openais_vocabulary():
    vocabulary, merges = CLIP.pieces()
    openai = peers.openai_tokenizer()
    assert vocabulary == openai.encoder
    assert {tuple(merge): rank for rank, merge in enumerate(merges)} == openai.bpe_ranks
