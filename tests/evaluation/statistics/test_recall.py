"""Retrieval with several captions an image, against plain loops."""

import numpy as np
import pytest
from scipy.stats import beta

from fullclip.evaluation.statistics import recall
from fullclip.evaluation.statistics.recall import better_captions, better_images, image_to_text, text_to_image


def sample(num_images: int = 40, *, ties: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    owners = np.repeat(np.arange(num_images), random.integers(1, 6, size=num_images))
    random.shuffle(owners)
    images = random.normal(size=(num_images, 6))
    texts = images[owners] + random.normal(size=(len(owners), 6))
    return (np.round(images), np.round(texts), owners) if ties else (images, texts, owners)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("block", [1, 7, 512])
def test_recall_is_that_of_loops(ties, block, monkeypatch):
    monkeypatch.setattr(recall, "_BLOCK", block)
    images, texts, owners = sample(ties=ties)
    similarity = images @ texts.T
    for k in (1, 5, 10):
        found = []
        for i, row in enumerate(similarity):
            best = row[owners == i].max()
            found.append(sum(row[owners != i] >= best) < k)
        assert image_to_text(better_captions(images, texts, owners), task="t", ks=[k])[0].value == np.mean(found)
        found = []
        for j, column in enumerate(similarity.T):
            found.append(sum(column >= column[owners[j]]) - 1 < k)
        assert text_to_image(better_images(images, texts, owners), owners, task="t", ks=[k])[0].value == np.mean(found)


def test_embeddings_that_are_all_alike_find_nothing():
    ones = np.ones((4, 3))
    owners = np.arange(4)
    assert image_to_text(better_captions(ones, ones, owners), task="t", ks=[3])[0].value == 0
    assert text_to_image(better_images(ones, ones, owners), owners, task="t", ks=[3])[0].value == 0


def test_captions_of_one_image_widen_the_interval():
    images, texts, owners = sample()
    better = better_images(images, texts, owners)
    together = text_to_image(better, owners, task="t", ks=[1])[0]
    apart = text_to_image(better, np.arange(len(owners)), task="t", ks=[1])[0]
    width = [one.interval[1] - one.interval[0] for one in (together, apart)]
    assert together.value == apart.value
    assert together.n == len(owners)
    assert width[0] > 0.8 * width[1]


def test_the_interval_is_that_of_drawing_images():
    images, texts, owners = sample(200)
    better = better_images(images, texts, owners)
    found, random, draws = text_to_image(better, owners, task="t", ks=[1])[0], np.random.default_rng(1), []
    of = [np.flatnonzero(owners == image) for image in range(200)]
    for _ in range(1000):
        drawn = np.concatenate([of[image] for image in random.integers(200, size=200)])
        draws.append((better[drawn] < 1).mean())
    np.testing.assert_allclose(found.interval, np.percentile(draws, [2.5, 97.5]), atol=0.015)


def test_a_recall_of_all_or_none_is_not_certain():
    owners = np.repeat(np.arange(6), 2)
    exact = pytest.approx(beta.ppf(0.025, 6, 1))
    assert text_to_image(np.zeros(12, dtype=int), owners, task="t", ks=[1])[0].interval == (exact, 1.0)
    assert image_to_text(np.zeros(6, dtype=int), task="t", ks=[1])[0].interval == (exact, 1.0)


def test_a_picture_that_is_there_twice_stands_before_itself():
    images, texts, owners = np.eye(4)[[0, 0, 1, 2]], np.eye(4)[[0, 0, 1, 2]], np.arange(4)
    assert better_images(images, texts, owners).tolist() == [1, 1, 0, 0]
    assert better_captions(images, texts, owners).tolist() == [1, 1, 0, 0]


def test_an_image_without_caption_is_found_by_nobody():
    images, texts, owners = sample()
    better = better_captions(np.concatenate([images, images[:1]]), texts, owners)
    assert better[-1] == len(texts)


def test_features_that_are_not_finite_are_an_error():
    images, texts, owners = sample()
    texts[3] = np.nan
    with pytest.raises(ValueError, match="embeddings of captions hold NaN"):
        better_images(images, texts, owners)
