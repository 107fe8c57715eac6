"""Expected recall against drawing galleries at random, and against its own limits."""

import numpy as np
import pytest

from fullclip.evaluation.statistics.gallery import expected_recall


def drawn_recall(similarity: np.ndarray, k: int, gallery: int, draws: int) -> float:
    """The plain way: for each query draw the other candidates, and look whether fewer than k of them are better."""
    random, n, found = np.random.default_rng(3), len(similarity), 0
    for _ in range(draws):
        for i in range(n):
            others = random.permutation([j for j in range(n) if j != i])[: gallery - 1]
            found += (similarity[i, others] >= similarity[i, i]).sum() < k
    return found / (draws * n)


@pytest.fixture
def similarity() -> np.ndarray:
    random = np.random.default_rng(0)
    return random.normal(size=(40, 40)) + 1.5 * np.eye(40)


@pytest.mark.parametrize(("k", "gallery"), [(1, 10), (3, 10), (1, 40), (5, 25)])
def test_it_is_the_mean_over_random_galleries(similarity, k, gallery):
    result = expected_recall(similarity, task="t", k=k, gallery=gallery)
    assert result.value == pytest.approx(drawn_recall(similarity, k, gallery, draws=150), abs=0.02)
    assert result.interval[0] <= result.value <= result.interval[1]
    assert result.n == 40


def test_the_whole_gallery_is_plain_recall(similarity):
    better = (similarity > np.diag(similarity)[:, None]).sum(axis=1)
    assert expected_recall(similarity, task="t", k=1, gallery=40).value == pytest.approx((better == 0).mean())


def test_no_information_is_chance():
    values = [
        expected_recall(np.random.default_rng(seed).normal(size=(60, 60)), task="t", k=1, gallery=20).value
        for seed in range(40)
    ]
    assert np.mean(values) == pytest.approx(1 / 20, abs=0.01)


def test_a_tie_is_no_success():
    assert expected_recall(np.zeros((5, 5)), task="t", k=1, gallery=5).value == 0.0


@pytest.mark.parametrize(("k", "gallery"), [(0, 5), (6, 5), (1, 41)])
def test_impossible_ranks_are_refused(similarity, k, gallery):
    with pytest.raises(ValueError, match="recall@"):
        expected_recall(similarity, task="t", k=k, gallery=gallery)
