"""Vectors in bytes: products and promises beside the plain formulas."""

import numpy as np
import torch

from fullclip.search.index import codes
from fullclip.search.index.cells import Cells, Scatter, learn_means, nearest_mean
from fullclip.search.index.codes import encode, encode_queries, products
from indexed import drawn


def test_a_code_is_within_half_a_step_and_zeros_stay_zeros():
    vectors = np.concatenate([drawn(50), np.zeros((1, 16), np.float32)])
    found, scales = encode(vectors)
    assert found.dtype == np.int8
    steps = np.abs(vectors).max(axis=1, keepdims=True) / 127
    assert (np.abs(found * scales[:, None] - vectors) <= steps / 2 + 1e-7).all()
    assert not found[-1].any()
    assert scales[-1] == 0


def test_products_of_extreme_bytes_do_not_overflow_in_integers_or_floats(monkeypatch):
    given = torch.full((3, 512), -127, dtype=torch.int8)
    queries, _ = encode_queries(np.ones((2, 512), np.float32))
    for in_integers in (codes._IN_INTEGERS, False):
        monkeypatch.setattr(codes, "_IN_INTEGERS", in_integers)
        np.testing.assert_array_equal(products(given, queries), np.full((3, 2), -127 * 63 * 512))


def test_a_promise_is_the_mean_and_three_deviations_along_the_query():
    vectors, queries = drawn(400), drawn(5, seed=1)
    own = np.arange(400) % 7
    scatter = Scatter(7, 16)
    scatter.add(torch.from_numpy(vectors[:150]), torch.from_numpy(own[:150]))
    scatter.add(torch.from_numpy(vectors[150:]), torch.from_numpy(own[150:]))
    means, variances = scatter.means_and_variances()
    for cell in range(7):
        members = vectors[own == cell].astype(np.float64)
        np.testing.assert_allclose(means[cell], members.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(variances[cell], members.var(axis=0), atol=1e-5)
    expected = queries @ means.T + 3 * np.sqrt((queries**2) @ variances.T)
    np.testing.assert_allclose(Cells(means, variances).promise(queries), expected, atol=0.02)


def test_cells_are_of_neighbours():
    """Vectors lie closer to their own mean than to any other, and means are nearer to their vectors than one mean of all."""
    vectors = drawn(2000)
    means = learn_means(vectors, 40)
    own = nearest_mean(torch.from_numpy(vectors), means).numpy()
    distances = ((vectors[:, None] - means.numpy()[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(distances[np.arange(2000), own], distances.min(axis=1), atol=1e-5)
    assert distances.min(axis=1).mean() < 0.5 * vectors.var(axis=0).sum()
