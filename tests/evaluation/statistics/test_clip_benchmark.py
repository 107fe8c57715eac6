"""Against CLIP_benchmark's own functions. Tests skip where it is not installed: pip install --no-deps clip-benchmark."""

import importlib.util
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score

from fullclip.evaluation.statistics.metrics import accuracy_at, mean_per_class
from fullclip.evaluation.statistics.recall import better_captions, better_images, image_to_text, text_to_image
from fullclip.zeroshot.classifier import class_weights
from tiny import tiny_encoder


@lru_cache
def theirs(name: str) -> ModuleType:
    """One of its files alone: its `__init__` would import torchvision."""
    package = importlib.util.find_spec("clip_benchmark")
    if package is None or not package.submodule_search_locations:
        pytest.skip("CLIP_benchmark is not installed: pip install --no-deps clip-benchmark")
    pytest.importorskip("tqdm")
    path = Path(package.submodule_search_locations[0]) / "metrics" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"clip_benchmark_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", range(3))
def test_accuracies_are_theirs(seed, monkeypatch):
    random = np.random.default_rng(seed)
    scores, labels = random.normal(size=(200, 9)).astype(np.float32), random.integers(9, size=200)
    scores[np.arange(200), labels] += 1
    peer = theirs("zeroshot_classification")
    monkeypatch.setattr(peer, "float", lambda array: array.item(), raising=False)  # NumPy's float() no longer takes [1]
    expected = peer.accuracy(torch.from_numpy(scores), torch.from_numpy(labels), topk=(1, 5))
    for k, value in zip((1, 5), expected, strict=True):
        assert accuracy_at(scores, labels, task="t", k=k).result.value == pytest.approx(value)
    balanced = balanced_accuracy_score(labels, scores.argmax(axis=1))
    assert mean_per_class(scores, labels, task="t").result.value == pytest.approx(balanced)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("several", [False, True])
def test_recalls_are_theirs(seed, several):
    random = np.random.default_rng(seed)
    owners = np.repeat(np.arange(40), random.integers(1, 6, size=40)) if several else np.arange(40)
    images = random.normal(size=(40, 8)).astype(np.float32)
    texts = (images[owners] + 1.5 * random.normal(size=(len(owners), 8))).astype(np.float32)
    scores = torch.from_numpy(texts) @ torch.from_numpy(images).T
    positive = torch.zeros_like(scores, dtype=torch.bool)
    positive[torch.arange(len(owners)), torch.from_numpy(owners)] = True
    peer = theirs("zeroshot_retrieval")
    for k in (1, 5, 10):
        found = text_to_image(better_images(images, texts, owners), owners, task="t", ks=[k])[0]
        assert found.value == pytest.approx((peer.recall_at_k(scores, positive, k) > 0).float().mean().item())
        found = image_to_text(better_captions(images, texts, owners), task="t", ks=[k])[0]
        assert found.value == pytest.approx((peer.recall_at_k(scores.T, positive.T, k) > 0).float().mean().item())


def test_where_all_is_alike_they_find_what_happens_to_stand_first():
    scores = torch.ones(4, 4)
    found = theirs("zeroshot_retrieval").recall_at_k(scores, torch.eye(4, dtype=torch.bool), 1)
    assert found.sum() == 1
    ones = np.ones((4, 3))
    assert text_to_image(better_images(ones, ones, np.arange(4)), np.arange(4), task="t", ks=[1])[0].value == 0


def test_class_weights_are_theirs():
    encoder = tiny_encoder()
    names, templates = ["dog", "tabby cat", "red fox"], ["a photo of a {c}.", "art of the {c}.", "{c}"]
    peer = theirs("zeroshot_classification")

    def tokenize(texts: list[str]) -> torch.Tensor:
        return encoder.tokenizer.encode(texts).ids

    expected = peer.zero_shot_classifier(encoder.model, tokenize, names, templates, "cpu", amp=False)
    found = class_weights(encoder, [(name,) for name in names], [template.replace("{c}", "{}") for template in templates])
    np.testing.assert_allclose(found, expected.T.numpy(), atol=1e-6)
