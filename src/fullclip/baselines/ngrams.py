"""Visual N-Grams (Li et al. 2017): an image tower that scores every n-gram of a dictionary of captions, with both its losses.

The tower's features times an embedding matrix are the scores. A class is answered by how likely its name is for a picture.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from fullclip.baselines.ngrams_dictionary import NgramDictionary, words_of
from fullclip.baselines.ngrams_smoothing import SMOOTHING, Words, check_smoothing, log_probabilities, log_sums, words_together
from fullclip.baselines.way import Answering, ImageTower, Scorer

_MOST_KNOWN_TEXTS = 100_000


class NgramScores(nn.Module):
    """An embedding and a bias for each n-gram. Biases begin as logarithms of counts, so that the model of language that the
    counts alone make is where learning starts; the paper has no bias, and does not say where it starts.
    """

    def __init__(self, dictionary: NgramDictionary, *, dim: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(len(dictionary), dim))
        self.bias = nn.Parameter(torch.from_numpy(dictionary.counts).float().log())
        self.register_buffer("starts", torch.from_numpy(dictionary.starts), persistent=False)

    @torch.no_grad()
    def initialize(self, generator: torch.Generator) -> None:
        nn.init.normal_(self.embedding, std=0.02, generator=generator)

    def forward(self, features: Float[Tensor, "batch dim"], words: Words, *, smoothing: float) -> Float[Tensor, " words"]:
        """The log-probability of each word, computed in float32 (or wider)."""
        with torch.autocast(features.device.type, enabled=False):
            wide = features.to(self.embedding.dtype)
            starts = self.get_buffer("starts")
            return log_probabilities(wide, self.embedding, self.bias, words, starts=starts, smoothing=smoothing)

    def all(self, features: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch ngrams"]:
        """The log-probability of each n-gram among all n-grams of the dictionary."""
        with torch.autocast(features.device.type, enabled=False):
            return F.linear(features.to(self.embedding.dtype), self.embedding, self.bias).log_softmax(dim=1)


class VisualNgrams(Answering):
    """The Jelinek-Mercer loss: minus the sum of the smoothed log-probabilities of a caption's words and of its end, the mean
    over the pictures of a batch. Words outside the dictionary are left out, and no n-gram reaches over them.

    A name is as likely as its words after each other, without the beginning and end of a caption; a class as all its names
    together. Templates are left aside: the paper scores names. A word outside the dictionary is taken for as likely as one
    occurrence among all that were counted, whatever the picture.
    """

    is_likelihood = True

    def __init__(self, tower: ImageTower, dictionary: NgramDictionary, *, dim: int, smoothing: float | int = SMOOTHING) -> None:
        super().__init__(tower)
        check_smoothing(smoothing)
        self.dictionary, self.smoothing = dictionary, smoothing
        self.scores = NgramScores(dictionary, dim=dim)
        self._occurrences = lru_cache(_MOST_KNOWN_TEXTS)(dictionary.occurrences)

    def loss(self, images: Float[Tensor, "batch 3 height width"], texts: Sequence[str]) -> Float[Tensor, ""]:
        words = words_together([self._occurrences(text) for text in texts], images.device)
        likelihoods: Tensor = self.scores(self.tower(images), words, smoothing=self.smoothing)
        return -likelihoods.sum() / len(images)

    def scorer(self, classes: Sequence[Sequence[str]], templates: Sequence[str]) -> Scorer:
        names, owners = named(classes, self.scores.bias.device)
        found = [self.dictionary.occurrences(name, bounded=False) for name in names]
        words = words_together(found, owners.device)
        unknown = torch.tensor([text.num_unknown for text in found], device=owners.device)
        lost = unknown[:, None] * unseen(self.dictionary)

        def scores(images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch classes"]:
            features, number = self.tower(images), len(words.rows)
            rows = torch.arange(len(features), device=features.device).repeat_interleave(number)
            shape = (len(features), 1)
            every = replace(words, rows=rows, ngrams=words.ngrams.repeat(shape), contexts=words.contexts.repeat(shape))
            likelihoods = self.scores(features, every, smoothing=self.smoothing).view(-1, number).T
            of_names = likelihoods.new_zeros(len(names), len(features)).index_add_(0, words.rows, likelihoods)
            return log_sums(of_names + lost, owners, len(classes)).T

        return scores

    def num_unknown(self, classes: Sequence[Sequence[str]]) -> int:
        return sum(any(not self._is_known(name) for name in names) for names in classes)

    def _is_known(self, name: str) -> bool:
        return not self.dictionary.occurrences(name, bounded=False).num_unknown


class NaiveNgrams(Answering):
    """The naive loss: minus the log-probabilities of all of a caption's n-grams that the dictionary has, each among all n-grams
    of the dictionary, added up, the mean over the pictures of a batch.

    A name is as likely as the n-gram that it is; one that the dictionary does not have cannot be told from others, and counts
    like one occurrence. A class is as likely as all its names together.
    """

    is_likelihood = True

    def __init__(self, tower: ImageTower, dictionary: NgramDictionary, *, dim: int) -> None:
        super().__init__(tower)
        self.dictionary = dictionary
        self.scores = NgramScores(dictionary, dim=dim)
        self._occurrences = lru_cache(_MOST_KNOWN_TEXTS)(dictionary.occurrences)

    def loss(self, images: Float[Tensor, "batch 3 height width"], texts: Sequence[str]) -> Float[Tensor, ""]:
        words = words_together([self._occurrences(text) for text in texts], images.device)
        there = words.ngrams >= 0
        rows = words.rows[:, None].expand_as(words.ngrams)[there]
        return -self.scores.all(self.tower(images))[rows, words.ngrams[there]].sum() / len(images)

    def scorer(self, classes: Sequence[Sequence[str]], templates: Sequence[str]) -> Scorer:
        names, owners = named(classes, self.scores.bias.device)
        numbers = torch.tensor([self._number(name) for name in names], device=owners.device)

        def scores(images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch classes"]:
            found = self.scores.all(self.tower(images)).T[numbers.clamp(min=0)]
            of_names = torch.where(numbers[:, None] >= 0, found, unseen(self.dictionary))
            return log_sums(of_names, owners, len(classes)).T

        return scores

    def num_unknown(self, classes: Sequence[Sequence[str]]) -> int:
        return sum(any(self._number(name) < 0 for name in names) for names in classes)

    def _number(self, name: str) -> int:
        return self.dictionary.numbers.get(tuple(words_of(name)), -1)


def named(classes: Sequence[Sequence[str]], device: torch.device) -> tuple[list[str], Int[Tensor, " names"]]:
    """All names, and the number of the class that each is a name of."""
    owners = [number for number, names in enumerate(classes) for _ in names]
    return [name for names in classes for name in names], torch.tensor(owners, device=device)


def unseen(dictionary: NgramDictionary) -> float:
    """The logarithm of one occurrence among all words that were counted."""
    total = sum(int(count) for ngram, count in zip(dictionary.ngrams, dictionary.counts, strict=True) if len(ngram) == 1)
    return -math.log(total)
