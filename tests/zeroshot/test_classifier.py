"""The classifier against the formula written out by hand."""

import numpy as np
import pytest
import torch

from fullclip.inference import Encoder
from fullclip.models.clip import build, initialize
from fullclip.models.config import PRESETS
from fullclip.preprocess.image import ImageError, PreprocessConfig
from fullclip.preprocess.tokenizer import Tokenizer
from fullclip.zeroshot.classifier import ZeroShotClassifier, class_weights

LABELS = ["dog", "cat", "a red car"]
TEMPLATES = ["a photo of a {}.", "{}", "art of the {}"]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    model = build(PRESETS["tiny"])
    initialize(model, torch.Generator().manual_seed(0))
    return Encoder(model.eval(), preprocess=PreprocessConfig(size=32), tokenizer=Tokenizer.clip(context_length=32))


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, size=(5, 40, 50, 3), dtype=np.uint8))


def test_probabilities_are_those_of_the_formula(encoder, images):
    """Mean of the normalised prompt embeddings, normalised again; 100 times the cosine; softmax (sections 3.1.2, 3.1.4)."""
    weights = []
    for label in LABELS:
        embeddings = np.stack([encoder.encode_texts([template.replace("{}", label)])[0] for template in TEMPLATES])
        weights.append(embeddings.mean(axis=0) / np.linalg.norm(embeddings.mean(axis=0)))
    logits = 100 * encoder.encode_images(images) @ np.stack(weights).T
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    classifier = ZeroShotClassifier(encoder, labels=LABELS, templates=TEMPLATES)
    np.testing.assert_allclose(classifier.predict_proba(images), expected, rtol=1e-3, atol=1e-6)
    assert list(classifier.predict(images)) == [LABELS[i] for i in expected.argmax(axis=1)]


def test_the_order_of_labels_only_orders_the_columns(encoder, images):
    forward = ZeroShotClassifier(encoder, labels=LABELS).predict_proba(images)
    backward = ZeroShotClassifier(encoder, labels=LABELS[::-1]).predict_proba(images)
    np.testing.assert_allclose(forward, backward[:, ::-1], atol=1e-5)


def test_one_label_is_certain(encoder, images):
    np.testing.assert_allclose(ZeroShotClassifier(encoder, labels=["dog"]).predict_proba(images), 1.0)


def test_no_images(encoder):
    assert ZeroShotClassifier(encoder, labels=LABELS).predict_proba([]).shape == (0, 3)


def test_an_unreadable_image_is_an_error_that_names_it(encoder, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        ZeroShotClassifier(encoder, labels=LABELS).predict([tmp_path / "broken.jpg"])


@pytest.mark.parametrize("labels", [[], ["a", "a"], [""]])
def test_bad_labels_are_refused_before_anything_is_encoded(encoder, labels):
    with pytest.raises(ValueError, match="label"):
        ZeroShotClassifier(encoder, labels=labels)


def test_a_class_of_several_names_has_the_sentences_of_each(encoder):
    found = class_weights(encoder, [("dog", "hound"), ("cat",)], TEMPLATES)
    embeddings = encoder.encode_texts([template.replace("{}", name) for name in ("dog", "hound") for template in TEMPLATES])
    mean = embeddings.mean(axis=0)
    np.testing.assert_allclose(found[0], mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_allclose(found[1], class_weights(encoder, [("cat",)], TEMPLATES)[0], atol=1e-6)


def test_known_weights_take_the_place_of_encoding(encoder, images):
    plain = ZeroShotClassifier(encoder, labels=LABELS)
    known = ZeroShotClassifier(encoder, labels=LABELS, weights=plain.weights[::-1])
    np.testing.assert_allclose(known.predict_proba(images), plain.predict_proba(images)[:, ::-1], atol=1e-6)
    with pytest.raises(ValueError, match="2 rows of weights for 3 labels"):
        ZeroShotClassifier(encoder, labels=LABELS, weights=plain.weights[:2])
