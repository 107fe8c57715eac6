"""Scores for pictures that none of the words fits: the papers' formulas, what a fitted threshold promises, what is refused."""

import numpy as np
import pytest
from scipy.special import logsumexp, softmax
from scipy.stats import binom

from fullclip.inference import Encoder
from fullclip.zeroshot.classifier import ZeroShotClassifier, class_weights
from fullclip.zeroshot.negatives import NEGATIVE_TEMPLATES, default_negatives
from fullclip.zeroshot.outlier import METHODS, OutlierDetector, check_method, conformal_threshold
from tiny import tiny_encoder

LABELS = ("dog", "cat", "a red car")
WORDS = tuple(f"thing {chr(97 + i)}{chr(97 + j)}" for i in range(6) for j in range(7))


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return tiny_encoder()


def unit(*shape: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def planted(encoder: Encoder, labels=LABELS, **more) -> ZeroShotClassifier:
    return ZeroShotClassifier(encoder, labels, weights=unit(len(labels), encoder.embed, seed=1), **more)


def detector(encoder: Encoder, method="negative_labels", **more) -> OutlierDetector:
    if method == "negative_labels":
        more = {"negatives": WORDS, "negative_weights": unit(len(WORDS), encoder.embed, seed=2)} | more
    return OutlierDetector(planted(encoder), method, **more)


def test_concept_matching_is_one_less_the_softmax_of_cosines(encoder):
    """Ming et al. 2022, equation 1, at their temperature of 1."""
    images = unit(20, encoder.embed)
    cosines = images.astype(np.float64) @ planted(encoder).weights.astype(np.float64).T
    np.testing.assert_allclose(detector(encoder, "concept_matching").scores(images), 1 - softmax(cosines, axis=1).max(axis=1))


def test_energy_is_the_negative_log_sum_exp_of_the_models_own_logits(encoder):
    """Liu et al. 2020, equation 4, at a temperature of 1; the scale is what the model learned, not the classifier's."""
    images = unit(20, encoder.embed)
    logits = encoder.scale * images.astype(np.float64) @ planted(encoder).weights.astype(np.float64).T
    np.testing.assert_allclose(detector(encoder, "energy").scores(images), -logsumexp(logits, axis=1))
    other = OutlierDetector(planted(encoder, scale=3.0), "energy")
    np.testing.assert_array_equal(other.scores(images), detector(encoder, "energy").scores(images))


def test_negative_labels_are_the_share_of_belief_in_other_words(encoder):
    """Jiang et al. 2024, equation 4, with means in place of sums."""
    images, found = unit(20, encoder.embed), detector(encoder)
    words = dict(zip(WORDS, unit(len(WORDS), encoder.embed, seed=2), strict=True))
    powers = [
        np.exp(encoder.scale * images.astype(np.float64) @ rows.astype(np.float64).T).mean(axis=1)
        for rows in (found.classifier.weights, np.stack([words[word] for word in found.negatives]))
    ]
    np.testing.assert_allclose(found.scores(images), powers[1] / (powers[0] + powers[1]))


def test_weighing_both_sides_the_same_leaves_the_papers_order(encoder):
    images, found = unit(200, encoder.embed), detector(encoder)
    every = np.concatenate([found.classifier.weights, found.negative_weights]).astype(np.float64)
    paper = softmax(encoder.scale * images.astype(np.float64) @ every.T, axis=1)[:, len(LABELS) :].sum(axis=1)
    np.testing.assert_array_equal(found.scores(images).argsort(), paper.argsort())


@pytest.mark.parametrize("number", [1, 3, 30])
def test_what_is_like_nothing_is_at_one_half_whatever_the_number_of_labels(encoder, number):
    labels = [f"label {chr(97 + i)}" for i in range(number)]
    weights = np.zeros((number, encoder.embed), dtype=np.float32)
    weights[:, 0] = 1
    others = np.zeros((len(WORDS), encoder.embed), dtype=np.float32)
    others[:, 1] = 1
    alike = np.zeros((1, encoder.embed), dtype=np.float32)
    alike[:, :2] = 0.5**0.5
    classifier = ZeroShotClassifier(encoder, labels, weights=weights)
    assert OutlierDetector(classifier, negatives=WORDS, negative_weights=others).scores(alike) == pytest.approx(0.5)


def test_the_negatives_are_the_half_least_like_any_label(encoder):
    words, labels = unit(len(WORDS), encoder.embed, seed=2), planted(encoder).weights
    likeness = {word: (labels @ row).max() for word, row in zip(WORDS, words, strict=True)}
    found = detector(encoder).negatives
    assert len(found) == len(WORDS) // 2
    assert list(found) == sorted(found, key=likeness.__getitem__)
    assert max(likeness[word] for word in found) <= min(likeness[word] for word in set(WORDS) - set(found))


def test_words_are_embedded_where_their_weights_are_not_given(encoder):
    weights = class_weights(encoder, [(word,) for word in WORDS], NEGATIVE_TEMPLATES)
    images = unit(5, encoder.embed)
    given = detector(encoder, negative_weights=weights).scores(images)
    np.testing.assert_allclose(detector(encoder, negative_weights=None).scores(images), given, rtol=1e-5)


def test_words_that_are_labels_in_another_spelling_are_left_out(encoder):
    same = ("Dog", "the cat", "RED-CAR", "red_car", "thing-aa", "a thing aa")
    words = (*WORDS, *same)
    assert {*detector(encoder, negatives=words, negative_weights=unit(len(words), encoder.embed, seed=2)).negatives} <= {*WORDS}
    with pytest.raises(ValueError, match="19 negatives beside the labels; give at least 20"):
        detector(encoder, negatives=(*WORDS[:19], *same[:4]), negative_weights=unit(23, encoder.embed))


def test_weights_of_another_number_than_the_words_are_refused(encoder):
    with pytest.raises(ValueError, match="3 rows of weights for 42 negatives"):
        detector(encoder, negative_weights=unit(3, encoder.embed))


def test_a_picture_of_a_label_is_kept_and_one_of_another_word_is_not(encoder):
    found = detector(encoder)
    strangers = unit(len(WORDS), encoder.embed, seed=2)[[WORDS.index(word) for word in found.negatives[:10]]]
    assert not found.predict(found.classifier.weights).any()
    assert found.predict(strangers).all()


def test_scores_do_not_overflow_at_any_scale(encoder):
    found = detector(encoder)
    found.scale = 1e6
    scores = found.scores(unit(50, encoder.embed))
    assert np.isfinite(scores).all()
    assert ((scores >= 0) & (scores <= 1)).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_fitted_threshold_rejects_its_share_of_what_is_new(encoder, method):
    """At 5%, of 4,000 fresh pictures: within what a binomial allows in one of 10,000 cases, the fit's own error added."""
    around = np.random.default_rng(3)
    pictures = planted(encoder).weights[around.integers(0, 3, 8000)] + 0.3 * around.normal(size=(8000, encoder.embed))
    pictures = (pictures / np.linalg.norm(pictures, axis=1, keepdims=True)).astype(np.float32)
    found = detector(encoder, method).fit(pictures[:4000], false_positive_rate=0.05)
    rejected = found.predict(pictures[4000:]).sum()
    spread = 4000**-0.5 * 4000 * (0.05 * 0.95) ** 0.5  # of the fit, in pictures
    assert binom.ppf(5e-5, 4000, 0.05) - 2 * spread <= rejected <= binom.ppf(1 - 5e-5, 4000, 0.05) + 2 * spread


@pytest.mark.parametrize(("n", "rate"), [(19, 0.05), (20, 0.05), (9, 0.1), (57, 0.03), (1, 0.5)])
def test_the_promise_holds_for_few_pictures_too(n, rate):
    """On average over fits: the k-th of n scores is exceeded by another one with a chance of (n + 1 - k) / (n + 1)."""
    random = np.random.default_rng(0)
    rejected = [(random.normal(size=200) > conformal_threshold(random.normal(size=n), rate)).mean() for _ in range(3000)]
    exact = np.floor(rate * (n + 1) + 1e-9) / (n + 1)
    assert exact <= rate
    assert np.mean(rejected) == pytest.approx(exact, abs=0.01)


def test_equal_scores_are_kept(encoder):
    found = detector(encoder, "energy")
    same = np.repeat(unit(1, encoder.embed), 40, axis=0)
    assert not found.fit(same).predict(same).any()


def test_a_rate_of_too_few_pictures_is_refused(encoder):
    with pytest.raises(ValueError, match=r"18 pictures .* a false-positive rate of 0.05 needs at least 19"):
        detector(encoder, "energy").fit(unit(18, encoder.embed))
    with pytest.raises(ValueError, match="0 pictures"):
        detector(encoder, "energy").fit(unit(0, encoder.embed))
    for rate in (0.0, 1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match=r"between 0 and 1, such as 0\.05"):
            detector(encoder, "energy").fit(unit(100, encoder.embed), false_positive_rate=rate)


def test_without_a_threshold_nothing_is_rejected_or_kept(encoder):
    for method in ("energy", "concept_matching"):
        with pytest.raises(ValueError, match=f"{method} needs a threshold: fit it on pictures"):
            detector(encoder, method).predict(unit(2, encoder.embed))


def test_embeddings_that_are_not_finite_are_refused(encoder):
    images = unit(4, encoder.embed)
    images[2, 0] = np.nan
    for method in METHODS:
        with pytest.raises(ValueError, match="image 2 holds NaN or infinity"):
            detector(encoder, method).scores(images)


def test_no_picture_has_no_score(encoder):
    for method in METHODS:
        assert detector(encoder, method).scores(unit(0, encoder.embed)).shape == (0,)


def test_one_label_is_enough_but_for_concept_matching(encoder):
    alone = planted(encoder, labels=("dog",))
    assert OutlierDetector(alone, negatives=WORDS).scores(alone.weights) < 0.5
    np.testing.assert_allclose(OutlierDetector(alone, "energy").scores(alone.weights), -encoder.scale, rtol=1e-5)
    with pytest.raises(ValueError, match="compares labels with each other: give two or more"):
        OutlierDetector(alone, "concept_matching")


def test_an_unknown_method_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="no rejection method named 'negative_label'; did you mean 'negative_labels'"):
        check_method("negative_label", num_labels=2)


def test_the_default_words_are_imagenets():
    words = default_negatives()
    assert len(words) == 998  # of 1,000 names two stand there twice
    assert {"goldfish", "toilet paper"} <= set(words)
