import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image

from fullclip.core.config import from_dict, to_dict
from fullclip.core.types import Pair
from fullclip.data.contact_sheet import draw_contact_sheet
from fullclip.data.drops import Drops
from fullclip.data.inspect import Count, Inspection, Spread, _Tally, inspect_shards
from fullclip.preprocess.tokenizer import Tokenizer
from pairs import encoded, make_pairs, make_shards, picture

TEXTS = [
    ("A red cat.", "the cat"),
    ("Ünïcode — it's 猫 3",),
    ("the dog and the cat",),
    ("word" + " word" * 99,),
    ("&amp;" * 50,),
]
SIZES = [(8, 6), (100, 2), (1, 1), (30, 40), (8, 8)]


@pytest.fixture
def pairs():
    kinds = ["PNG", "PNG", "GIF", "JPEG", "PNG"]
    return [
        Pair(key=f"{i}", image=picture(i, size=size, kind=kind), texts=texts)
        for i, (texts, size, kind) in enumerate(zip(TEXTS, SIZES, kinds, strict=True))
    ]


def inspect(folder, pairs, **settings):
    drops = Drops()
    found = inspect_shards(make_shards(folder, pairs, pairs_per_shard=2), drops=drops, **{"grid": None, **settings})
    return found, drops


def spread(values):
    return Spread(
        min=min(values),
        median=int(np.quantile(values, 0.5, method="inverted_cdf")),
        mean=sum(values) / len(values),
        p95=int(np.quantile(values, 0.95, method="inverted_cdf")),
        max=max(values),
    )


def test_what_shards_hold(tmp_path, pairs):
    found, drops = inspect(tmp_path, pairs)
    texts = [text for several in TEXTS for text in several]
    long = Tokenizer.clip(context_length=500)
    num_tokens = [(long(text) == long.end_id).int().argmax().item() + 1 for text in texts]
    assert (found.num_shards, found.num_pairs, found.num_captions, found.captions_per_pair) == (3, 5, 6, 6 / 5)
    assert found.characters == spread([len(text) for text in texts])
    assert found.tokens == spread(num_tokens)
    assert found.share_truncated == sum(number > 77 for number in num_tokens) / 6 == 1 / 6
    assert found.widths == spread([width for width, _ in SIZES])
    assert found.heights == spread([height for _, height in SIZES])
    assert found.bytes_per_image == spread([len(pair.image) for pair in pairs])
    assert found.formats == (Count(name="PNG", count=3), Count(name="GIF", count=1), Count(name="JPEG", count=1))
    assert {mode.name: mode.count for mode in found.modes} == {"RGB": 4, "P": 1}
    assert found.words[:4] == tuple(
        Count(name=name, count=count) for name, count in (("word", 100), ("amp", 50), ("cat", 3), ("the", 3))
    )
    assert {word.name for word in found.words} >= {"ünïcode", "it's", "猫", "3"}
    assert not drops.counts


def test_an_inspection_is_json(tmp_path, pairs):
    found, _ = inspect(tmp_path, pairs)
    assert from_dict(Inspection, json.loads(json.dumps(to_dict(found)))) == found


def tallied(values):
    tally = _Tally()
    for value in values:
        tally.add(value)
    return tally


@given(st.lists(st.integers(0, 2000), min_size=1))
def test_small_numbers_are_spread_exactly(values):
    tally = tallied(values)
    found, expected = tally.spread(), spread(values)
    assert replace(found, mean=0.0) == replace(expected, mean=0.0)
    assert math.isclose(found.mean, expected.mean)
    assert tally.share_over(77) == sum(value > 77 for value in values) / len(values)


@given(st.lists(st.integers(0, 10**9), min_size=1))
def test_large_numbers_are_spread_within_one_in_2048(values):
    found, expected = tallied(values).spread(), spread(values)
    assert (found.min, found.max) == (expected.min, expected.max)
    for ours, true in ((found.median, expected.median), (found.p95, expected.p95)):
        assert true * (1 - 1 / 2048) <= ours <= true


def test_words_are_counted_as_they_are(tmp_path):
    texts = [" ".join(f"w{i}" for i in range(j)) for j in range(1, 31)]
    found, _ = inspect(tmp_path, [replace(pair, texts=(text,)) for pair, text in zip(make_pairs(30), texts, strict=True)])
    expected = Counter(word for text in texts for word in text.split()).most_common(20)
    assert [(word.name, word.count) for word in found.words] == expected


def test_unreadable_images_are_dropped_and_their_texts_still_count(tmp_path, pairs):
    broken = [replace(pairs[0], image=pairs[0].image[:12]), *pairs[1:]]
    found, drops = inspect(tmp_path / "a", broken, grid=tmp_path / "grid.png")
    assert (found.num_pairs, found.num_captions) == (5, 6)
    assert sum(kind.count for kind in found.formats) == 4
    assert drops.report() == {"unreadable image": {"count": 1, "examples": ["0 (UnidentifiedImageError)"]}}


def test_nothing_at_all_is_no_error(tmp_path):
    found, drops = inspect(tmp_path / "a", [Pair(key="a", image=picture(0), texts=())], grid=tmp_path / "grid.png")
    assert (found.num_pairs, found.captions_per_pair, found.tokens, found.words) == (0, 0.0, None, ())
    assert drops.counts == {"sample without text": 1}
    with Image.open(tmp_path / "grid.png") as sheet:
        assert sheet.format == "PNG"


def sampled(folder, number, seed):
    """Which of the 30 pairs, each of one grey, are on the sheet: the centres of its cards tell."""
    shards = [str(folder)]
    inspect_shards(shards, drops=Drops(), grid=folder / "grid.png", num_pictures=number, seed=seed)
    with Image.open(folder / "grid.png") as sheet:
        pixels = np.asarray(sheet.convert("L"))
    counts = np.bincount(pixels.ravel(), minlength=256)
    return {i for i in range(30) if counts[8 * i] >= 200 * 200}


def test_the_sample_follows_its_seed_and_misses_nobody(tmp_path):
    greys = [encoded(Image.new("L", (8, 8), 8 * i)) for i in range(30)]
    make_shards(tmp_path, [replace(pair, image=grey) for pair, grey in zip(make_pairs(30), greys, strict=True)])
    samples = [sampled(tmp_path, 8, seed) for seed in range(12)]
    assert [len(sample) for sample in samples] == [8] * 12
    assert sampled(tmp_path, 8, 0) == samples[0]
    assert len(set(map(frozenset, samples))) > 6
    assert len(set.union(*samples)) >= 27  # 30 less one in 66 are expected
    assert sampled(tmp_path, 100, 0) == set(range(30))


def test_the_sheet_shows_each_picture_upright_and_blends_what_is_transparent():
    red, clear = Image.new("RGB", (50, 50), "red"), Image.new("RGBA", (50, 50), (255, 0, 0, 0))
    pairs = [Pair(key="a", image=encoded(image), texts=("x",)) for image in (red, clear)]
    sheet = np.asarray(draw_contact_sheet(pairs, Drops()))
    is_red = (sheet == (255, 0, 0)).all(-1)
    assert is_red.sum() == 200 * 200
    assert is_red[:, : sheet.shape[1] // 2].sum() == is_red.sum()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("size", [(40, 30), (1, 1), (3000, 2)])
def test_any_picture_and_any_caption_can_be_drawn(mode, size):
    image = encoded(Image.new(mode, size), "TIFF")
    texts = ["", "x" * 1000, "many words " * 100, "猫 ünï\n\tcode", "W" * 30]
    pairs = [Pair(key="a", image=image, texts=(text,)) for text in texts]
    drops = Drops()
    sheet = draw_contact_sheet(pairs, drops)
    assert not drops.counts
    assert (sheet.width / 3, sheet.height / 2) > (200, 200)
    assert len(sheet.getcolors(1 << 24)) > 10  # paper, card, edge, picture, and letters with soft edges


def test_a_picture_that_breaks_late_is_dropped_from_the_sheet():
    good = make_pairs(3)
    broken = replace(good[1], image=good[1].image[:60])
    drops = Drops()
    assert draw_contact_sheet([good[0], broken, good[2]], drops) == draw_contact_sheet([good[0], good[2]], Drops())
    assert drops.counts == {"unreadable image": 1}
