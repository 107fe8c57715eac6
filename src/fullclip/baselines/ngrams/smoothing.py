"""Scores of n-grams -> log-probabilities of words: Jelinek-Mercer smoothing that gradients pass through. Tensors only."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from fullclip.baselines.ngrams.dictionary import Occurrences

SMOOTHING = 0.2  # as Li et al. (2017)


@dataclass(frozen=True, kw_only=True)
class Words:
    """Words of many texts: the row of features that each is predicted from, its n-grams and contexts as in `Occurrences`."""

    rows: Int[Tensor, " words"]
    ngrams: Int[Tensor, "words orders"]
    contexts: Int[Tensor, "words orders"]


def words_together(texts: Sequence[Occurrences], device: torch.device) -> Words:
    """The words of texts, the row of each being the number of its text."""
    rows = np.repeat(np.arange(len(texts)), [len(text.ngrams) for text in texts])
    ngrams, contexts = (np.concatenate(parts) for parts in zip(*((t.ngrams, t.contexts) for t in texts), strict=True))
    return Words(
        rows=torch.from_numpy(rows).to(device),
        ngrams=torch.from_numpy(ngrams).to(device),
        contexts=torch.from_numpy(contexts).to(device),
    )


def log_probabilities(
    features: Float[Tensor, "batch dim"],
    embedding: Float[Tensor, "ngrams dim"],
    bias: Float[Tensor, " ngrams"],
    words: Words,
    *,
    starts: Int[Tensor, " edges"],
    smoothing: float = SMOOTHING,
) -> Float[Tensor, " words"]:
    """The smoothed log p(w | c) of each word w with the words c before it (Li et al. 2017, section 3; Jelinek and Mercer 1980):

    p(w | c) = smoothing p_observed(w | c) + (1 - smoothing) p(w | c without its first word), down to no context at all, where
    p = p_observed. p_observed(w | c) is the softmax of the scores, embedding . features + bias, over the n-grams of the
    dictionary that have the context c; 0 for a word that ends none of them. Where the dictionary has no n-gram of the context,
    the shorter context answers alone, so that for any context the probabilities of all unigrams add up to 1; this shifts the
    paper's loss by a constant and leaves its gradient. The paper has no bias.

    starts: `NgramDictionary.starts`. Only n-grams whose context occurs in `words` are scored.
    """
    check_smoothing(smoothing)
    occurring, places = _numbered(words.contexts)
    wanted, owners = _members(occurring, starts)
    scores = torch.addmm(bias[wanted, None], embedding[wanted], features.T)
    normalizers = _log_sums(scores, owners, len(occurring))
    rows = words.rows[:, None]
    columns = torch.searchsorted(wanted, words.ngrams.clamp(min=0).contiguous()).clamp(max=len(wanted) - 1)
    observed = scores[columns, rows] - normalizers[places, rows]
    has_ngram, has_context = words.ngrams >= 0, words.contexts >= 0
    result = observed[:, 0]
    for order in range(1, observed.shape[1]):
        below = result + math.log(1 - smoothing)
        both = torch.logaddexp(observed[:, order] + math.log(smoothing), below)
        mixed = torch.where(has_ngram[:, order], both, below)
        result = torch.where(has_context[:, order], mixed, result)
    return result


def check_smoothing(smoothing: float | int) -> None:
    """ValueError for a share that leaves one of the two models out."""
    if not 0 < smoothing < 1:
        raise ValueError(f"smoothing is {smoothing}: above 0 and below 1, such as {SMOOTHING}")


def _numbered(contexts: Int[Tensor, "words orders"]) -> tuple[Int[Tensor, " occurring"], Int[Tensor, "words orders"]]:
    """The contexts that occur, ascending, the empty one among them, and the place of each in that list (0 for -1)."""
    occurring = torch.unique(contexts.clamp(min=0))
    return occurring, torch.searchsorted(occurring, contexts.clamp(min=0).contiguous())


def _members(
    contexts: Int[Tensor, " occurring"], starts: Int[Tensor, " edges"]
) -> tuple[Int[Tensor, " wanted"], Int[Tensor, " wanted"]]:
    """The n-grams of the contexts, ascending, and which of the contexts each belongs to."""
    first = starts[contexts]
    lengths = starts[contexts + 1] - first
    owners = torch.repeat_interleave(torch.arange(len(contexts), device=contexts.device), lengths)
    before = lengths.cumsum(0) - lengths
    return torch.arange(len(owners), device=contexts.device) - before[owners] + first[owners], owners


def _log_sums(
    scores: Float[Tensor, "wanted batch"], owners: Int[Tensor, " wanted"], num_contexts: int
) -> Float[Tensor, "occurring batch"]:
    """The logarithm of the sum of exp over the scores of each context."""
    shape = (num_contexts, scores.shape[1])
    with torch.no_grad():  # the largest score cancels
        largest = scores.new_full(shape, -torch.inf).scatter_reduce_(0, owners[:, None].expand_as(scores), scores, "amax")
    sums = scores.new_zeros(shape).index_add_(0, owners, (scores - largest[owners]).exp())
    return sums.log() + largest
