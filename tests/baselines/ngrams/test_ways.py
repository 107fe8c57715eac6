"""Visual n-gram models: their losses and answers against the formulas, caption by caption and name by name."""

import math

import pytest
import torch
from torch import nn

from fullclip.baselines.learning.settings import Settings
from fullclip.baselines.learning.way import image_tower
from fullclip.baselines.ngrams.dictionary import build_dictionary
from fullclip.baselines.ngrams.smoothing import log_probabilities, words_together
from fullclip.baselines.ngrams.ways import NaiveNgrams, VisualNgrams, unseen
from fullclip.models.config import VitConfig

VIT = VitConfig(image_size=16, patch_size=8, width=16, layers=1, heads=2, mlp_width=32)
SETTINGS = Settings(vision=VIT, embed=8)
TEXTS = ["a red car", "a sports car", "the red bus stops", "a dog", "the dog on a red bus"]
CLASSES = [("sports car", "red car"), ("bus",), ("dog",), ("zebra",), ("red zebra", "a dog")]


def dictionary():
    return build_dictionary(TEXTS, at_least=1, longest=3)


def built(kind, **more):
    way = kind(image_tower(SETTINGS, seed=0), dictionary(), dim=SETTINGS.embed, **more)
    way.scores.initialize(torch.Generator().manual_seed(0))
    nn.init.normal_(way.scores.embedding, generator=torch.Generator().manual_seed(1))
    return way.double().eval()


def pictures(number):
    return torch.randn(number, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(number))


def of_words(way, image, text, *, bounded):
    """The log-probabilities of a text's words for one picture."""
    words = words_together([way.dictionary.occurrences(text, bounded=bounded)], torch.device("cpu"))
    scores = way.scores
    return log_probabilities(
        way.tower(image[None]), scores.embedding, scores.bias, words, starts=scores.starts, smoothing=way.smoothing
    )


def of_ngrams(way, image):
    """Each n-gram's probability among all."""
    scores = (way.tower(image[None]) @ way.scores.embedding.T + way.scores.bias)[0]
    return dict(zip(way.dictionary.ngrams, (scores.exp() / scores.exp().sum()).tolist(), strict=True))


def test_the_smoothed_loss_is_the_mean_over_captions_of_the_sum_over_words():
    way, images = built(VisualNgrams, smoothing=0.3), pictures(3)
    texts = ["a sports car", "", "the unheard of red bus"]
    sums = [of_words(way, image, text, bounded=True).sum().item() for image, text in zip(images, texts, strict=True)]
    assert way.loss(images, texts).item() == pytest.approx(-sum(sums) / 3)


def test_the_naive_loss_adds_up_all_ngrams_of_a_caption_that_are_known():
    way, images = built(NaiveNgrams), pictures(2)
    texts, expected = ["a sports car", "unheard red bus"], 0.0
    for image, text in zip(images, texts, strict=True):
        found = of_ngrams(way, image)
        sequence = ["[BEGIN]", *text.split(), "[END]"]
        for start in range(len(sequence)):
            for end in range(start + 1, min(start + 3, len(sequence)) + 1):
                ngram = tuple(sequence[start:end])
                expected -= math.log(found[ngram]) if ngram in found else 0.0
    assert way.loss(images, texts).item() == pytest.approx(expected / 2)


def test_a_class_is_as_likely_as_the_words_of_its_names():
    way, images = built(VisualNgrams, smoothing=0.3), pictures(5)
    found = way.scorer(CLASSES, ["a photo of a {}."])(images)
    unknown = math.log(1 / 23)  # 18 words, 5 ends
    assert unseen(way.dictionary) == pytest.approx(unknown)
    for row, image in enumerate(images):
        for column, names in enumerate(CLASSES):
            likelihoods = [
                math.exp(of_words(way, image, name, bounded=False).sum().item() + unknown * name.count("zebra"))
                for name in names
                if name != "zebra"
            ]
            expected = math.log(sum(likelihoods) / len(likelihoods)) if likelihoods else -math.inf
            assert found[row, column].item() == pytest.approx(expected)
    assert way.num_unknown(CLASSES) == 1  # the red zebra's other name is known


def test_a_class_is_as_likely_as_the_ngrams_that_its_names_are():
    way, images = built(NaiveNgrams), pictures(4)
    found = way.scorer(CLASSES, ["{}"])(images)
    for row, image in enumerate(images):
        known = of_ngrams(way, image)
        for column, names in enumerate(CLASSES):
            likelihoods = [known[tuple(name.split())] for name in names if tuple(name.split()) in known]
            expected = math.log(sum(likelihoods) / len(likelihoods)) if likelihoods else -math.inf
            assert found[row, column].item() == pytest.approx(expected)
    assert way.num_unknown([*CLASSES, ("red dog",)]) == 2


@pytest.mark.parametrize("kind", [VisualNgrams, NaiveNgrams])
def test_classes_that_are_all_unknown_are_never_the_answer(kind):
    way = built(kind)
    assert (way.scorer([("zebra",), ("okapi", "gnu")], [])(pictures(3)) == -math.inf).all()
    assert way.num_unknown([("zebra",), ("okapi", "gnu")]) == 2


def test_before_it_has_learned_it_speaks_like_the_counts():
    way = VisualNgrams(image_tower(SETTINGS, seed=0), dictionary(), dim=SETTINGS.embed)
    nn.init.zeros_(way.scores.embedding)
    found = way.scorer([("car",), ("bus",), ("red",)], [])(pictures(2).float()).exp()
    torch.testing.assert_close(found, torch.tensor([[2 / 23, 2 / 23, 3 / 23]] * 2))


@pytest.mark.parametrize("kind", [VisualNgrams, NaiveNgrams])
def test_steps_make_the_right_name_likelier(kind):
    way, images = built(kind).train(), pictures(3)
    texts, classes = ["a red car", "the red bus stops", "a dog"], [("red car",), ("red bus",), ("dog",)]
    way.scores.initialize(torch.Generator().manual_seed(0))
    optimizer = torch.optim.AdamW(way.parameters(), lr=1e-2)
    first = way.loss(images, texts).item()
    for _ in range(60):
        optimizer.zero_grad()
        way.loss(images, texts).backward()
        optimizer.step()
    assert way.loss(images, texts).item() < first - 1
    assert way.scorer(classes, [])(images).argmax(dim=1).tolist() == [0, 1, 2]


def test_a_smoothing_that_leaves_a_model_out_is_refused_at_once():
    with pytest.raises(ValueError, match=r"smoothing is 1: above 0 and below 1, such as 0\.2"):
        VisualNgrams(image_tower(SETTINGS, seed=0), dictionary(), dim=8, smoothing=1)
