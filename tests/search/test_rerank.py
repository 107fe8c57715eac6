"""Reranking: the best of a stream, the same as by sorting all of it, in memory that does not grow."""

import gc
import weakref
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image

import fullclip
from fullclip.data.drops import DroppedError, Drops
from fullclip.search.diversity import marginal_order
from fullclip.search.rerank import Reranker
from fullclip.search.scores import PAPER_TEMPLATES, clip_score, ref_clip_score
from pairs import encoded, picture
from tiny import tiny_encoder

CAPTION = "snow"  # to the untrained model all of the pictures are like it
NUM = 40


def drawn(seed: int) -> np.ndarray:
    """A coloured rectangle on another colour."""
    random = np.random.default_rng(seed)
    pixels = np.full((32, 32, 3), random.integers(0, 256, 3), dtype=np.uint8)
    left, top, right, bottom = random.integers(0, 32, 4)
    pixels[min(top, bottom) : max(top, bottom) + 1, min(left, right) : max(left, right) + 1] = random.integers(0, 256, 3)
    return pixels


@pytest.fixture(scope="module")
def encoder() -> fullclip.Encoder:
    return tiny_encoder()


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return [drawn(seed) for seed in range(NUM)]


@pytest.fixture(scope="module")
def cosines(encoder, pictures) -> np.ndarray:
    return encoder.encode_images(pictures) @ encoder.encode_texts([CAPTION])[0]


def ranked(reranker: Reranker) -> list[int]:
    return [hit.meta["position"] for hit in reranker.best()]


@pytest.mark.parametrize("top", [1, 7, NUM, 100])
def test_the_best_are_those_of_sorting_all(encoder, pictures, cosines, top):
    reranker = Reranker(encoder, CAPTION, top=top)
    reranker.add(pictures)
    order = np.argsort(-cosines, kind="stable")[:top]
    hits = reranker.best()
    assert [hit.key for hit in hits] == [str(i) for i in order]
    np.testing.assert_allclose([hit.meta["cosine"] for hit in hits], cosines[order], atol=2e-6)
    text = encoder.encode_texts([CAPTION])
    expected = clip_score(encoder.encode_images(pictures), text)[order]
    assert (expected > 0).all()
    np.testing.assert_allclose([hit.score for hit in hits], expected, atol=5e-6)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    for shown, place in zip(reranker.images(), order, strict=True):
        np.testing.assert_array_equal(np.asarray(shown), pictures[place])


@given(st.lists(st.integers(1, 9), max_size=12), st.sampled_from([0.0, 0.6]), st.integers(1, 5))
@settings(max_examples=12)
def test_it_does_not_matter_how_the_stream_is_cut(encoder, pictures, sizes, diversity, batch_size):
    whole = Reranker(encoder, CAPTION, top=2, diversity=diversity)
    whole.add(pictures)
    other = fullclip.Encoder(encoder.model, preprocess=encoder.preprocess, tokenizer=encoder.tokenizer, batch_size=batch_size)
    cut, start = Reranker(other, CAPTION, top=2, diversity=diversity), 0
    for size in sizes:
        cut.add(iter(pictures[start : start + size]))
        start += size
    cut.add(pictures[start:])
    assert [hit.key for hit in cut.best()] == [hit.key for hit in whole.best()]
    np.testing.assert_allclose([hit.score for hit in cut.best()], [hit.score for hit in whole.best()], atol=5e-6)
    assert cut.num_seen == whole.num_seen == NUM


class Shaken(fullclip.Encoder):
    """Embeddings that end in other digits each time, as larger models' do with the batch that a picture lies in."""

    def stream_images(self, images):
        for part in super().stream_images(images):
            noise = np.random.default_rng(part.indices).uniform(-1e-7, 1e-7, part.embeddings.shape)
            yield replace(part, embeddings=(part.embeddings + noise).astype(np.float32))


@pytest.mark.parametrize("diversity", [0.0, 0.01])
def test_of_equals_the_first_comes_first_in_whatever_batches_they_were(encoder, pictures, diversity):
    copies = [5, 17, 24, 39]
    mixed = [pictures[3] if i in copies else one for i, one in enumerate(pictures)]
    shaken = Shaken(encoder.model, preprocess=encoder.preprocess, tokenizer=encoder.tokenizer)
    for size in (1, 7, NUM):
        reranker = Reranker(shaken, CAPTION, top=NUM, diversity=diversity)
        for start in range(0, NUM, size):
            reranker.add(mixed[start : start + size])
        order = [place for place in ranked(reranker) if place in (3, *copies)]
        assert order == [3, *copies]
        assert len({hit.score for hit in reranker.best() if hit.meta["position"] in (3, *copies)}) == 1


def test_several_captions_and_templates_are_one_mean(encoder, pictures):
    captions, templates = ["a red square", "a scarlet box"], ["a photo of {}.", "{}", "art of {}."]
    sentences = [template.replace("{}", caption) for caption in captions for template in templates]
    mean = encoder.encode_texts(sentences).mean(axis=0)
    reranker = Reranker(encoder, captions, templates=templates, top=5)
    np.testing.assert_allclose(reranker.text, mean / np.linalg.norm(mean), atol=1e-6)
    reranker.add(pictures)
    assert ranked(reranker) == np.argsort(-(encoder.encode_images(pictures) @ mean), kind="stable")[:5].tolist()


def test_a_caption_that_is_too_long_is_refused_or_cut(encoder):
    long = "a red square " * 40
    with pytest.raises(ValueError, match="shorten it or pass truncate"):
        Reranker(encoder, long)
    expected = encoder.encode_texts([long, "a table"], truncate=True)
    np.testing.assert_allclose(Reranker(encoder, long, truncate=True).text, expected[0], atol=1e-6)
    mean = expected.mean(axis=0)
    cut = Reranker(encoder, [long, "a table"], references=[long], truncate=True)
    np.testing.assert_allclose(cut.text, mean / np.linalg.norm(mean), atol=1e-6)


def test_references_give_ref_clip_scores_and_leave_the_order(encoder, pictures):
    caption, references = "pipe organ", ["a bench", "grey dots"]
    plain, compared = Reranker(encoder, CAPTION), Reranker(encoder, caption, references=references, templates=PAPER_TEMPLATES)
    for reranker in (plain, compared):
        reranker.add(pictures)
    texts = encoder.encode_texts([f"A photo depicts {text}" for text in (caption, *references)])
    images = encoder.encode_images(pictures)
    expected = ref_clip_score(images, texts[0], texts[1:])
    assert (expected > 0).all()
    hits = compared.best()
    order = [hit.meta["position"] for hit in hits]
    np.testing.assert_allclose([hit.score for hit in hits], expected[order], atol=5e-6)
    np.testing.assert_allclose([hit.meta["clip_score"] for hit in hits], clip_score(images, texts[0])[order], atol=5e-6)
    assert order == np.argsort(-(images @ texts[0]), kind="stable")[:32].tolist()
    assert all(hit.score == hit.meta["clip_score"] for hit in plain.best())


def test_a_diverse_ranking_is_the_formula_over_all_while_they_are_few(encoder, pictures, cosines):
    reranker = Reranker(encoder, CAPTION, top=6, diversity=0.5)
    reranker.add(pictures)
    expected = marginal_order(cosines, encoder.encode_images(pictures), top=6, diversity=0.5)
    assert ranked(reranker) == expected
    assert expected != np.argsort(-cosines)[:6].tolist()


def test_copies_in_any_number_do_not_fill_the_top(encoder, pictures, cosines):
    best = int(cosines.argmax())
    random = np.random.default_rng(0)

    def stream() -> Iterator[np.ndarray]:
        for i in range(300):
            noise = random.integers(-1, 2, (32, 32, 3))
            yield np.clip(pictures[best].astype(int) + noise, 0, 255).astype(np.uint8)
            if i % 10 == 0:
                yield pictures[i // 10]

    found = list(stream())
    copies = {i for i, one in enumerate(found) if np.abs(one.astype(int) - pictures[best]).max() <= 1}
    plain, diverse = Reranker(encoder, CAPTION, top=5), Reranker(encoder, CAPTION, top=5, diversity=0.5)
    for reranker in (plain, diverse):
        reranker.add(found)
    assert set(ranked(plain)) <= copies
    assert len(set(ranked(diverse)) & copies) == 1
    assert ranked(diverse)[0] == ranked(plain)[0]


@pytest.mark.parametrize(("diversity", "most"), [(0.0, 3), (0.5, 24)])
def test_no_more_pictures_are_held_than_may_be_answers(encoder, diversity, most):
    copies: list[weakref.ref[Image.Image]] = []
    reranker, largest = Reranker(encoder, CAPTION, top=3, diversity=diversity), 0

    class Counted(Image.Image):
        """A picture whose copies are counted."""

        def copy(self) -> Image.Image:
            copied = super().copy()
            copies.append(weakref.ref(copied))
            return copied

    def made(seed: int) -> Image.Image:
        image = Image.fromarray(drawn(seed))
        counted = Counted()
        counted.im, counted._mode, counted._size = image.im, image.mode, image.size
        return counted

    for start in range(0, 200, 20):
        reranker.add(made(seed) for seed in range(start, start + 20))
        gc.collect()
        largest = max(largest, sum(copy() is not None for copy in copies))
    assert len(copies) == 200
    assert most // 2 <= largest <= most
    assert reranker.num_ranked == 200


def test_what_cannot_be_read_is_counted_and_named(encoder, pictures, tmp_path):
    (tmp_path / "good.png").write_bytes(picture(1, size=(40, 36)))
    (tmp_path / "bad.png").write_bytes(b"<html>")
    drops = Drops()
    reranker = Reranker(encoder, CAPTION, drops=drops)
    missing = tmp_path / "missing.png"
    reranker.add([pictures[0], tmp_path / "bad.png", b"torn", missing, tmp_path / "good.png", np.full((4, 4, 3), np.inf)])
    assert sorted(hit.key for hit in reranker.best()) == sorted(["0", str(tmp_path / "good.png")])
    assert (reranker.num_seen, reranker.num_ranked) == (6, 2)
    assert sorted(drops.examples["unreadable image"]) == sorted(
        [
            f"{tmp_path / 'bad.png'}: not an image that Pillow can read",
            "image 2: not an image that Pillow can read",
            f"{missing}: no such file",
            "image 5: its pixels are not all finite",
        ]
    )
    with pytest.raises(DroppedError, match="missing"):
        Reranker(encoder, CAPTION, drops=Drops(strict=True)).add([missing])


def test_answers_that_are_not_finite_are_left_out(pictures):
    encoder = tiny_encoder()
    with torch.no_grad():
        encoder.clip.visual.proj.fill_(float("nan"))
    reranker = Reranker(encoder, CAPTION)
    reranker.add(pictures[:3])
    assert reranker.best() == reranker.images() == []
    assert reranker.drops.examples["unreadable image"][0] == "image 0: the model's answer is not finite"


def test_a_generator_that_fails_leaves_what_it_gave_and_its_own_error(encoder, pictures):
    def failing() -> Iterator[np.ndarray]:
        yield from pictures[:5]
        raise RuntimeError("the painter is out of paint")

    reranker = Reranker(encoder, CAPTION)
    with pytest.raises(RuntimeError, match="out of paint"):
        reranker.add(failing())
    assert sorted(ranked(reranker)) == list(range(5))
    with pytest.raises(ValueError, match=r"image 6 has pixels from -1"):
        reranker.add([pictures[5], torch.full((3, 8, 8), -1.0), pictures[6]])
    assert sorted(ranked(reranker)) == list(range(6))
    reranker.add(pictures[7])
    assert ranked(reranker)[-1] != 6
    assert reranker.num_ranked == 7


def test_a_contact_sheet_shows_each_in_its_place(encoder):
    reranker = Reranker(encoder, CAPTION, top=4)
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255)]
    reranker.add([encoded(Image.new("RGB", (60, 60), colour)) for colour in colours])
    sheet = np.asarray(reranker.contact_sheet())
    middles = [(row, column) for row in (0.25, 0.75) for column in (0.25, 0.75)]
    shown = [tuple(sheet[int(y * sheet.shape[0]) - 20, int(x * sheet.shape[1])].tolist()) for y, x in middles]
    assert shown == [colours[place] for place in ranked(reranker)]
    assert Reranker(encoder, CAPTION).contact_sheet().size[0] > 0


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"caption": ""}, "a caption is empty"),
        ({"caption": []}, "no caption given"),
        ({"caption": ["a", " "]}, "a caption is empty"),
        ({"top": 0}, "top is 0"),
        ({"templates": ["no place"]}, "has no {}"),
        ({"templates": []}, "no template given"),
        ({"diversity": 1.5}, "diversity is 1.5"),
        ({"references": [""]}, "a reference is empty"),
        ({"references": "a text"}, "references is a list"),
    ],
)
def test_a_wish_that_cannot_be_followed_is_refused(encoder, wish, words):
    with pytest.raises(ValueError, match=words):
        Reranker(encoder, **({"caption": CAPTION} | wish))
