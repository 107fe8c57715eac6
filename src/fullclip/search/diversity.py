"""How well pictures fit and how alike they are -> the best that are not all the same. Knows nothing of models or files."""

import numpy as np
from jaxtyping import Float

TIE = 1e-6  # what a model computes of a picture in float32 varies by less with the batch that it lies in


def marginal_order(
    relevance: Float[np.ndarray, " candidates"],
    embeddings: Float[np.ndarray, "candidates embed"],
    *,
    top: int,
    diversity: float,
) -> list[int]:
    """The places of the `top` best, by maximal marginal relevance (Carbonell and Goldstein 1998).

    One after the other is taken which, of those left, has the largest

        (1 - diversity) r_i - diversity max_j s_ij^2

    over the taken j, where r_i is its relevance, stretched so that the candidates' range is 0 to 1, and s_ij how alike two
    pictures are: the cosine of their embeddings, less the mean of all pairs of candidates and stretched so that copies have 1;
    0 below the mean. So neither depends on where a model's cosines lie. Squared, copies count in full, and pictures that have
    no more than their subject in common count little. Of equals (to 1e-6) the first is taken. At 0 this is the order of
    relevance; at 1 the first is the most relevant one, and relevance does not count from there on.

    embeddings: of length 1.
    """
    check_diversity(diversity)
    order = np.argsort(-relevance, kind="stable")
    if not diversity:
        return [int(place) for place in order[:top]]
    vectors = embeddings[order].astype(np.float64)
    worth, mean = (1 - diversity) * _stretched(relevance[order].astype(np.float64)), _mean_of_pairs(vectors)
    alike, free = np.zeros(len(order)), np.ones(len(order), dtype=bool)
    taken = list[int]()
    for _ in range(min(top, len(order))):
        values = np.where(free, worth - diversity * alike, -np.inf)
        best = int(np.flatnonzero(values >= values.max() - TIE)[0])
        taken.append(best)
        free[best] = False
        if 1 - mean > TIE:
            alike = np.maximum(alike, np.maximum((vectors @ vectors[best] - mean) / (1 - mean), 0) ** 2)
    return [int(order[place]) for place in taken]


def check_diversity(diversity: float) -> None:
    """ValueError where it is not from 0 to 1."""
    if not 0 <= diversity <= 1:
        raise ValueError(f"diversity is {diversity}: from 0, the plain order, to 1")


def _stretched(relevance: Float[np.ndarray, " candidates"]) -> Float[np.ndarray, " candidates"]:
    """From 0 to 1; all 0 where they are the same."""
    if not len(relevance) or relevance.max() - relevance.min() <= TIE:
        return np.zeros_like(relevance)
    stretched: np.ndarray = (relevance - relevance.min()) / (relevance.max() - relevance.min())
    return stretched


def _mean_of_pairs(vectors: Float[np.ndarray, "candidates embed"]) -> float:
    """The mean cosine of two different candidates: all pairs from the sum of the vectors, less those with themselves."""
    number = len(vectors)
    total = vectors.sum(axis=0)
    return float((total @ total - (vectors * vectors).sum()) / (number * (number - 1))) if number > 1 else 0.0
